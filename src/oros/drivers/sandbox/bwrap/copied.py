"""A folder copy-on-write where there is no overlay: a copy of it, cut down to what was changed.

The stage, which imports nothing of oros, runs this file and calls `copied`. After the job the
daemon calls `cut`, which removes from the copy what is as it was, and notes what went: that is the
upper folder of an overlay, without folders that hide others.

Times tell nothing of what is written to a file in memory through a map of it, so data are compared.
The copy belongs to one user, whoever owned what was copied; sockets, fifos and devices stay behind.
"""

import errno
import hashlib
import marshal
import os
import stat
from contextlib import suppress

OPAQUE = "user.overlay.opaque"
SEEN = b"over/seen"
BYTES, INODES = 256 << 20, 20_000  # of a copy: it is made anew for each job, in memory
NO_COPY = "without overlayfs a folder is copied for each run, and this one can't be"
TOO_LARGE = f"it has over {BYTES >> 20} MiB or {INODES:,} files"
PIECE = 1 << 20
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW

Stamp = tuple[int, int, int, bytes]
"""Mode, size, time in nanoseconds; where a link leads, or a digest of what is in a file."""
Was = dict[bytes, Stamp]
"""What was copied, by path; folders before what is in them."""


# ---- before the job --------------------------------------------------------------------------


def copied(layers: int, uid: int) -> bytes:
    """Copy folders 0, 1, ..., the topmost first, to over/seen; all is `uid`'s then.

    Returns what was copied, for `cut`. Raises: OSError that says why there is no copy.
    """
    try:
        return marshal.dumps(_copied(layers, uid))
    except OSError as e:
        where = f": {os.fsdecode(e.filename)}" if e.filename else ""
        why = TOO_LARGE if e.errno == errno.ENOSPC else f"{e.strerror}{where}"
        raise OSError(e.errno, f"{NO_COPY}: {why}") from e


def _copied(layers: int, uid: int) -> Was:
    base = os.stat(str(layers - 1))  # noqa: PTH116 - plain os throughout: a copy is slow enough
    was: Was = {b"": (base.st_mode, 0, base.st_mtime_ns, b"")}
    for at in reversed(range(layers)):
        todo = [b""]
        for inner in todo:  # grows while it is gone through
            folder = _enter(b"%d/%s" % (at, inner))
            try:
                for name in os.listdir(folder):  # noqa: PTH208 - an open folder has no path
                    path = inner + os.fsencode(name)
                    if _take(folder, os.fsencode(name), path, was, uid):
                        todo.append(path + b"/")
            finally:
                os.close(folder)
    for path, (mode, _, time, _) in reversed(was.items()):
        target = _join(SEEN, path)
        if uid != os.getuid():
            os.chown(target, uid, uid, follow_symlinks=False)
        if not stat.S_ISLNK(mode):
            os.chmod(target, stat.S_IMODE(mode))  # noqa: PTH101 - as above
        os.utime(target, ns=(time, time), follow_symlinks=False)
    return was


def _enter(path: bytes) -> int:
    """Open a folder; what became a link while it was gone through is not followed, at no step."""
    number = os.open(b".", FOLDER)
    for part in filter(None, path.split(b"/")):
        above, number = number, -1
        try:
            number = os.open(part, FOLDER, dir_fd=above)
        finally:
            os.close(above)
    return number


def _take(above: int, name: bytes, path: bytes, was: Was, uid: int) -> bool:
    """Copy one entry of a layer over what is there; whether it is a folder, to be gone into."""
    about, target = os.stat(name, dir_fd=above, follow_symlinks=False), _join(SEEN, path)
    folder = stat.S_ISDIR(about.st_mode)
    merges = folder and path in was and stat.S_ISDIR(was[path][0]) and not _opaque(above, name)
    if path in was and not merges:
        _clear(path, was)
    if uid != os.getuid():
        _demand(about, path, uid)
    what = b""
    if folder:
        if not merges:
            os.mkdir(target, 0o700)  # noqa: PTH102 - as above
    elif stat.S_ISREG(about.st_mode):
        what = _copy(above, name, target)
    elif stat.S_ISLNK(about.st_mode):
        what = os.readlink(name, dir_fd=above)
        os.symlink(what, target)  # noqa: PTH211 - as above
    else:
        return False
    was[path] = about.st_mode, _size(about), about.st_mtime_ns, what
    return folder


def _demand(about: os.stat_result, path: bytes, uid: int) -> None:
    """See that root copies nothing for a user that they may not read. Raises: PermissionError."""
    needed = 5 if stat.S_ISDIR(about.st_mode) else 4 if stat.S_ISREG(about.st_mode) else 0
    granted = about.st_mode >> (3 if about.st_gid == uid else 0)
    if about.st_uid != uid and granted & needed != needed:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)


def _opaque(above: int, name: bytes) -> bool:
    """Whether a folder of a layer hides what is below it."""
    number = os.open(name, FOLDER, dir_fd=above)
    try:
        return os.getxattr(number, OPAQUE) == b"y"
    except OSError:
        return False
    finally:
        os.close(number)


def _clear(path: bytes, was: Was) -> None:
    """Remove what was copied to a path, and all in it."""
    doomed = [path]
    for one in doomed:  # grows while it is gone through
        if stat.S_ISDIR(was[one][0]):
            doomed += [one + b"/" + name for name in os.listdir(_join(SEEN, one))]  # noqa: PTH208 - as above
    for one in reversed(doomed):
        remove = os.rmdir if stat.S_ISDIR(was.pop(one)[0]) else os.unlink
        remove(_join(SEEN, one))


def _copy(above: int, name: bytes, target: bytes) -> bytes:
    """Copy a file and its user's attributes; a digest of both."""
    digest = _digest()
    source = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=above)
    with open(source, "rb", 0) as old, open(target, "xb", 0) as new:  # noqa: PTH123 - as above
        while data := old.read(PIECE):
            digest.update(data)
            at = 0
            while at < len(data):
                at += os.write(new.fileno(), data[at:])
        for own in _names(old.fileno()):
            with suppress(OSError):  # before Linux 6.6 none can be kept in memory
                os.setxattr(new.fileno(), own, os.getxattr(old.fileno(), own))
        digest.update(_attributes(new.fileno()))
    return digest.digest()


def _names(file: int) -> list[str]:
    """The names of a file's extended attributes, of those that are its user's."""
    with suppress(OSError):  # a file system that has none
        names = sorted(os.listxattr(file))
        return [n for n in names if n.startswith("user.") and not n.startswith("user.overlay.")]
    return []


def _attributes(file: int) -> bytes:
    return repr([(name, os.getxattr(file, name)) for name in _names(file)]).encode()


def _digest() -> "hashlib.blake2b":
    return hashlib.blake2b(digest_size=16)


def _size(about: os.stat_result) -> int:
    return about.st_size if stat.S_ISREG(about.st_mode) else 0


def _join(folder: bytes, path: bytes) -> bytes:
    return folder + b"/" + path if path else folder


# ---- after it: nothing that it started lives -------------------------------------------------


def cut(seen: int, record: int) -> None:
    """Make the upper folder of an overlay out of a copy, held open. Raises: OSError."""
    was: Was = marshal.loads(os.pread(record, os.fstat(record).st_size, 0))  # noqa: S302 - our own, out of any job's reach
    folders: list[tuple[bytes, os.stat_result]] = []
    other: set[bytes] = set()  # is no more what it was: what is in it is not gone into
    gone: list[bytes] = []
    for path, stamp in was.items():
        if path and path.rpartition(b"/")[0] in other:
            other.add(path)
            continue
        try:
            about = os.stat(path or b".", dir_fd=seen, follow_symlinks=False)
        except FileNotFoundError:
            gone.append(path)
            other.add(path)
            continue
        if stat.S_IFMT(about.st_mode) != stat.S_IFMT(stamp[0]):
            other.add(path)
        elif stat.S_ISDIR(about.st_mode):
            os.chmod(path or b".", about.st_mode & 0o7777 | 0o700, dir_fd=seen)
            folders.append((path, about))
        elif _same(seen, path, about, stamp):
            os.unlink(path, dir_fd=seen)
    for path in gone:  # now there is room for it
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(0, 0), dir_fd=seen)
    for path, about in reversed(folders):
        if path and (about.st_mode, about.st_mtime_ns) == (was[path][0], was[path][2]):
            with suppress(OSError):  # there is something in it
                os.rmdir(path, dir_fd=seen)
                continue
        _keep(seen, path or b".", about)


def _keep(seen: int, path: bytes, about: os.stat_result) -> None:
    """Have a folder as the job left it; that it hides others is not the job's to say."""
    number = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=seen)
    try:
        with suppress(OSError):
            os.removexattr(number, OPAQUE)
        os.fchmod(number, stat.S_IMODE(about.st_mode))
        os.utime(number, ns=(about.st_atime_ns, about.st_mtime_ns))
    finally:
        os.close(number)


def _same(seen: int, path: bytes, about: os.stat_result, stamp: Stamp) -> bool:
    """Whether a file or a link is as it was copied."""
    if (about.st_mode, _size(about), about.st_mtime_ns) != stamp[:3]:
        return False
    if stat.S_ISLNK(about.st_mode):
        return os.readlink(path, dir_fd=seen) == stamp[3]
    mode = stat.S_IMODE(about.st_mode)
    os.chmod(path, mode | 0o400, dir_fd=seen)
    number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=seen)
    with open(number, "rb", 0) as file:  # noqa: PTH123 - a descriptor
        digest = _digest()
        while data := file.read(PIECE):
            digest.update(data)
        digest.update(_attributes(number))
        os.fchmod(number, mode)
    return digest.digest() == stamp[3]
