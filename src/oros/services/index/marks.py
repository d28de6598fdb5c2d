"""What is known of an indexed file, kept with its rows in the same commit. Pure."""

import json
import os
from typing import NamedTuple

VERSION = 1
"""Of how files are cut in rows; another one has all of them read anew."""
_VENDOR = """node_modules bower_components __pycache__ site-packages vendor venv CVS"""
VENDOR = frozenset(_VENDOR.split())


class Mark(NamedTuple):
    """A file: its status when it was read, its content's hash, and what came of it.

    `error`: why there are no rows; `note`: what is not in them. `reader`: with which libraries an
    error came about. `rows`: how many.
    """

    size: int
    mtime: int
    inode: int
    hash: str = ""
    kind: str = ""
    error: str = ""
    note: str = ""
    reader: str = ""
    rows: int = 0

    def same(self, status: os.stat_result) -> bool:
        """Whether a file with this status is the one that was read."""
        mine = self.size, self.mtime, self.inode
        return mine == (status.st_size, status.st_mtime_ns, status.st_ino)

    def text(self) -> str:
        """As the store keeps it."""
        return json.dumps([VERSION, *self], separators=(",", ":"), ensure_ascii=False)


def mark_of(status: os.stat_result) -> Mark:
    """The mark of a file that is about to be read."""
    return Mark(status.st_size, status.st_mtime_ns, status.st_ino)


def read_mark(text: str) -> Mark | None:
    """A mark as it was kept; None for one of another version, or a damaged one."""
    try:
        version, *values = json.loads(text)
        mark = Mark(*values)
    except (ValueError, TypeError):
        return None
    numbers = mark.size, mark.mtime, mark.inode, mark.rows
    texts = mark.hash, mark.kind, mark.error, mark.note, mark.reader
    sound = all(type(n) is int for n in numbers) and all(type(t) is str for t in texts)
    return mark if version == VERSION and sound else None


class _Shut:
    """Names of folders that are not entered, and of files that are not read."""

    def __contains__(self, name: object) -> bool:
        return not isinstance(name, str) or name.startswith(".") or name in VENDOR


SHUT = _Shut()


def hidden(path: str) -> bool:
    """Whether a path lies in such a folder, or is such a file."""
    return any(part in SHUT for part in path.split("/") if part)
