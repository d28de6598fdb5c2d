"""`oros top`: processes and slots, drawn anew each second; one plain table without a terminal."""

import os
import select
import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from oros.abi.rows import columns, rows
from oros.shells.cli import draw
from oros.shells.cli.parse import Options, Verb, duration
from oros.shells.cli.processes import lines, listing
from oros.shells.cli.session import Session

ENTER, LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
"""The alternate screen without a cursor, and back."""

OWNERS = ("program", "calls", "pinned", "earlier", "recalled", "turn")
MOST_WINDOWS = 8
"""Processes whose windows are shown."""


def top(session: Session, options: Options) -> int:
    """Watch until q or Ctrl-C; `-n` draws it so many times."""
    if options.output == "json":
        session.give("json", look(session), ())
        return 0
    if not (session.terminal.is_tty and sys.stdin.isatty()):
        for n in range(options.n or 1):
            if n:
                time.sleep(options.every)
            for line in page(session, look(session)):
                session.terminal.out(line)
        return 0
    with keys(), screen(session):
        left = options.n
        while True:
            draw_screen(session)
            left -= 1
            if left == 0 or pressed(options.every):
                return 0


def look(session: Session) -> dict[str, Any]:
    """What there is to see."""
    client = session.machine()
    found = rows(listing(session, ended=False))
    return {"status": client.status(), "slots": client.query("slots"), "processes": found}


def page(session: Session, seen: dict[str, Any]) -> Iterator[str]:
    """All of it as lines."""
    shown, width = seen["processes"], session.terminal.width
    states = ", ".join(f"{n} {s}" for s, n in seen["status"]["processes"].items())
    used = sum(r["tokens_in"] + r["tokens_out"] for r in shown)
    prices = [r["micros"] for r in shown]
    spent = None if None in prices else sum(prices)
    head = f"oros {seen['status']['version']} · {states} · {draw.tokens(used)} tokens"
    yield draw.cut(f"{head} · {draw.money(spent)}", width)
    for model in seen["slots"]:
        busy, waits = len(model["running"]), len(model["waiting"])
        gauge = draw.bar(busy, model["slots"], min(20, model["slots"]))
        yield draw.cut(f"{model['model']}  {gauge} {busy}/{model['slots']}  {waits} wait", width)
    yield ""
    yield from lines(columns(shown), width, long=width >= 110)
    yield from windows(shown, width)


def windows(shown: list[dict[str, Any]], width: int) -> Iterator[str]:
    """What stands in models' windows, in tokens by whose it is; who thought last comes first."""
    full = sorted((r for r in shown if r["window"]), key=lambda r: -r["changed"])[:MOST_WINDOWS]
    if not full:
        return
    owners = [o for o in OWNERS if any(o in r["window"] for r in full)]
    yield ""
    cells = [
        [str(r["pid"]), draw.tokens(sum(r["window"].values()))]
        + [draw.tokens(r["window"].get(o, 0)) for o in owners]
        for r in full
    ]
    yield from draw.table(["PID", "WINDOW", *map(str.upper, owners)], cells, width, "")


def draw_screen(session: Session) -> None:
    """Draw over what is there, so that nothing flickers."""
    terminal = session.terminal
    found = list(page(session, look(session)))[: terminal.height - 1]
    terminal.raw("\x1b[H")
    for line in found:
        terminal.out(line, end="")
        terminal.raw("\x1b[K\n")
    terminal.raw("\x1b[J\x1b[2mq ends\x1b[0m")


@contextmanager
def screen(session: Session) -> Iterator[None]:
    """The alternate screen, for the time of the block."""
    session.terminal.raw(ENTER)
    try:
        yield
    finally:
        session.terminal.raw(LEAVE)


@contextmanager
def keys() -> Iterator[None]:
    """Keys come one by one and are not shown, for the time of the block."""
    import termios  # there is a terminal
    import tty

    old = termios.tcgetattr(0)
    tty.setcbreak(0)
    try:
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, old)


def pressed(seconds: float) -> bool:
    """Wait; whether q was pressed meanwhile."""
    ready, _, _ = select.select([0], [], [], seconds)
    return bool(ready) and os.read(0, 64)[:1] in (b"q", b"Q", b"")


def top_options(parser: ArgumentParser) -> None:
    """Words of top."""
    parser.add_argument("-n", type=int, default=0, metavar="N", help="draw it N times, then end")
    parser.add_argument("--every", type=duration, default=1.0, metavar="TIME", help="such as 2s")


VERBS = {"top": Verb(top, top_options, ("oros top", "oros top -n 1"))}
