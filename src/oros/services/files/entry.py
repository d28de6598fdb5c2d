"""What is in a folder: names with their kinds, sorted, and no name twice."""

import os
import stat
from dataclasses import dataclass
from typing import Literal

Kind = Literal["file", "dir", "link", "fifo", "socket", "device"]

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


def listed(fd: int, prefix: str, *, stats: bool) -> list[Entry]:
    """The entries of an open folder; `prefix` goes before their names. Raises: OSError."""
    found: list[Entry] = []
    with os.scandir(fd) as listing:
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
