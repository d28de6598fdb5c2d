"""Files on the command line: ls, cat, write, rm, grep.

`/work` is the folder where the person is; relative paths are below it. `/proc` is there, too.
"""

import posixpath
import sys
from argparse import ArgumentParser
from base64 import b64decode
from typing import Any

from oros.abi.errors import Invalid, OrosError
from oros.shells.cli import draw
from oros.shells.cli.parse import Options, Verb
from oros.shells.cli.session import Session, here

MANY = 100_000
DEEP = 64


def path_of(text: str) -> str:
    """A path of the machine for what the person typed."""
    return posixpath.normpath(posixpath.join("/work", text))


def shown(path: str) -> str:
    """A path as the person would type it."""
    return path.removeprefix("/work/") if path != "/work" else "."


def on(session: Session, name: str, **args: Any) -> dict[str, Any]:
    """The outcome of a call on a file; `/work` is where the person is."""
    return session.machine().call(name, folder=here(), **args)


def entries(session: Session, path: str, depth: int) -> list[dict[str, Any]]:
    """What lies below a path; says so if it is not all."""
    found = on(session, "list", path=path_of(path), depth=depth, limit=MANY)["value"]
    if found.get("more"):
        session.terminal.note(f"oros: only the first {len(found['entries'])} are shown", "yellow")
    return list(found["entries"])


def ls(session: Session, options: Options) -> int:
    """List a folder."""
    found = entries(session, options.path, DEEP if options.recursive else 1)
    rows = []
    for entry in found:
        name = shown(entry["path"]) + ("/" if entry["kind"] == "dir" else "")
        size = None if entry["kind"] == "dir" else entry.get("size")
        rows.append([entry["kind"], draw.size(size), name])
    lines = draw.table(("KIND", "SIZE", "NAME"), rows, session.terminal.width, "KIND NAME")
    session.give(options.output, found, lines if found else ())
    return 0


def ls_options(parser: ArgumentParser) -> None:
    """Words of ls."""
    parser.add_argument("path", nargs="?", default="", metavar="PATH")
    parser.add_argument("-r", "--recursive", action="store_true")


def cat(session: Session, options: Options) -> int:
    """Print files, one after another."""
    for path in options.paths:
        offset: int | None = 0
        while offset is not None:
            found = on(session, "read", path=path_of(path), offset=offset, limit=1 << 20)
            if "base64" in found["value"]:
                raw(session, path, found["value"])
                break
            text = "".join(p["text"] for p in found["parts"] if p["kind"] == "text")
            if not text and (kind := found["value"].get("kind")) and found["value"].get("size"):
                raise Invalid(
                    f"{path} is not text", found["value"].get("why") or f"its kind: {kind}"
                )
            session.terminal.out(text, end="")
            offset = found["value"].get("next")
    return 0


def raw(session: Session, path: str, value: dict[str, Any]) -> None:
    """Write what is no text to standard output, unless that is a screen. Raises: Invalid."""
    if session.terminal.is_tty:
        name = path.rpartition("/")[2]
        raise Invalid(f"{path} is {value['kind']}, not text", f"oros cat {path} > {name}")
    sys.stdout.flush()
    sys.stdout.buffer.write(b64decode(value["base64"]))
    sys.stdout.buffer.flush()


def cat_options(parser: ArgumentParser) -> None:
    """Words of cat."""
    parser.add_argument("paths", nargs="+", metavar="PATH")


def write(session: Session, options: Options) -> int:
    """Write a file from the words given, or from standard input."""
    text = " ".join(options.text) + "\n" if options.text else sys.stdin.read()
    value = on(session, "write", path=path_of(options.path), text=text)["value"]
    session.give(options.output, value, ())
    return 0


def write_options(parser: ArgumentParser) -> None:
    """Words of write."""
    parser.add_argument("path", metavar="PATH")
    parser.add_argument("text", nargs="*", metavar="TEXT", help="else it is read from stdin")


def rm(session: Session, options: Options) -> int:
    """Remove files; the last error is the exit code."""
    code = 0
    for path in options.paths:
        try:
            on(session, "remove", path=path_of(path))
        except OrosError as e:
            session.terminal.note(f"oros: {e}", "red")
            code = e.exit_code
    return code


def grep(session: Session, options: Options) -> int:
    """Find text in files."""
    args = {"query": options.query, "path": path_of(options.path), "limit": options.limit}
    value = on(session, "search", **args)["value"]
    hits = value["hits"]
    lines = [f"{shown(h['path'])}:{h['line']}: {h['text'].strip()}" for h in hits]
    session.give(options.output, hits, lines)
    if value.get("more"):
        session.terminal.note(f"oros: there are more; --limit {options.limit * 10}", "yellow")
    return 0 if hits else 1


def grep_options(parser: ArgumentParser) -> None:
    """Words of grep."""
    parser.add_argument("query", metavar="TEXT")
    parser.add_argument("path", nargs="?", default="", metavar="PATH")
    parser.add_argument("--limit", type=int, default=200, metavar="N")


VERBS = {
    "ls": Verb(ls, ls_options, ("oros ls", "oros ls -r tables -o json")),
    "cat": Verb(cat, cat_options, ("oros cat notes.txt", "oros cat /proc/12/context"), False),  # noqa: FBT003
    "write": Verb(
        write, write_options, ("oros write todo.txt buy milk", "date | oros write now.txt")
    ),
    "rm": Verb(rm, cat_options, ("oros rm old.csv", "oros rm a.txt b.txt"), False),  # noqa: FBT003
    "grep": Verb(grep, grep_options, ("oros grep invoice", 'oros grep "due date" letters')),
}
