"""Folders that all processes see at /home/NAME: mount, umount; what of them is indexed."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from oros.abi.errors import Invalid
from oros.shells.cli import draw
from oros.shells.cli.machine import long
from oros.shells.cli.parse import Options, Verb
from oros.shells.cli.session import Session

INTERRUPTED = 130
"""The exit code of a command that Ctrl-C ended."""


def mount(session: Session, options: Options) -> int:
    """Mount a folder, or tell what is mounted and how far its index is."""
    if not options.folder or options.status:
        return status(session, options)
    folder = Path(options.folder).expanduser().absolute()
    args = {"folder": str(folder), "name": options.name, "ro": options.ro, "index": options.index}
    try:
        return long(session, "mount", args, options.output)
    except KeyboardInterrupt:
        session.terminal.clear()
        session.terminal.note("oros: it is mounted, and its index goes on: oros mount --status")
        return INTERRUPTED


def status(session: Session, options: Options) -> int:
    """What is mounted; a line for each file that could not be read."""
    found = session.machine().query("mounts")
    if options.folder:
        wanted = options.folder.removeprefix("/home/")
        found = [m for m in found if m["name"] == wanted]
        if not found:
            raise Invalid(f"{options.folder} is not mounted", "oros mount lists what is")
    rows = [[f"/home/{m['name']}", m["right"], indexed(m.get("index")), m["folder"]] for m in found]
    lines = list(draw.table(("MOUNT", "RIGHT", "INDEX", "FOLDER"), rows, session.terminal.width))
    for row in found:
        index = row.get("index") or {}
        lines += [f"  {line}" for line in (*index.get("failures", ()), *index.get("notes", ()))]
    session.give(options.output, found, lines if rows else ["nothing is mounted (oros mount DIR)"])
    return 0


def indexed(index: dict[str, Any] | None) -> str:
    """How far an index is, in some words."""
    if not index:
        return "none"
    failed = f", {index['failed']} unread" if index.get("failed") else ""
    why = f": {index['why']}" if index.get("why") else ""
    return f"{index['state']} {index['done']}/{index['total']}{failed}{why}"


def umount(session: Session, options: Options) -> int:
    """Show a folder to nobody any more; its index is dropped, its files stay."""
    return long(session, "umount", {"name": options.name}, options.output)


def mount_options(parser: ArgumentParser) -> None:
    """Words of mount."""
    parser.add_argument("folder", nargs="?", default="", metavar="DIR")
    parser.add_argument("name", nargs="?", default="", metavar="/home/NAME")
    parser.add_argument("--ro", action="store_true", help="to read only")
    parser.add_argument("--index", action="store_true", help="find what is in it by meaning")
    parser.add_argument("--status", action="store_true", help="tell how far its index is")


def umount_options(parser: ArgumentParser) -> None:
    """Words of umount."""
    parser.add_argument("name", metavar="/home/NAME")


VERBS = {
    "mount": Verb(
        mount, mount_options, ("oros mount ~/letters --ro --index", "oros mount --status")
    ),
    "umount": Verb(umount, umount_options, ("oros umount /home/letters", "oros umount letters")),
}
