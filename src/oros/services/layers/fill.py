"""Layers of file calls: the tree that one written or removed file comes to."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

from oros.abi.errors import AccessDenied, Invalid
from oros.services.files.names import show
from oros.services.files.replace import guarded, protect, replace
from oros.services.files.resolve import Root
from oros.services.layers.tree import MODE, white_out

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
Fill = Callable[[Path], list[str]]


def written(view: Root, path: str, data: bytes) -> Fill:
    """A layer in which `path` holds `data`; missing folders are made.

    Raises: OSError; AccessDenied for links, special and write-protected files, Invalid for folders.
    """
    old = _old(view, path)

    def fill(place: Path) -> list[str]:
        made = _Mirror(view, place)
        made.folders(path)
        replace(made.root, path, data)
        with made.root.parent(path) as (folder, name):
            if old is not None:
                os.chmod(name, stat.S_IMODE(old.st_mode) & 0o777, dir_fd=folder)
            made.give(folder, name)
        made.close(path)
        return []

    return fill


def removed(view: Root, path: str) -> Fill:
    """A layer in which `path`, a file, a link or an empty folder, is gone.

    Raises: OSError; AccessDenied (it is write-protected), Invalid (the folder is not empty).
    """
    status = view.lstat(path)
    if stat.S_ISDIR(status.st_mode):
        if view.listing(path, stats=False):
            raise Invalid(f"the folder {show(path)} is not empty", "remove what is in it first")
    elif stat.S_ISREG(status.st_mode):
        protect(status, path)
    elif not stat.S_ISLNK(status.st_mode):
        raise AccessDenied(f"{show(path)} is no ordinary file", "it can't be removed here")

    def fill(place: Path) -> list[str]:
        made = _Mirror(view, place)
        made.folders(path)
        with made.root.parent(path) as (folder, name):
            white_out(folder, name)
        made.close(path)
        return []

    return fill


def _old(view: Root, path: str) -> os.stat_result | None:
    """What is to be replaced. Raises: as `guarded`; OSError if the path leads through no folder."""
    above = path
    while above := above.rpartition("/")[0]:
        try:
            status = view.lstat(above)
        except FileNotFoundError:
            continue
        if not stat.S_ISDIR(status.st_mode):
            raise NotADirectoryError(20, os.strerror(20), above)
        break
    try:
        with view.parent(path) as (folder, name):
            return guarded(folder, name, path)
    except FileNotFoundError:
        return None


class _Mirror:
    """A new tree with the folders above a path as they are seen."""

    def __init__(self, view: Root, place: Path) -> None:
        place.mkdir(mode=0o700)
        self.root = Root(place)
        self._view = view
        about = os.fstat(view.fd)
        self._owner = (about.st_uid, about.st_gid) if os.geteuid() == 0 else None
        self._seen: dict[str, os.stat_result | None] = {"": about}

    def give(self, folder: int, name: str) -> None:
        """Have a new file belong to the owner of the folder, where the machine is root's."""
        if self._owner is not None:
            os.chown(name, *self._owner, dir_fd=folder, follow_symlinks=False)

    def folders(self, path: str) -> None:
        """Make those above a path."""
        parts = path.split("/")[:-1]
        for count in range(1, len(parts) + 1):
            above = "/".join(parts[:count])
            try:
                self._seen[above] = self._view.lstat(above)
            except FileNotFoundError:
                self._seen[above] = None
            with self.root.parent(above) as (folder, name):
                os.mkdir(name, 0o777, dir_fd=folder)
                self.give(folder, name)

    def close(self, path: str) -> None:
        """Give the folders the modes that are seen, and the times but of the innermost."""
        inner = path.rpartition("/")[0]
        for above, about in sorted(self._seen.items(), reverse=True):
            if about is None:
                continue
            with self.root.opened(above, FOLDER) as fd:
                if not above and self._owner is not None:
                    os.fchown(fd, *self._owner)
                os.fchmod(fd, stat.S_IMODE(about.st_mode) & MODE)
                if above != inner:
                    os.utime(fd, ns=(about.st_atime_ns, about.st_mtime_ns))
