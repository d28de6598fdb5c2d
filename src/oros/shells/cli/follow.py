"""A process as it is followed to its end: how far it is, what it asks, what it changed.

Folds the events of one process; draws a status line, never a result.
"""

import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from oros.abi.errors import OrosError
from oros.abi.labels import OUTSIDE
from oros.shells.cli import draw, story
from oros.shells.cli.grants import ask
from oros.shells.cli.session import Session
from oros.shells.cli.trace import progress

SOON = 1.0
"""Seconds that a phase may last unmentioned."""

POLL = 2.0
"""Seconds between looks at who else asks the person."""

ASKS = frozenset({"call_entered", "doubted"})


class Follow:
    """What is known of a process. `phase` says what it does now, since `since`."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.model = ""
        self.phase = "starting"
        self.since = self.begun = time.perf_counter()
        self.used: dict[str, Any] = {
            "tokens_in": 0,
            "tokens_out": 0,
            "cached": 0,
            "micros": 0,
            "calls": 0,
        }
        self.changed: dict[str, str] = {}
        self.waits = False
        self.call: dict[str, Any] = {}
        self.question = ""
        self.card: list[dict[str, Any]] = []
        self.rests = False
        self.ended: dict[str, Any] | None = None
        self.tokens = 0
        self.stopped: str | None = None

    def take(self, item: dict[str, Any]) -> None:
        """Take in a fact or a token."""
        if "token" in item:
            self._token(item)
            return
        act = getattr(self, f"_{item['kind']}", None)
        if act is not None:
            act(item["event"])

    def _enter(self, phase: str) -> None:
        if phase != self.phase:
            self.phase, self.since = phase, time.perf_counter()

    def _token(self, item: dict[str, Any]) -> None:
        if item["what"] == "progress":
            self.phase = progress(item)
            return
        self.tokens += 1
        self.phase = f"writing, {self.tokens} tokens"

    def _spawned(self, event: dict[str, Any]) -> None:
        self.model = event["model"]

    def _moved(self, event: dict[str, Any]) -> None:
        self.model = event["to"]

    def _model_called(self, event: dict[str, Any]) -> None:
        self.tokens, self.rests, self.question, self.card = 0, False, "", []
        does = "sums up what left its window" if event.get("about") else "thinks"
        self._enter(f"{event['model']} {does}")

    def _model_replied(self, event: dict[str, Any]) -> None:
        for name in ("tokens_in", "tokens_out", "cached"):
            self.used[name] += event["usage"][name]
        self._spend(event["usage"])
        self._enter("deciding")

    def _spend(self, usage: dict[str, Any]) -> None:
        known = usage["micros"] is not None and self.used["micros"] is not None
        self.used["micros"] = self.used["micros"] + usage["micros"] if known else None

    def _carded(self, event: dict[str, Any]) -> None:
        self.card = event["items"]
        if self.card:
            self._enter(story.WAITS["card"])

    def _granted(self, event: dict[str, Any]) -> None:
        if event["card"]:
            self.card = []
            self._enter("deciding")

    def _call_entered(self, event: dict[str, Any]) -> None:
        self.call, self.card = event, []
        self.used["calls"] += 1
        if event["name"] == "ask" and event["verdict"] == "allow":
            options = " / ".join(event["args"].get("options") or ())
            self.question = event["args"]["question"] + (f"  [{options}]" if options else "")
            self._enter("waits for you")
        else:
            self._enter(f"{event['name']} {draw.fit(story.arguments(event['args']), 50)}")

    def _call_returned(self, event: dict[str, Any]) -> None:
        self.question = ""
        value = event["outcome"]["value"]
        for change in story.changes(value):
            self.changed[change["path"]] = change["change"]
        if isinstance(value, dict) and value.get("waits"):
            self.waits = True
        name = self.call.get("name")
        if name in ("write", "remove") and not event["outcome"]["error"]:
            self.changed[value["path"]] = "written" if name == "write" else "removed"
        self._enter("deciding")

    def _doubted(self, event: dict[str, Any]) -> None:
        self.question = event["question"] + "  [yes / no]"

    def _signalled(self, event: dict[str, Any]) -> None:
        if event["signal"] in ("STOP", "CONT"):
            self.stopped = event["why"] if event["signal"] == "STOP" else None

    def _received(self, _: dict[str, Any]) -> None:
        self.rests = False

    def _parked(self, event: dict[str, Any]) -> None:
        self.rests = event["on"] in ("message", "person")
        self._enter(story.WAITS[event["on"]])

    def _exited(self, event: dict[str, Any]) -> None:
        self.ended = event

    # ---- how it is drawn -----------------------------------------------------------------------

    def line(self) -> str:
        """Where it is, if that takes longer than a moment; else nothing."""
        now = time.perf_counter()
        if now - self.begun < SOON or self.ended:
            return ""
        return f"process {self.pid} · {self.phase} · {draw.seconds(now - self.begun)}"

    def summary(self) -> list[str]:
        """What is said at the end: the files, then time, calls, tokens and money."""
        took = draw.seconds(time.perf_counter() - self.begun)
        count = self.used["calls"]
        calls = "1 call" if count == 1 else f"{count} calls"
        held = [f"not in your folder yet: oros diff {self.pid} · oros commit {self.pid}"]
        waits = held if self.waits else []
        return [
            *self.files(),
            *waits,
            *self.heard(),
            f"{took} · {calls} · {story.usage(self.used)}",
        ]

    def heard(self) -> Iterable[str]:
        """Where text from outside came from that it had read, in a line."""
        if outside := self.outside():
            more = f" and {len(outside) - 5} more" if len(outside) > 5 else ""
            yield f"it has read text from outside: {' '.join(outside[:5])}{more}"

    def outside(self) -> list[str]:
        """What outside the folder its answer may be made of."""
        label = (self.ended or {}).get("label") or {}
        return sorted(o for o in label.get("origins", ()) if o.startswith(OUTSIDE))

    def files(self) -> Iterable[str]:
        """The files it changed, a line each."""
        for path, change in sorted(self.changed.items()):
            yield f"{change}: {path.removeprefix('/work/')}"

    def plain(self) -> dict[str, Any]:
        """All of it as JSON."""
        ended = self.ended or {"status": None, "answer": "", "why": "interrupted"}
        changed = [{"path": p, "change": c} for p, c in sorted(self.changed.items())]
        found = {"pid": self.pid, "status": ended["status"], "answer": ended["answer"]}
        found |= {"why": ended["why"], "model": self.model, "changed": changed}
        found["outside"] = self.outside()
        return found | {"seconds": round(time.perf_counter() - self.begun, 3), "usage": self.used}


class Meter:
    """Shows where a followed process is: a status line, or now and then a line without a tty."""

    def __init__(self, session: Session, follow: Follow) -> None:
        self._session, self._terminal, self._follow = session, session.terminal, follow
        self._told = ""
        self._looked = 0.0
        self._asked: set[int] = set()

    def tick(self) -> None:
        """Draw what has become old enough."""
        line = self._follow.line()
        if line and self._follow.call.get("name") == "wait":
            self._look()
        if self._terminal.err_tty:
            if line and not self._follow.question and not self._follow.card:
                self._terminal.status(line)
            return
        phase = self._follow.phase.split(",")[0].rstrip("0123456789/ ")
        slow = time.perf_counter() - self._follow.since > SOON
        if line and slow and phase != self._told:
            self._told = phase
            self._terminal.note(line)

    def _look(self) -> None:
        """Who it waits for may wait for the person: say so, once."""
        if time.perf_counter() - self._looked < POLL:
            return
        self._looked = time.perf_counter()
        with suppress(OrosError):
            rows = self._session.call("list", path="/proc")["entries"]
            asking = {r["pid"]: r["on"] for r in rows if r["on"] in ("person", "card")}
            for pid in sorted(asking.keys() - self._asked):
                if asking[pid] == "card":
                    found = self._session.client.query("grants", pid=pid)["card"] or ()
                    ask(self._session, pid, found, here=False)
                    continue
                facts = self._session.client.history(pid)
                text = next((story.gist(f) for f in reversed(facts) if f["kind"] in ASKS), "")
                self._terminal.note(f"process {pid} asks: {text}", "yellow")
                self._terminal.note(f"answer it from another terminal: oros send {pid} TEXT")
            self._asked = set(asking)
