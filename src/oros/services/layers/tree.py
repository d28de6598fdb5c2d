"""A layer on disk: what was changed in a folder, as a tree that overlayfs takes as a lower one.

A name that went is a *whiteout* (a character device 0:0); a folder that took the place of another
is *opaque* (an extended attribute). Everything else is as it is to be, with mode and times. A layer
that is finished is never written again, so layers can share files by hard links.
Source: the kernel's Documentation/filesystems/overlayfs.rst, "whiteouts and opaque directories".
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from oros.abi.errors import Invalid, NoSpace
from oros.services.files.entry import kind_of
from oros.services.files.names import show
from oros.services.files.resolve import Root
from oros.services.files.walk import walk

OPAQUE = "user.overlay.opaque"
MODE = 0o1777
"""What is kept of a mode: a program that runs as its owner is no thing to come out of a layer."""

PRIVILEGED = ("security.", "trusted.", "user.overlay.")
"""Extended attributes that stay behind."""

FULL = (errno.ENOSPC, errno.EDQUOT)

What = Literal["file", "dir", "link", "gone"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One path of a layer. `opaque`: nothing of a folder below shows through, nor in what is in it.

    `size` in bytes, `mtime` in nanoseconds since 1970.
    """

    what: What
    mode: int = 0
    size: int = 0
    mtime: int = 0
    opaque: bool = False


class Layer:
    """A finished layer: its entries by path, parents before what is in them, and its files."""

    def __init__(self, path: Path, root: Root | None = None) -> None:
        """Look at the tree at `path`, or held open. Raises: NotFound, AccessDenied, Invalid."""
        self.path = path
        self.root = root or Root(path)
        self.entries = dict(_entries(self.root))

    def top(self) -> os.stat_result:
        """The folder's own mode and times."""
        return os.fstat(self.root.fd)


def _entries(root: Root) -> Iterator[tuple[str, Entry]]:
    hiding: set[str] = set()
    with shallow():
        for seen in walk(root, stats=True, skip=frozenset()):
            status = seen.stat
            if status is None or (what := what_of(status)) is None:
                continue
            opaque = what == "dir"
            if opaque and seen.path.rpartition("/")[0] not in hiding:
                opaque = is_opaque(root, seen.path)
            if opaque:
                hiding.add(seen.path)
            size = status.st_size if what != "dir" else 0
            mode = stat.S_IMODE(status.st_mode)
            yield seen.path, Entry(what, mode, size, status.st_mtime_ns, opaque)


@contextmanager
def shallow() -> Iterator[None]:
    """Say of a path that is longer than the system takes what is wrong with it. Raises: Invalid."""
    try:
        yield
    except OSError as e:
        if e.errno != errno.ENAMETOOLONG:
            raise
        raise Invalid("folders lie too deep in each other", "keep paths under 4 KiB") from e


@contextmanager
def stored(place: Path) -> Iterator[None]:
    """Have a full disk called by its right name: ours may be another than the folder's.

    Raises: NoSpace.
    """
    try:
        yield
    except OSError as e:
        if e.errno not in FULL:
            raise
        raise NoSpace(f"no space is left in {place}", "free some space") from e


def what_of(status: os.stat_result) -> What | None:
    """What a status in a layer means; None for what no layer keeps: sockets, fifos, devices."""
    if stat.S_ISCHR(status.st_mode) and status.st_rdev == 0:
        return "gone"
    match kind_of(status.st_mode):
        case "file" | "dir" | "link" as kind:
            return kind
        case _:
            return None


def is_opaque(root: Root, path: str) -> bool:
    """Whether a folder of a layer hides what is below it."""
    with root.opened(path, os.O_RDONLY | os.O_DIRECTORY) as fd, suppress(OSError):
        return os.getxattr(fd, OPAQUE) == b"y"
    return False


# ---- making ----------------------------------------------------------------------------------


def white_out(folder: int, name: str) -> None:
    """Note that a name went. An ordinary user may make this one device (since Linux 5.8)."""
    os.mknod(name, stat.S_IFCHR | 0o600, os.makedev(0, 0), dir_fd=folder)


def make_opaque(folder: int) -> None:
    """Note that a folder, held open to read, hides what is below it."""
    os.setxattr(folder, OPAQUE, b"y")


def copy_file(
    source: int,
    folder: int,
    name: str,
    about: os.stat_result,
    owner: tuple[int, int] | None = None,
) -> int:
    """Copy an open file as `name`, which must not be there; its holes stay holes.

    `about` has its mode and times; `owner`: to whom it is given, for a machine of root. Returns an
    open descriptor. Raises: OSError.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    made = os.open(name, flags, 0o600, dir_fd=folder)
    try:
        _copy_data(source, made, os.fstat(source).st_size)
        if owner is not None:
            os.fchown(made, *owner)
        os.fchmod(made, stat.S_IMODE(about.st_mode) & MODE)
        _copy_attributes(source, made)
        os.utime(made, ns=(about.st_atime_ns, about.st_mtime_ns))
    except BaseException:
        os.close(made)
        with suppress(OSError):
            os.unlink(name, dir_fd=folder)
        raise
    return made


def _copy_attributes(source: int, made: int) -> None:
    """Copy extended attributes: those of users and access lists, none that gives rights."""
    with suppress(OSError):  # a file system that has none
        for name in os.listxattr(source):
            if not name.startswith(PRIVILEGED):
                with suppress(OSError):
                    os.setxattr(made, name, os.getxattr(source, name))


def _copy_data(source: int, made: int, size: int) -> None:
    os.ftruncate(made, size)
    at = 0
    while (begin := next_data(source, at, size)) < size:
        end = os.lseek(source, begin, os.SEEK_HOLE)
        os.lseek(made, begin, os.SEEK_SET)
        at = begin
        while at < end:
            count = os.sendfile(made, source, at, end - at)
            if count == 0:  # it became shorter while it was read
                os.ftruncate(made, at)
                return
            at += count


def next_data(file: int, at: int, size: int) -> int:
    """Where from `at` on an open file holds anything but a hole; `size` if nowhere."""
    if at >= size:
        return size
    try:
        return os.lseek(file, at, os.SEEK_DATA)
    except OSError as e:
        if e.errno != errno.ENXIO:
            raise
        return size


def copy_link(
    source: tuple[int, str], target: tuple[int, str], owner: tuple[int, int] | None = None
) -> None:
    """Copy a symbolic link, with its time: (folder, name) to (folder, name)."""
    about = os.stat(source[1], dir_fd=source[0], follow_symlinks=False)
    os.symlink(os.readlink(source[1], dir_fd=source[0]), target[1], dir_fd=target[0])
    if owner is not None:
        os.chown(target[1], *owner, dir_fd=target[0], follow_symlinks=False)
    times = (about.st_atime_ns, about.st_mtime_ns)
    os.utime(target[1], ns=times, dir_fd=target[0], follow_symlinks=False)


def remove_tree(place: Path) -> None:
    """Remove a tree of ours, whatever its modes and its depth; what can't be removed stays."""
    if not place.exists():
        return
    place.chmod(0o700)
    root, folders = Root(place), [""]
    for path in folders:  # grows while it is gone through
        with suppress(OSError), root.opened(path, os.O_RDONLY | os.O_DIRECTORY) as fd:
            for entry in list(os.scandir(fd)):
                if entry.is_dir(follow_symlinks=False):
                    os.chmod(entry.name, 0o700, dir_fd=fd)
                    folders.append(f"{path}/{entry.name}" if path else entry.name)
                else:
                    os.unlink(entry.name, dir_fd=fd)
    for path in reversed(folders[1:]):
        with suppress(OSError), root.parent(path) as (fd, name):
            os.rmdir(name, dir_fd=fd)
    with suppress(OSError):
        place.rmdir()


def spelled(paths: list[str], most: int = 3) -> str:
    """Some paths in one line."""
    more = f" and {len(paths) - most} more" if len(paths) > most else ""
    return ", ".join(map(show, paths[:most])) + more
