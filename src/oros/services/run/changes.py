"""What a layer changes in a folder, as people and models are told it.

A manifest knows the kind, size, times and mode of each path, but nothing of what is in it.
"""

import os
import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Literal, NamedTuple

from oros.services.files.entry import Kind, kind_of
from oros.services.files.resolve import Root
from oros.services.files.walk import VCS, walk
from oros.services.layers.tree import Layer

MAX_ENTRIES = 20_000

Change = Literal["added", "modified", "removed", "renamed"]


class Mark(NamedTuple):
    """All that a manifest knows of one entry."""

    kind: Kind
    size: int
    mtime: int
    ctime: int
    mode: int
    inode: int


Manifest = Mapping[str, Mark]


@dataclass(frozen=True, slots=True)
class Changed:
    """One change; `source` is the old path of something renamed."""

    path: str
    change: Change
    size: int
    source: str = ""


def changes_of(layer: Layer, same: Iterable[str], view: Root) -> list[Changed]:
    """What a layer changes in the folder that it lies over."""
    skip = set(same)
    before: dict[str, Mark] = {}
    after: dict[str, Mark] = {}
    for path, entry in layer.entries.items():
        if path in skip:
            continue
        if entry.what != "gone":
            inode = len(after) + 1 if entry.what == "dir" else 0
            after[path] = Mark(entry.what, entry.size, entry.mtime, 0, entry.mode, inode)
        old = view.found(path)
        if old is None:
            continue
        _put(before, path, old)
        if stat.S_ISDIR(old.st_mode) and (entry.what != "dir" or entry.opaque):
            with suppress(OSError):  # what lies too deep is not told of by itself
                for seen in islice(walk(view, path, stats=True, skip=frozenset()), MAX_ENTRIES):
                    if seen.stat is not None:
                        _put(before, seen.path, seen.stat)
    return difference(before, after)


def _put(into: dict[str, Mark], path: str, status: os.stat_result) -> None:
    """Inodes and the ctime differ between layers: a file is known again by its size and time."""
    kind = kind_of(status.st_mode)
    size = 0 if kind == "dir" else status.st_size
    inode = -len(into) - 1 if kind == "dir" else 0
    into[path] = Mark(kind, size, status.st_mtime_ns, status.st_ctime_ns, status.st_mode, inode)


def difference(before: Manifest, after: Manifest) -> list[Changed]:
    """The changes, by path. A folder counts when it came or went and no file in it tells so.

    What lies in a folder that moved as a whole, or in a version control system's own, is one
    change of that folder.
    """
    gone = {p: m for p, m in before.items() if p not in after or after[p].kind != m.kind}
    came = {p: m for p, m in after.items() if p not in before or before[p].kind != m.kind}
    moved = _moves(gone, came)
    sources = set(moved.values())
    found = [Changed(p, "renamed", m.size, moved[p]) for p, m in came.items() if p in moved]
    found += [Changed(p, "added", m.size) for p, m in came.items() if p not in moved]
    found += [Changed(p, "removed", m.size) for p, m in gone.items() if p not in sources]
    found += [
        Changed(p, "modified", mark.size)
        for p, mark in after.items()
        if p in before and p not in came and before[p] != mark and mark.kind != "dir"
    ]
    return sorted(_told(found, before, after, moved), key=lambda c: (c.path, c.change))


def _moves(gone: Manifest, came: Manifest) -> dict[str, str]:
    """New path -> old path of what is the same inode with the same content."""
    by_inode = {_identity(mark): path for path, mark in gone.items()}
    found: dict[str, str] = {}
    for path, mark in came.items():
        if (source := by_inode.pop(_identity(mark), None)) is not None:
            found[path] = source
    return found


def _identity(mark: Mark) -> tuple[int, Kind, int, int]:
    if mark.kind == "dir":  # what happens in a folder changes its size and time
        return mark.inode, mark.kind, 0, 0
    return mark.inode, mark.kind, mark.size, mark.mtime


def _told(
    found: Iterable[Changed], before: Manifest, after: Manifest, moved: Mapping[str, str]
) -> list[Changed]:
    """Leave away what another change tells already."""
    kept: dict[tuple[str, str], Changed] = {}
    for item in found:
        if item.source and _moved_with_its_folder(item, moved):
            continue
        inside = _vcs(item.path)
        told = Changed(inside, _fate(inside, before, after), 0) if inside else item
        kept[told.path, told.change] = told
        if inside and item.source and not _vcs(item.source):
            kept[item.source, "removed"] = Changed(item.source, "removed", item.size)
    busy = {f for c in kept.values() for path in (c.path, c.source) for f in _folders(path)}
    return [c for c in kept.values() if c.path not in busy or not _came_or_went(c, before, after)]


def _moved_with_its_folder(item: Changed, moved: Mapping[str, str]) -> bool:
    above, _, name = item.path.rpartition("/")
    return moved.get(above) == _above(item.source) and item.source.rpartition("/")[2] == name


def _came_or_went(item: Changed, before: Manifest, after: Manifest) -> bool:
    """Tell whether it is a folder that was made or removed."""
    where = {"added": after, "removed": before}.get(item.change)
    return where is not None and item.path in where and where[item.path].kind == "dir"


def _fate(path: str, before: Manifest, after: Manifest) -> Change:
    if path not in before:
        return "added"
    return "modified" if path in after else "removed"


def _vcs(path: str) -> str:
    parts = path.split("/")
    at = next((i for i, part in enumerate(parts) if part in VCS), None)
    return "" if at is None else "/".join(parts[: at + 1])


def _folders(path: str) -> Iterable[str]:
    while path := _above(path):
        yield path


def _above(path: str) -> str:
    return path.rpartition("/")[0]
