"""What a process does and did: trace (live), log (the journal), replay, explain."""

import json
import time
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from oros.shells.cli import draw, story
from oros.shells.cli.parse import Options, Verb, a_pid, pid
from oros.shells.cli.session import Session
from oros.shells.cli.terminal import Terminal

NAMES = {"model_replied": "think", "signalled": "signal"}
QUIET = frozenset({"model_called", "call_entered", "reaped"})
STYLES = {"model_replied": "cyan", "exited": "bold", "doubted": "yellow", "signalled": "yellow"}


class Tracer:
    """Draws facts and tokens as lines; a call and its outcome are one line."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._open: dict[str, dict[str, Any]] = {}
        self._streams = False

    def show(self, item: dict[str, Any]) -> None:
        """Draw one fact, or streaming text."""
        if "token" in item:
            self._token(item)
            return
        self._break()
        kind, event = item["kind"], item["event"]
        if kind == "call_entered":
            self._open[event["id"]] = event
            self._terminal.status(f"{event['name']} {story.arguments(event['args'])}")
        if kind in QUIET:
            return
        name, text, style = NAMES.get(kind, kind), story.gist(item), STYLES.get(kind, "")
        if kind == "call_returned":
            name, text, style = self._call(event)
        self._terminal.out(line(item, name, text, self._room()), style)

    def _call(self, event: dict[str, Any]) -> tuple[str, str, str]:
        began = self._open.pop(event["id"], None)
        if began is None:
            return "call", story.returned(event), ""
        args = draw.fit(story.arguments(began["args"]), 60)
        text = f"{began['id']} {args} → {story.result(event['outcome'])}"
        style = "red" if event["outcome"]["error"] else "green"
        return began["name"], f"{text}  {draw.seconds(event['seconds'])}", style

    def _room(self) -> int:
        return self._terminal.width if self._terminal.is_tty else 100_000

    def _token(self, item: dict[str, Any]) -> None:
        if item["what"] == "progress":
            self._terminal.status(progress(item))
        elif self._terminal.is_tty:
            self._terminal.out(item["token"], "dim", end="")
            self._streams = True

    def _break(self) -> None:
        if self._streams:
            self._terminal.out("")
            self._streams = False


def progress(item: dict[str, Any]) -> str:
    """Progress before the first token, in a line."""
    done, total = item["done"], item["total"]
    return f"{item['token']} {done}/{total}" if total > 0 else str(item["token"])


def line(fact: dict[str, Any], name: str, text: str, width: int) -> str:
    """A fact's line: its time, its name, its text."""
    clock = time.strftime("%H:%M:%S", time.localtime(fact["time"]))
    return draw.short(f"{clock}  {name:9} {' '.join(text.split())}", width)


def trace(session: Session, options: Options) -> int:
    """Watch a process until it ends."""
    tracer = Tracer(session.terminal)
    for item in session.machine().events(options.pid, options.after):
        if options.output == "json":
            session.terminal.out(json.dumps(item))
        else:
            tracer.show(item)
        if item.get("kind") == "exited":
            break
    return 0


def trace_options(parser: ArgumentParser) -> None:
    """Words of trace."""
    a_pid(parser)
    parser.add_argument("--after", type=pid, default=0, metavar="SEQ", help="not from its start")


def log(session: Session, options: Options) -> int:
    """Print the journal."""
    facts = session.machine().history(options.pid, options.after)
    width = session.terminal.width if session.terminal.is_tty else 100_000
    lines = (
        draw.short(f"{f['seq']:5}  " + line(f, f["kind"], story.gist(f), 100_000), width)
        for f in facts
    )
    session.give(options.output, facts, lines)
    return 0


def replay(session: Session, options: Options) -> int:
    """Decide a run anew; exit code 1 if it goes another way."""
    found = session.machine().query("replay", pid=options.pid)
    same = f"the same: {found['acts']} acts of {found['events']} events decided as recorded"
    last = same if found["same"] else f"differs at {found['differs']}"
    calls = [f"  {draw.fit(c, max(20, session.terminal.width - 2))}" for c in found["calls"]]
    session.give(options.output, found, [*calls, last])
    return 0 if found["same"] else 1


def explain(session: Session, options: Options) -> int:
    """Tell why a call was allowed or refused, and what it came to."""
    process, call = options.call
    found = session.machine().query("explain", pid=process, call=call)
    lines = [f"process {process}, call {call}: {found['name']} {story.arguments(found['args'])}"]
    lines.append(found["plain"])
    lines.append(f"effect: {found['effect']}   key: {found['key'] or '-'}")
    if found.get("returned"):
        lines.append(f"outcome: {story.returned(found['returned'])}")
    if had := found.get("read"):
        where = f" ({', '.join(had['outside'][:5])})" if had["outside"] else ""
        lines.append(f"it had read: {had['words']}{where}")
    session.give(options.output, found, lines)
    return 0


def explain_options(parser: ArgumentParser) -> None:
    """Words of explain."""
    parser.add_argument("call", type=a_call, metavar="PID:CALL", help="as `oros log PID` shows it")


def a_call(text: str) -> tuple[int, str]:
    """`12:c7` or `12:7` as a process and a call."""
    process, _, call = text.partition(":")
    if not process.isdecimal() or not call.removeprefix("c").isdecimal():
        raise ArgumentTypeError(f"{text!r} names no call; say PID:CALL, such as 12:c7")
    return int(process), f"c{call.removeprefix('c')}"


VERBS = {
    "trace": Verb(trace, trace_options, ("oros trace 12", "oros trace 12 -o json")),
    "log": Verb(log, trace_options, ("oros log 12", "oros log 12 --after 40 -o json")),
    "replay": Verb(replay, a_pid, ("oros replay 12", "oros replay 12 -o json")),
    "explain": Verb(explain, explain_options, ("oros explain 12:c7", "oros explain 12:c7 -o json")),
}
