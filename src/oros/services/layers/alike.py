"""Whether a layer says anything new of a path: what was opened to write may be as it was."""

import os

from oros.services.files.resolve import Root
from oros.services.layers.tree import Layer, next_data

READ = os.O_RDONLY | os.O_NONBLOCK
PIECE = 1 << 20


def unchanged(layer: Layer, path: str, view: Root) -> bool:
    """Whether an entry says nothing new: it was opened to write, or is only on the way."""
    entry = layer.entries[path]
    if entry.what == "gone" or entry.opaque:
        return False
    try:
        old, new = view.lstat(path), layer.root.lstat(path)
    except OSError:
        return False
    if (old.st_mode, old.st_mtime_ns) != (new.st_mode, new.st_mtime_ns):
        return False
    if entry.what == "link":
        with view.parent(path) as (a, name), layer.root.parent(path) as (b, _):
            return os.readlink(name, dir_fd=a) == os.readlink(name, dir_fd=b)
    return entry.what == "dir" or (old.st_size == new.st_size and _alike(layer.root, view, path))


def _alike(one: Root, other: Root, path: str) -> bool:
    """Whether two files of one size hold the same: a time can be set to anything."""
    with one.opened(path, READ) as a, other.opened(path, READ) as b:
        at, size = 0, os.fstat(a).st_size
        while (at := min(next_data(a, at, size), next_data(b, at, size))) < size:
            piece = os.pread(a, PIECE, at)
            if not piece or piece != os.pread(b, PIECE, at):
                return False
            at += len(piece)
    return True
