"""`oros mem`: what is remembered; by whom, since when, and how far it may be trusted."""

import time
from argparse import ArgumentParser
from typing import Any

from oros.abi.errors import Invalid
from oros.shells.cli import draw
from oros.shells.cli.machine import flat, long
from oros.shells.cli.parse import Options, Verb
from oros.shells.cli.session import Session

ACTS = ("list", "find", "add", "why", "correct", "forget", "status")
TRUST = ("others' text", "a service's", "the machine's", "yours")
"""What an integrity is called, from the lowest."""


def mem(session: Session, options: Options) -> int:
    """One act on memory."""
    acts = {"find": find, "add": add, "why": why, "correct": correct, "forget": forget}
    if options.act in acts:
        if not options.words:
            raise Invalid(f"mem {options.act}: what?", "oros mem --help")
        return acts[options.act](session, options)
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
        f"when:   {time.strftime('%Y-%m-%d %H:%M', time.localtime(found['at']))}",
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


VERBS = {
    "mem": Verb(mem, mem_options, ("oros mem add 'I live in Bonn' --always", "oros mem why 2.1"))
}
