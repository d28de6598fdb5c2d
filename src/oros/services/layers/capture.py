"""Takes what a program left in the upper folder of an overlay into a layer of its own, on disk.

The upper folder lies in memory and is thrown away afterwards; nothing else writes to it any more.
What no layer keeps (sockets, fifos, devices) is left out and named.
"""

import os
import stat
from contextlib import suppress
from pathlib import Path

from oros.services.files.resolve import Root
from oros.services.layers.tree import (
    MODE,
    OPAQUE,
    copy_file,
    copy_link,
    make_opaque,
    remove_tree,
    shallow,
    stored,
    what_of,
    white_out,
)

Owner = tuple[int, int]
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


def capture(upper: Root, place: Path, owner: Owner | None = None) -> list[str]:
    """Copy the folder `upper` to `place`, whole or not at all; it must not be there.

    Returns the paths that were left out. Raises: OSError; Invalid for folders that lie too deep,
    NoSpace.
    """
    part = place.with_name(place.name + ".part")
    remove_tree(part)
    try:
        with stored(place.parent), shallow():
            part.mkdir(mode=0o700)
            left = _Copy(upper, Root(part), owner).run()
            part.rename(place)
    except BaseException:
        remove_tree(part)
        raise
    return left


class _Copy:
    """One copy; folders get their modes and times last, the deepest first."""

    def __init__(self, source: Root, target: Root, owner: Owner | None) -> None:
        self._source = source
        self._target = target
        self._owner = owner
        self._folders: list[tuple[str, os.stat_result]] = []
        self._left: list[str] = []

    def run(self) -> list[str]:
        """Copy all; what was left out."""
        todo = [("", os.fstat(self._source.fd))]
        while todo:
            path, about = todo.pop()
            self._folders.append((path, about))
            todo += self._folder(path)
        for path, about in reversed(self._folders):
            with self._target.opened(path, FOLDER) as made:
                if self._owner is not None:
                    os.fchown(made, *self._owner)
                os.fchmod(made, stat.S_IMODE(about.st_mode) & MODE)
                os.utime(made, ns=(about.st_atime_ns, about.st_mtime_ns))
        return self._left

    def _folder(self, path: str) -> list[tuple[str, os.stat_result]]:
        """Copy what is in a folder; the folders in it are only made, and returned."""
        deeper: list[tuple[str, os.stat_result]] = []
        opened = self._source.opened(path, FOLDER)
        with opened as source, self._target.opened(path, FOLDER) as made:
            with suppress(OSError):
                if os.getxattr(source, OPAQUE) == b"y":
                    make_opaque(made)
            for name in sorted(os.listdir(source)):  # noqa: PTH208 - an open folder has no path
                about = os.stat(name, dir_fd=source, follow_symlinks=False)
                inner = f"{path}/{name}" if path else name
                if self._entry(source, made, name, about):
                    deeper.append((inner, about))
                elif what_of(about) is None:
                    self._left.append(inner)
        return deeper

    def _entry(self, source: int, made: int, name: str, about: os.stat_result) -> bool:
        """Copy one entry; whether it is a folder, to be gone into."""
        match what_of(about):
            case "gone":
                white_out(made, name)
            case "link":
                copy_link((source, name), (made, name), self._owner)
            case "file":
                if not about.st_mode & 0o400:
                    os.chmod(name, 0o600, dir_fd=source)
                fd = os.open(name, FILE, dir_fd=source)
                try:
                    os.close(copy_file(fd, made, name, about, self._owner))
                finally:
                    os.close(fd)
            case "dir":
                if about.st_mode & 0o500 != 0o500:
                    os.chmod(name, 0o700, dir_fd=source)
                os.mkdir(name, 0o700, dir_fd=made)
                return True
            case None:
                pass
        return False
