"""`oros` without a verb: a line-by-line talk with pid 1, and slash commands for all verbs.

What pid 1 says is printed as it comes; what it does is shown dimmed. Ctrl-C stops its turn, a
second one leaves it to itself and gives the prompt back. Ctrl-D or /quit ends the talk only.
"""

import shlex
import sys
from contextlib import suppress
from typing import Any

from oros.abi.errors import OrosError
from oros.shells.cli import story
from oros.shells.cli.follow import Follow, Meter
from oros.shells.cli.grants import ask
from oros.shells.cli.interrupts import Detached, Interrupts
from oros.shells.cli.run import banner
from oros.shells.cli.session import Session, here

INIT = 1
HISTORY = 1000


def talk(session: Session) -> int:
    """Read lines until the end of input."""
    session.machine()
    interactive = sys.stdin.isatty()
    if interactive:
        remember(session)
        session.terminal.note("Talk with process 1. /help lists commands, /quit ends.", "dim")
    broken = False
    while True:
        try:
            if broken:
                session.terminal.note("")
            broken = False
            line = input("oros> " if interactive else "").strip()
        except EOFError:
            session.terminal.note("", end="\n" if interactive else "")
            return 0
        except KeyboardInterrupt:
            broken = True  # no more than this here: another Ctrl-C may come at once
            continue
        if line in ("/quit", "/exit", "/q"):
            return 0
        if line:
            answer(session, line)


def answer(session: Session, line: str) -> None:
    """A command, or a turn of the talk; errors end neither."""
    try:
        if line.startswith("/"):
            command(session, line[1:])
        else:
            Turn(session).take(line)
    except OrosError as e:
        session.terminal.note(f"oros: {e}", "red")


def command(session: Session, line: str) -> None:
    """`/ps -v` is `oros ps -v`."""
    try:
        words = shlex.split(line)
    except ValueError as e:
        session.terminal.note(f"oros: EINVAL: {e}", "red")
        return
    if words in ([], ["help"], ["?"]):
        words = ["--help"]
    with suppress(SystemExit, KeyboardInterrupt):  # a wrong word ends the command, not the talk
        session.again(session, words)


def remember(session: Session) -> None:
    """Lines of earlier talks behind the arrow keys, in the machine's home."""
    try:
        import atexit
        import readline
    except ImportError:
        return
    path = session.home / "history"
    with suppress(OSError):
        path.touch(mode=0o600)
        readline.read_history_file(path)
        readline.set_history_length(HISTORY)
        atexit.register(readline.write_history_file, path)


class Turn:
    """One message to pid 1, and all that comes of it until it waits for the next."""

    def __init__(self, session: Session) -> None:
        self._session, self._terminal = session, session.terminal
        self._state = Follow(INIT)
        self._meter = Meter(session, self._state)
        self._held = ""
        self._said = ""

    def take(self, text: str) -> None:
        """Send a message, and show what happens."""
        client = self._session.client
        seq = client.call("send", pid=INIT, text=text, folder=here())["value"]["seq"]
        try:
            with Interrupts(self._interrupt, self._tick) as self._interrupts:
                for item in client.events(INIT, seq - 1):
                    self._show(item)
                    if item.get("kind") == "carded" and self._state.card:
                        self._card()
                    if self._state.rests and item.get("kind") == "parked":
                        return
        except Detached:
            self._terminal.note("process 1 goes on: /trace 1", "yellow")
        self._terminal.clear()

    def _card(self) -> None:
        """Put its card to the person."""
        self._terminal.clear()
        self._interrupts.asking = True
        with suppress(KeyboardInterrupt):
            ask(self._session, INIT, self._state.card, here=sys.stdin.isatty())
        self._interrupts.asking = False

    def _tick(self) -> None:
        if not self._said:
            self._meter.tick()

    def _interrupt(self) -> None:
        """Ctrl-C stops this turn; what it started goes on."""
        try:
            self._session.client.call("kill", pid=INIT, signal="INT", tree=False)
        except OrosError as e:
            self._terminal.note(f"oros: {e}", "red")

    def _show(self, item: dict[str, Any]) -> None:
        self._state.take(item)
        if item.get("what") == "text":
            self._stream(item["token"])
        elif item.get("kind") == "moved":
            self._terminal.note(story.gist(item), "yellow")
        elif item.get("kind") == "model_called":
            banner(self._session, item["event"]["model"])
        elif item.get("kind") == "model_replied" and not item["event"].get("about"):
            self._replied(item["event"])
        elif item.get("kind") == "call_entered":
            self._terminal.note(f"  {story.entered(item['event'])}", "dim")
        elif item.get("kind") == "call_returned":
            self._terminal.note(f"  {story.returned(item['event'])}", "dim")

    def _stream(self, text: str) -> None:
        """Print words as they come; what begins like a call is held back until it is known."""
        self._held += text
        if self._said or (self._held.strip() and self._held.lstrip()[0] not in "{`"):
            self._terminal.out(self._held if self._said else self._held.lstrip(), end="")
            self._said += self._held
            self._held = ""

    def _replied(self, event: dict[str, Any]) -> None:
        """Close the words that streamed; print them if they did not."""
        text = story.text_of(event["message"]).strip()
        if self._said:
            self._terminal.out("")
        elif text and not event["message"]["asks"]:
            self._terminal.out(text)
        if event["error"]:
            self._terminal.note(f"oros: {event['error']}", "red")
        self._held = self._said = ""
