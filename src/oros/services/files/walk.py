"""Walks a folder in sorted order, one open folder at a time, without recursion or links.

Every folder is opened from the root by the strict way, so a folder that is swapped for a link
during the walk is left out, and a tree of any depth needs one descriptor.
"""

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from oros.services.files.resolve import Root

Kind = Literal["file", "dir", "link", "fifo", "socket", "device"]

VCS = frozenset({".git", ".hg", ".svn", ".jj", ".bzr"})
"""Folders that hold a version control system's own records."""

_KINDS: dict[int, Kind] = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "dir",
    stat.S_IFLNK: "link",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
}


def kind_of(mode: int) -> Kind:
    """Name the kind of a file by its `st_mode`."""
    return _KINDS.get(stat.S_IFMT(mode), "device")


@dataclass(frozen=True, slots=True)
class Entry:
    """Something in a folder; `stat` only if it was asked for."""

    path: str
    kind: Kind
    stat: os.stat_result | None = None


def walk(
    root: Root,
    top: str = "",
    *,
    depth: int | None = None,
    stats: bool = False,
    skip: frozenset[str] = VCS,
) -> Iterator[Entry]:
    """Yield all beneath `top` in pre-order, sorted by name; folders named in `skip` stay shut.

    What vanishes or can't be entered is left out, but `top` itself: OSError. A path that is longer
    than the system takes ends the walk with ENAMETOOLONG.
    """
    levels = [iter(_entries(root, top, stats=stats))]
    while levels:
        entry = next(levels[-1], None)
        if entry is None:
            levels.pop()
            continue
        yield entry
        deeper = depth is None or len(levels) < depth
        if entry.kind == "dir" and deeper and entry.path.rpartition("/")[2] not in skip:
            try:
                levels.append(iter(_entries(root, entry.path, stats=stats)))
            except OSError as e:
                if e.errno == errno.ENAMETOOLONG:
                    raise


def _entries(root: Root, folder: str, *, stats: bool) -> list[Entry]:
    prefix = f"{folder}/" if folder else ""
    found: list[Entry] = []
    with root.opened(folder, os.O_RDONLY | os.O_DIRECTORY) as fd, os.scandir(fd) as listing:
        for item in listing:
            status = None
            if stats:
                try:
                    status = item.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
            found.append(Entry(prefix + item.name, _kind(item, status), status))
    found.sort(key=lambda entry: entry.path)
    return found


def _kind(item: os.DirEntry[str], status: os.stat_result | None) -> Kind:
    if status is not None:
        return kind_of(status.st_mode)
    if item.is_symlink():
        return "link"
    if item.is_dir(follow_symlinks=False):
        return "dir"
    if item.is_file(follow_symlinks=False):
        return "file"
    try:
        return kind_of(item.stat(follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return "device"
