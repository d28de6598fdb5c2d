"""Makes or replaces a whole file at once: after a crash it is the old one or the new one, whole.

The new content goes to a file without a name (O_TMPFILE, so that a kill leaves no litter), is
synced, gets a spare name and is renamed over the old one. The mode and, where we may, the owner of
the old file are kept; its hard links and extended attributes are not. It is marked with its label.
"""

import errno
import itertools
import os
import stat
from contextlib import suppress

from oros.abi.errors import AccessDenied, Invalid
from oros.abi.labels import NOTHING, Label
from oros.services.files import marks
from oros.services.files.entry import kind_of
from oros.services.files.names import show
from oros.services.files.resolve import Root

_count = itertools.count()


def replace(root: Root, path: str, data: bytes, label: Label = NOTHING) -> os.stat_result:
    """Write `data` to `path`, marked with its label; missing folders are made. Its new status.

    Raises: OSError; AccessDenied for links, special and write-protected files, Invalid for folders.
    """
    with root.parent(path, make=True) as (folder, name):
        old = guarded(folder, name, path)
        draft, spare = _draft(folder)
        try:
            _fill(draft, data, old)
            marks.put(draft, label)
            if not spare:
                spare = f".oros-{os.fstat(draft).st_ino}.tmp"
                os.link(f"/proc/self/fd/{draft}", spare, dst_dir_fd=folder)
            os.rename(spare, name, src_dir_fd=folder, dst_dir_fd=folder)
            made = os.fstat(draft)
        except BaseException:
            with suppress(OSError):
                os.unlink(spare, dir_fd=folder)
            raise
        finally:
            os.close(draft)
        _sync(folder)
    return made


def guarded(folder: int, name: str, path: str) -> os.stat_result | None:
    """Status of what is to be replaced, None if nothing is there.

    Raises: AccessDenied, Invalid when it must not be.
    """
    try:
        old = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    kind = kind_of(old.st_mode)
    if kind == "dir":
        raise Invalid(f"{show(path)} is a folder", "name a file in it")
    if kind == "link":
        raise AccessDenied(f"{show(path)} is a symbolic link", "write to the file it points to")
    if kind != "file":
        raise AccessDenied(f"{show(path)} is no ordinary file but a {kind}", "use another name")
    protect(old, path)
    return old


def protect(old: os.stat_result, path: str) -> None:
    """Raises: AccessDenied for a file that its owner made read-only; rename would not care."""
    if not old.st_mode & 0o222:
        raise AccessDenied(f"{show(path)} is write-protected", "the user can `chmod u+w` it")


def _draft(folder: int) -> tuple[int, str]:
    """Open a new file without a name; where the file system has no such thing, with one."""
    with suppress(OSError, AttributeError):  # AttributeError: O_TMPFILE is Linux's own
        if os.path.exists("/proc/self/fd"):  # noqa: PTH110 - a magic folder, not a path
            return os.open(".", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o666, dir_fd=folder), ""
    while True:
        spare = f".oros-{os.getpid()}-{next(_count)}.tmp"
        with suppress(FileExistsError):  # left by a former process of the same number
            flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
            return os.open(spare, flags, 0o666, dir_fd=folder), spare


def _fill(draft: int, data: bytes, old: os.stat_result | None) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(draft, view) :]
    if old is not None:
        now = os.fstat(draft)
        if (now.st_uid, now.st_gid) != (old.st_uid, old.st_gid):
            with suppress(PermissionError):
                os.fchown(draft, old.st_uid, old.st_gid)
        os.fchmod(draft, stat.S_IMODE(old.st_mode) & 0o777)
    os.fsync(draft)


def _sync(folder: int) -> None:
    """Make the rename durable. A folder that we may enter but not read can't be synced."""
    try:
        fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder)
    except PermissionError:
        return
    try:
        os.fsync(fd)
    except OSError as e:
        if e.errno != errno.EINVAL:  # some network file systems can't
            raise
    finally:
        os.close(fd)
