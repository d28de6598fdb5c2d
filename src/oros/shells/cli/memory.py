"""`oros mem`: what is remembered; by whom, since when, and how far it may be trusted."""

import sys
import time
from argparse import ArgumentParser, ArgumentTypeError
from collections import Counter
from typing import Any

from oros.abi.errors import Invalid
from oros.shells.cli import draw
from oros.shells.cli.machine import flat, long
from oros.shells.cli.parse import Options, Verb, duration
from oros.shells.cli.session import Session

ACTS = ("list", "find", "add", "why", "correct", "expire", "forget", "status")
EVER = float("inf")
TRUST = ("others' text", "a service's", "the machine's", "yours")
"""What an integrity is called, from the lowest."""


def mem(session: Session, options: Options) -> int:
    """One act on memory."""
    acts = {"find": find, "add": add, "why": why, "correct": correct, "forget": forget}
    if options.act in acts:
        if not options.words:
            raise Invalid(f"mem {options.act}: what?", "oros mem --help")
        return acts[options.act](session, options)
    if options.act == "expire":
        return expire(session, options)
    if options.act == "status":
        found = session.machine().query("memory.status")
        session.give(options.output, found, flat(found))
        return 0
    rows = session.machine().query("memory")
    lines = draw.table(
        ("ID", "SCOPE", "NAME", "TRUST", "TEXT"),
        [[number(r["id"]), r["scope"], r["name"], trust(r), plain(r["text"])] for r in rows],
        session.terminal.width,
        "SCOPE NAME TRUST TEXT",
    )
    session.give(options.output, rows, lines if rows else ["nothing is remembered (oros mem add)"])
    return 0


def find(session: Session, options: Options) -> int:
    """What answers some words, best first."""
    args = {"query": " ".join(options.words), "path": "/mem", "limit": options.limit}
    hits = session.call("search", **args)["hits"]
    lines = [f"{number(h['id']):>5}  {h['path']}  {plain(h['text'])}" for h in hits]
    session.give(options.output, hits, [draw.fit(x, session.terminal.width) for x in lines])
    return 0 if hits else 1


def add(session: Session, options: Options) -> int:
    """Remember something; `--always`: it stands before every later process."""
    text = " ".join(options.words)
    name = options.name or "-".join(text.lower().split()[:4])
    name = "".join(c if c.isalnum() or c in "-_." else "" for c in name)[:60] or "note"
    path = f"/mem/{'always' if options.always else 'user'}/{name}"
    session.call("write", path=path, text=text)
    if options.for_ not in (None, EVER):
        scope = "always" if options.always else "user"
        rows = session.machine().query("memory", scope=scope, name=name)
        last(session, "memory.expire", ids=[r["id"] for r in rows], seconds=options.for_)
    session.give(options.output, {"path": path}, [f"remembered: {path}"])
    return 0


def why(session: Session, options: Options) -> int:
    """Where a row came from."""
    found = session.machine().query("memory.why", id=options.words[0])
    by = found["process"]
    who = "you" if not by["pid"] else f"process {by['pid']} ({by['program'] or 'gone'})"
    lines = [
        f"{number(found['id'])}  {found['scope']}/{found['name']}  ({found['kind']})",
        f"text:   {plain(found['text'])}",
        f"by:     {who}{': ' + by['goal'] if by['goal'] else ''}",
        f"when:   {day(found['at'])}",
        f"until:  {'-' if found['expires'] is None else day(found['expires'])}",
        f"trust:  {trust(found)}",
        f"from:   {', '.join(found['origins']) or '-'}",
    ]
    session.give(options.output, found, lines)
    return 0


def correct(session: Session, options: Options) -> int:
    """Put your own text in the place of a row."""
    if len(options.words) < 2:
        raise Invalid(
            "mem correct: which one, and what is right?", "oros mem correct 2.1 'it is 7'"
        )
    args = {"id": options.words[0], "text": " ".join(options.words[1:])}
    return long(session, "memory.correct", args, options.output)


def forget(session: Session, options: Options) -> int:
    """Forget rows: they are gone from every index and from the file."""
    return long(session, "memory.forget", {"ids": options.words}, options.output)


def expire(session: Session, options: Options) -> int:
    """Forget rows by their age or their numbers: now, or with `--for` later; `--for ever` never."""
    ids = list(options.words)
    if bool(ids) == (options.older_than is not None):
        raise Invalid("mem expire: which? numbers or --older-than", "oros mem expire --help")
    if not ids:
        rows = session.machine().query("memory", older=options.older_than)
        rows = [r for r in rows if r["scope"] != "always"]
        if not rows:
            session.give(options.output, {"forgotten": 0}, ["nothing is that old"])
            return 1
        if options.for_ is None and not options.yes and not sure(session, rows):
            return 1
        ids = [r["id"] for r in rows]
    if options.for_ is None:
        return long(session, "memory.forget", {"ids": ids}, options.output)
    left = None if options.for_ == EVER else options.for_
    return long(session, "memory.expire", {"ids": ids, "seconds": left}, options.output)


def sure(session: Session, rows: list[dict[str, Any]]) -> bool:
    """Ask whether so much is to be forgotten. Raises: Invalid where nobody can answer."""
    counts = Counter(r["scope"] for r in rows)
    what = f"{len(rows)} row{'s' * (len(rows) > 1)}: " + ", ".join(
        f"{n} of {s}" for s, n in sorted(counts.items())
    )
    if not (sys.stdin.isatty() and session.terminal.err_tty):
        raise Invalid(f"this would forget {what}", "say --yes if it shall")
    session.terminal.note(f"forget {what}, for good? y/N > ", end="")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def last(session: Session, name: str, **args: Any) -> Any:
    """What something long came to, when nobody watches it."""
    return [step["result"] for step in session.machine().progress(name, **args)
            if "result" in step][-1]  # fmt: skip


def spell(text: str) -> float:
    """A time that something is kept for, or `ever`."""
    if text == "ever":
        return EVER
    try:
        return duration(text)
    except ArgumentTypeError as e:
        raise ArgumentTypeError(f"{e}, or ever") from e


def day(at: float) -> str:
    """A time of the wall, to the minute."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))


def number(row: int) -> str:
    """A row's number as people can type it: that of its scope and its own in it."""
    return f"{row >> 32}.{row & 0xFFFFFFFF}"


def trust(row: dict[str, Any]) -> str:
    """How far a row may be trusted, in words."""
    return TRUST[int(row["integrity"])]


def plain(text: str) -> str:
    """A text in one line."""
    return " ".join(text.split())


def mem_options(parser: ArgumentParser) -> None:
    """Words of mem."""
    parser.add_argument("act", nargs="?", default="list", choices=ACTS, metavar="|".join(ACTS))
    parser.add_argument("words", nargs="*", metavar="WORDS|ID")
    parser.add_argument("--always", action="store_true", help="it stands before every process")
    parser.add_argument("--name", default="", metavar="NAME", help="what it is called in memory")
    parser.add_argument("--limit", type=int, default=20, metavar="N")
    text = "add, expire: forget it in that time (30d, 12h), or keep it for `ever`"
    parser.add_argument("--for", dest="for_", type=spell, metavar="TIME", help=text)
    text = "expire: all that is older (90d); not what stands always"
    parser.add_argument("--older-than", type=duration, metavar="TIME", help=text)
    parser.add_argument("--yes", action="store_true", help="expire: do not ask")


VERBS = {
    "mem": Verb(
        mem,
        mem_options,
        ("oros mem add 'I live in Bonn' --always", "oros mem expire --older-than 90d"),
    )
}
