"""A label on the file itself, in an extended attribute: it goes along when you move the file.

The label that counts stands in the machine's settings (labels.py); a mark is added to it, so it can
only lower: whoever can set one could have written the file. A file system that has no such
attributes holds none, and what copies without them leaves them behind.
"""

import json
import os
from contextlib import suppress
from pathlib import Path

from oros.abi.labels import NOTHING, Integrity, Label, foreign
from oros.services.files.resolve import Root
from oros.services.files.walk import walk

NAME = "user.oros.label"
MOST = 2000
"""Bytes of a mark: file systems hold some 4,000 for all of a file's attributes."""

MOST_FILES = 20_000
"""Files that are looked at for marks before it is given up."""

MANY = frozenset({"web:*"})
"""Stands for more origins than a mark holds, and for a mark that can't be read."""

UNKNOWN = Label(Integrity.THIRD, None, MANY)


def put(file: Path | int, label: Label) -> None:
    """Mark a file that was just made, if its label says more than that others wrote it."""
    if label.readers is None and not foreign(label):
        return
    data = _text(label, foreign(label))
    if len(data) > MOST:
        data = _text(label, MANY)
    with suppress(OSError):  # no such attributes here, or no room for one
        os.setxattr(file, NAME, data, follow_symlinks=isinstance(file, int))


def of(path: str | Path) -> Label:
    """What the mark of a file says; nothing without one. One that can't be read is the worst."""
    try:
        record = json.loads(os.getxattr(path, NAME, follow_symlinks=False))
        readers, origins = record["r"], frozenset(map(str, record["o"]))
        closed = None if readers is None else frozenset(map(str, readers))
        return Label(Integrity(record["i"]), closed, origins)
    except OSError:
        return NOTHING
    except (ValueError, KeyError, TypeError):
        return UNKNOWN


def beneath(root: Path) -> dict[str, Label] | None:
    """The marked files of a folder; None if there are too many files to look."""
    found: dict[str, Label] = {}
    try:
        for count, entry in enumerate(walk(Root(root))):
            if count >= MOST_FILES:
                return None
            if entry.kind == "file" and (label := of(root / entry.path)) != NOTHING:
                found[entry.path] = label
    except OSError:
        return None
    return found


def _text(label: Label, origins: frozenset[str]) -> bytes:
    readers = None if label.readers is None else sorted(label.readers)
    record = {"i": int(label.integrity), "r": readers, "o": sorted(origins)}
    return json.dumps(record, separators=(",", ":")).encode()
