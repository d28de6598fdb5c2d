"""What fuse-overlayfs notes in its upper folder, put as overlayfs has it.

It notes a name that went as overlayfs does; that a folder hides what is below it, it notes by files
in that folder. Where memory keeps no attribute to say so (before Linux 6.6), each name that is
hidden is noted as one that went, which says the same of the same layers.
Source: fuse-overlayfs 1.10, main.c: `set_fd_opaque`, `create_whiteout`.
"""

import os
import stat
from collections.abc import Sequence
from contextlib import suppress

HIDES, ITSELF = ".wh..wh..opq", ".wh..opq"
OWN, OPAQUE = "user.fuseoverlayfs.", "user.overlay.opaque"


def translate(upper: int, layers: Sequence[str], *, attributes: bool = True) -> None:
    """Put the marks of an upper folder, held open, as overlayfs has them.

    Args:
        upper: nobody else writes to it.
        layers: the folders that were below it, the topmost first.
        attributes: whether memory may have any; False for tests.

    Raises: OSError.
    """
    todo = [""]
    for path in todo:  # grows while it is gone through
        about = os.stat(path or ".", dir_fd=upper, follow_symlinks=False)
        os.chmod(path or ".", stat.S_IMODE(about.st_mode) | 0o700, dir_fd=upper)
        number = os.open(path or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=upper)
        try:
            names = set(os.listdir(number))  # noqa: PTH208 - an open folder has no path
            if marks := names & {HIDES, ITSELF}:
                for mark in marks:
                    os.unlink(mark, dir_fd=number)
                if not (attributes and _set(number)):
                    for name in below(layers, path) - names:
                        os.mknod(name, stat.S_IFCHR | 0o600, os.makedev(0, 0), dir_fd=number)
            _forget(f"/proc/self/fd/{number}/.")
            for name in sorted(names - {HIDES, ITSELF}):
                seen = os.stat(name, dir_fd=number, follow_symlinks=False)
                if stat.S_ISDIR(seen.st_mode):
                    todo.append(f"{path}/{name}" if path else name)
                elif stat.S_ISREG(seen.st_mode):
                    _forget(f"/proc/self/fd/{number}/{name}")
            os.fchmod(number, stat.S_IMODE(about.st_mode))
            os.utime(number, ns=(about.st_atime_ns, about.st_mtime_ns))
        finally:
            os.close(number)


def below(layers: Sequence[str], path: str) -> set[str]:
    """The names that folders, laid over each other, have at a path; the topmost comes first."""
    names: set[str] = set()
    gone: set[str] = set()
    for layer in layers:
        folder, last = layer, False
        try:
            for part in path.split("/") if path else ():
                folder = f"{folder}/{part}"
                if not stat.S_ISDIR(os.lstat(folder).st_mode):
                    return names
                last = last or _is_set(folder)
            entries = list(os.scandir(folder))
        except FileNotFoundError:
            entries = []
        for entry in entries:
            about = entry.stat(follow_symlinks=False)
            went = stat.S_ISCHR(about.st_mode) and about.st_rdev == 0
            (gone if went and entry.name not in names else names).add(entry.name)
        if last:
            break
    return names - gone


def _forget(path: str) -> None:
    """Remove the attributes that are its own."""
    with suppress(OSError):  # memory that keeps none
        for name in os.listxattr(path, follow_symlinks=False):
            if name.startswith(OWN):
                os.removexattr(path, name, follow_symlinks=False)


def _set(folder: int) -> bool:
    with suppress(OSError):
        os.setxattr(folder, OPAQUE, b"y")
        return True
    return False


def _is_set(folder: str) -> bool:
    with suppress(OSError):
        return os.getxattr(folder, OPAQUE, follow_symlinks=False) == b"y"
    return False
