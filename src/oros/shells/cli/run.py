"""`oros run`: a process works on a goal; its answer, what it changed, what it cost."""

import json
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from oros.abi.errors import Invalid, OrosError
from oros.shells.cli import story
from oros.shells.cli.follow import Follow, Meter
from oros.shells.cli.grants import ask
from oros.shells.cli.interrupts import Detached, Interrupts
from oros.shells.cli.parse import Options, Verb, budget, host
from oros.shells.cli.session import Session, code_of, here

INTERRUPTED = 130


def run(session: Session, options: Options) -> int:
    """Start a process, and follow it to its end."""
    args = {"program": options.program, "model": options.model, "folder": here()}
    args |= {"limits": dict(options.budget), "nice": options.nice}
    if options.review:
        args["review"] = True
    if options.guard:
        args["guard"] = True
    if options.net:
        args["net"] = options.net
    if options.need:
        args["needs"] = [name for words in options.need for name in words.split(",")]
    pid = session.call("spawn", goal=goal_of(options), **args)["pid"]
    if options.detach:
        session.give(options.output, {"pid": pid}, [str(pid)])
        return 0
    return Runner(session, pid, options).follow()


def goal_of(options: Options) -> str:
    """The goal from the words, or from standard input for `-`. Raises: Invalid."""
    goal = sys.stdin.read() if options.goal == ["-"] else " ".join(options.goal)
    if not goal.strip():
        raise Invalid("the goal is empty", 'oros run "How many lines has notes.txt?"')
    return goal


class Runner:
    """One process, followed from a terminal."""

    def __init__(self, session: Session, pid: int, options: Options) -> None:
        self._session, self._options = session, options
        self._terminal = session.terminal
        self._state = Follow(pid)
        self._meter = Meter(session, self._state)
        self._interrupts = Interrupts(self._interrupt, self._meter.tick)

    def follow(self) -> int:
        """Follow to the end; the exit code."""
        pid = self._state.pid
        try:
            with self._interrupts:
                for item in self._items():
                    self._take(item)
        except Detached:
            self._terminal.note(f"process {pid} goes on: oros trace {pid} · oros wait {pid}")
            return INTERRUPTED
        return self._finish()

    def _items(self) -> Iterator[dict[str, Any]]:
        """Its facts and tokens until it ends, is stopped, or rests."""
        for item in self._session.client.events(self._state.pid):
            yield item
            rests = self._state.rests and not self._state.question
            if self._state.ended or self._state.stopped is not None or rests:
                return

    def _asks(self) -> bool:
        """Whether the person is there to answer."""
        return sys.stdin.isatty() and self._terminal.err_tty

    def _take(self, item: dict[str, Any]) -> None:
        if self._options.stream:
            self._terminal.out(json.dumps(item))
        known = self._state.question
        self._state.take(item)
        if item.get("kind") == "spawned":
            banner(self._session, self._state.model)
        if item.get("kind") == "moved":
            self._terminal.note(story.gist(item), "yellow")
        if self._state.question and self._state.question != known:
            self._answer()
        if item.get("kind") == "carded" and self._state.card:
            self._card()

    def _answer(self) -> None:
        """Put its question to the person; without one at a terminal, say how to answer it."""
        pid, question = self._state.pid, self._state.question
        self._terminal.note(f"process {pid} asks: {question}", "yellow")
        if not self._asks():
            self._terminal.note(f"answer it from another terminal: oros send {pid} TEXT")
            return
        self._interrupts.asking = True
        try:
            self._terminal.note("> ", end="")
            text = sys.stdin.readline().strip()
        except KeyboardInterrupt:
            return
        finally:
            self._interrupts.asking = False
        if text:
            self._session.client.call("send", pid=pid, text=text)

    def _card(self) -> None:
        """Put its card to the person."""
        self._terminal.clear()
        self._interrupts.asking = True
        try:
            ask(self._session, self._state.pid, self._state.card, here=self._asks())
        except KeyboardInterrupt:
            return
        finally:
            self._interrupts.asking = False

    def _interrupt(self) -> None:
        """The first Ctrl-C, in the ticker's thread."""
        pid = self._state.pid
        self._terminal.note(f"stopping process {pid}; once more leaves it running", "yellow")
        try:
            self._session.client.call("kill", pid=pid, signal="INT")
        except OrosError as e:
            self._terminal.note(f"oros: {e}", "red")

    def _finish(self) -> int:
        state, terminal = self._state, self._terminal
        if self._options.output == "json" or self._options.stream:
            terminal.out(json.dumps(state.plain()))
        if state.stopped is not None:
            why = f": {state.stopped}" if state.stopped else ""
            how = f"go on: oros kill -CONT {state.pid} · oros wait {state.pid}"
            terminal.note(f"process {state.pid} is stopped{why}; {how}", "yellow")
            return code_of(state.stopped)
        if state.ended is None:
            pid = state.pid
            how = f"go on: oros send {pid} TEXT · end it: oros kill {pid}"
            terminal.note(f"process {pid} has stopped and keeps what it knows; {how}", "yellow")
            return INTERRUPTED if self._interrupts.count else 1
        if self._options.output == "text" and not self._options.stream:
            if state.ended["answer"]:
                terminal.out(state.ended["answer"].rstrip("\n"))
            for line in state.summary():
                terminal.note(line, "dim")
        if state.ended["status"]:
            why = f": {state.ended['why']}" if state.ended["why"] else ""
            failed = f"process {state.pid} failed, status {state.ended['status']}{why}"
            terminal.note(f"{failed} (oros trace {state.pid})", "red")
            return code_of(state.ended["why"])
        return 0


def banner(session: Session, name: str) -> None:
    """On the first use of a model, say honestly what it is and what it is good for."""
    seen = session.home / "seen-models"
    with suppress(OSError, OrosError, UnicodeDecodeError):
        known = seen.read_text("utf-8").split("\n") if seen.exists() else []
        if name in known:
            return
        found = session.client.query("models")
        about = next((m.get("about", "") for m in found if m["name"] == name), "")
        session.terminal.note(f"model {name}" + (f": {about}" if about else ""), "cyan")
        with seen.open("a", encoding="utf-8") as file:
            file.write(f"{name}\n")


def run_options(parser: ArgumentParser) -> None:
    """Words of run."""
    parser.add_argument("goal", nargs="+", metavar="GOAL", help="in your words; - reads stdin")
    parser.add_argument("-m", "--model", default="", metavar="NAME")
    parser.add_argument("-p", "--program", default="", metavar="NAME", help="such as code or steps")
    parser.add_argument(
        "-b",
        "--budget",
        type=budget,
        action="append",
        default=[],
        metavar="LIMIT",
        help="20000tok, $0.10, 60s or 30calls; may be given more than once",
    )
    parser.add_argument("--nice", type=int, choices=(0, 1), default=None, help="1: background")
    parser.add_argument(
        "--review", action="store_true", help="change nothing here before `oros commit`"
    )
    parser.add_argument(
        "--guard", action="store_true", help="show its model no text that others wrote"
    )
    parser.add_argument(
        "--net",
        type=host,
        action="append",
        default=[],
        metavar="HOST",
        help="its programs may reach this host, such as example.com or *.example.com:8443",
    )
    parser.add_argument(
        "--need",
        action="append",
        default=[],
        metavar="NAME",
        help="run no program unless the sandbox holds this: mem,net ... (oros doctor)",
    )
    parser.add_argument("-d", "--detach", action="store_true", help="print its pid, do not follow")
    parser.add_argument("--stream", action="store_true", help="every event as a line of JSON")


EXAMPLES = (
    'oros run "How many penguins of each species are in penguins.csv?"',
    'oros run --budget 20000tok --budget 2m -o json "Rename the scans by their dates"',
)
VERBS = {"run": Verb(run, run_options, EXAMPLES)}
