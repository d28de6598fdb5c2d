"""`oros find`: files by their names, then what stands in mounted folders and in memory."""

import posixpath
from argparse import ArgumentParser
from fnmatch import fnmatchcase
from typing import Any

from oros.abi.errors import Invalid, OrosError
from oros.shells.cli import draw
from oros.shells.cli.files import DEEP, entries, on, path_of, shown
from oros.shells.cli.parse import Options, Verb
from oros.shells.cli.session import Session

EVERYWHERE = ("/home", "/mem")


def find(session: Session, options: Options) -> int:
    """Find files by name where you are, and passages in mounted folders and memory."""
    if not options.words.strip():
        raise Invalid("find: what?", "oros find --help")
    named = by_name(session, options.words, options.path)
    hits: list[dict[str, Any]] = []
    if not options.name and "*" not in options.words:
        for path in [path_of(options.path)] if options.path else EVERYWHERE:
            hits += passages(session, path, options)
    hits.sort(key=lambda h: -float(h.get("score") or 0.0))
    hits = hits[: options.limit]
    lines = [shown(e["path"]) for e in named] + [line(h, session.terminal.width) for h in hits]
    session.give(options.output, [*named, *hits], lines)
    return 0 if named or hits else 1


def by_name(session: Session, words: str, path: str) -> list[dict[str, Any]]:
    """Files whose name has these words, or matches a pattern with *."""
    pattern = words.lower() if "*" in words else f"*{words.lower()}*"
    return [
        e
        for e in entries(session, path, DEEP)
        if fnmatchcase(posixpath.basename(e["path"]).lower(), pattern)
    ]


def passages(session: Session, path: str, options: Options) -> list[dict[str, Any]]:
    """What answers the words below a path, best first; says so where an index is not whole."""
    try:
        value = on(session, "search", query=options.words, path=path, limit=options.limit)["value"]
    except OrosError as e:
        session.terminal.note(f"oros: {path}: {e}", "yellow")
        return []
    if value.get("index"):
        session.terminal.note(f"oros: not all is indexed yet: {value['index']}", "yellow")
    return list(value["hits"])


def line(hit: dict[str, Any], width: int) -> str:
    """A passage: where it stands, and its words in one line."""
    place = hit.get("place") or (f"line {hit['line']}" if hit.get("line") else "")
    where = shown(hit["path"]) + (f"  {place}" if place else "")
    return draw.fit(f"{where}  {' '.join(str(hit.get('text', '')).split())}", width)


def find_options(parser: ArgumentParser) -> None:
    """Words of find."""
    parser.add_argument("words", metavar="WORDS", help="or a pattern with * for names")
    parser.add_argument("path", nargs="?", default="", metavar="PATH")
    parser.add_argument("-n", "--name", action="store_true", help="names of files only")
    parser.add_argument("--limit", type=int, default=20, metavar="N")


VERBS = {
    "find": Verb(
        find, find_options, ("oros find 'when is the rent due'", "oros find '*.csv' tables")
    )
}
