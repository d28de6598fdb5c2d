"""What a process changed, on the command line: diff, commit, discard, undo, redo."""

import json
from argparse import ArgumentParser
from typing import Any

from oros.abi.errors import Busy
from oros.shells.cli import draw
from oros.shells.cli.parse import Options, Verb, a_pid, pid
from oros.shells.cli.session import Session

SHOWN = 40
PAGE = 1 << 20
STYLE = {"+": "green", "-": "red", "@": "cyan"}


def text_of(session: Session, path: str) -> str:
    """The whole of a file of /proc."""
    found: list[str] = []
    at: int | None = 0
    while at is not None:
        page = session.machine().call("read", path=path, offset=at, limit=PAGE)
        found += [p["text"] for p in page["parts"] if "text" in p]
        at = page["value"]["next"]
    return "".join(found)


def diff(session: Session, options: Options) -> int:
    """Show what is not in the folder; with --all, every change and where it stands."""
    if options.all or options.output == "json":
        rows = json.loads(text_of(session, f"/proc/{options.pid}/layers"))
        session.give(options.output, rows, table(session, rows) if rows else ())
        if not rows and options.output == "text":
            session.terminal.note(f"process {options.pid} has changed no file", "dim")
        return 0
    text = text_of(session, f"/proc/{options.pid}/diff")
    for line in text.splitlines():
        session.terminal.out(line, STYLE.get(line[:1], ""))
    if not text:
        session.terminal.note(f"nothing waits; all changes: oros diff --all {options.pid}", "dim")
    return 0


def table(session: Session, rows: list[dict[str, Any]]) -> list[str]:
    """The changes of a process, a line each."""
    cells = [
        [
            str(row["seq"]),
            row["state"],
            str(row["count"]),
            " ".join(row["paths"][:4]) + (" ..." if row["count"] > 4 else ""),
        ]
        for row in rows
    ]
    head = ("SEQ", "STATE", "FILES", "PATHS")
    return draw.table(head, cells, session.terminal.width, "STATE PATHS")


def diff_options(parser: ArgumentParser) -> None:
    """Words of diff."""
    a_pid(parser)
    parser.add_argument("--all", action="store_true", help="all changes, a line each")


def act(session: Session, options: Options, **words: Any) -> int:
    """Do something to a process's changes, and tell what came of it."""
    request = {k: v for k, v in words.items() if v is not None and v is not False}
    path = f"/proc/{options.pid}/layers"
    found = session.call("write", path=path, text=json.dumps(request))
    done = found["done"]
    lines = [f"{words['do']}: {shown(item)}" for item in done[:SHOWN]]
    if len(done) > SHOWN:
        lines.append(f"and {len(done) - SHOWN} more")
    lines += [f"ended: process {pid}, which lost its race" for pid in found.get("lost", ())]
    if left := found.get("left"):
        what = "an earlier change stays" if left == 1 else f"{left} earlier changes stay"
        lines.append(f"{what}: oros undo {options.pid} again, or --to 0 for all")
    session.give(options.output, found, lines)
    if not found["waits"]:
        return 0
    for name, why in list(found["waits"].items())[:SHOWN]:
        session.terminal.note(f"left alone: {name}: {why}", "yellow")
    return Busy.exit_code


def shown(item: Any) -> str:
    """A path, or a change by its place in the journal and its paths."""
    if isinstance(item, str):
        return item
    more = f" and {item['count'] - 8} more" if item["count"] > 8 else ""
    return f"event {item['seq']}: {' '.join(item['paths'][:8])}{more}"


def commit(session: Session, options: Options) -> int:
    """Bring changes into the folder."""
    return act(session, options, do="commit", held=options.held, force=options.force)


def commit_options(parser: ArgumentParser) -> None:
    """Words of commit."""
    a_pid(parser)
    parser.add_argument("--held", action="store_true", help="also what would run later by itself")
    parser.add_argument(
        "--force",
        action="store_true",
        help="also over your own changes, which undo brings back, and beside the winner of a race",
    )


def discard(session: Session, options: Options) -> int:
    """Throw away what waits."""
    return act(session, options, do="discard")


def undo(session: Session, options: Options) -> int:
    """Take changes back."""
    return act(session, options, do="undo", to=options.to)


def undo_options(parser: ArgumentParser) -> None:
    """Words of undo."""
    a_pid(parser)
    parser.add_argument(
        "--to", type=pid, default=None, metavar="SEQ", help="all after this event; 0: all"
    )


def redo(session: Session, options: Options) -> int:
    """Bring back what was undone last."""
    return act(session, options, do="redo")


VERBS = {
    "diff": Verb(diff, diff_options, ("oros diff 12", "oros diff --all 12")),
    "commit": Verb(commit, commit_options, ("oros commit 12", "oros commit --held 12")),
    "discard": Verb(discard, a_pid, ("oros discard 12", "oros discard 12 -o json")),
    "undo": Verb(undo, undo_options, ("oros undo 12", "oros undo 12 --to 8")),
    "redo": Verb(redo, a_pid, ("oros redo 12", "oros redo 12 -o json")),
}
