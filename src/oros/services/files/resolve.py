"""Opens paths beneath a folder that is held open, and nothing outside it, whoever races with us.

Linux: openat2(2) with RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS (measured: it
refuses a symlinked folder, `..` and absolute paths; it does open fifos and devices, so callers
check with fstat). Elsewhere, or where a container's filter hides the call: one O_NOFOLLOW openat a
component. A symbolic link that stays inside can be *read* through: it is spelled out by hand, hop
by hop, and the result is opened by the strict way again. This module reads and writes no content.
"""

import ctypes
import errno
import os
import stat
import struct
import sys
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from oros.abi.errors import AccessDenied, Invalid, NotFound
from oros.services.files.entry import Entry, listed
from oros.services.files.faults import explained
from oros.services.files.names import show

HOPS = 16
"""Symbolic links followed for one path; the kernel's own bound is 40."""
MAX_PATH = 4095
MAX_NAME = 255

_O_PATH = getattr(os, "O_PATH", os.O_RDONLY)
FOLDER = _O_PATH | os.O_DIRECTORY
"""Flags that open a folder only to reach what is in it."""

_OPENAT2 = 437  # the same on x86_64, aarch64 and every other Linux since 5.6
_RESOLVE = 0x08 | 0x04 | 0x02  # BENEATH | NO_SYMLINKS | NO_MAGICLINKS


def clean(path: str) -> str:
    """Check a path and spell it in one way: no empty parts, no `.`; "" is the root.

    Raises: AccessDenied for a path that leads out, Invalid for one that can't be a path.
    """
    if "\0" in path:
        raise Invalid("a path can't hold a NUL character")
    if path.startswith("/"):
        raise AccessDenied("an absolute path leads out of the folder", "leave the first / away")
    parts = [p for p in path.split("/") if p not in ("", ".")]
    if ".." in parts:
        raise AccessDenied("`..` leads out of the folder", "write the path from the folder's top")
    try:
        sizes = [len(os.fsencode(p)) for p in parts]
    except UnicodeEncodeError as e:
        raise Invalid("the path holds half a character", "spell it anew") from e
    if any(size > MAX_NAME for size in sizes) or sum(sizes) + len(parts) > MAX_PATH:
        raise Invalid("the path is too long", f"a name has at most {MAX_NAME} bytes")
    return "/".join(parts)


class Root:
    """A folder of the host, held open; `path` is where it really is.

    Paths given to the methods are `clean`. Methods raise OSError unless they say otherwise; a link
    in the way is ELOOP. What is `hidden` (a clean path) is not there for who comes this way.
    """

    hidden = ""

    def __init__(self, path: Path) -> None:
        """Raises: NotFound, AccessDenied."""
        with explained(str(path), root=True):
            self.path = path.resolve(strict=True)
            self._fd = self._enter()

    @classmethod
    def held(cls, fd: int, path: Path) -> "Root":
        """A folder that is open; `path` is only how it is called. It takes the descriptor."""
        found = cls.__new__(cls)
        found.path, found._fd = path, fd  # noqa: SLF001 - another way to make one
        weakref.finalize(found, os.close, fd)
        return found

    @property
    def fd(self) -> int:
        """The folder itself. One that was deleted and made anew is entered again.

        Raises: NotFound when it is gone.
        """
        if os.fstat(self._fd).st_nlink == 0:
            self._again()
        return self._fd

    def _again(self) -> None:
        try:
            self._fd = self._enter()
        except OSError as e:
            raise NotFound(
                f"the folder {self.path} is gone", "bring it back, or use another"
            ) from e

    @property
    def live(self) -> Path:
        """`path`, after a look whether the folder is still there: another there is entered anew.

        Raises: NotFound.
        """
        now, held = os.fstat(self.fd), None
        with suppress(OSError):
            held = self.path.lstat()
        if held is None or (held.st_dev, held.st_ino) != (now.st_dev, now.st_ino):
            self._again()
        return self.path

    def look(self, path: str) -> None:
        """Raises: FileNotFoundError for what is hidden."""
        if self.hidden and (path == self.hidden or path.startswith(f"{self.hidden}/")):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)

    def open(self, path: str, flags: int, mode: int = 0) -> int:
        """Open beneath the root and through no link. `flags` as for os.open."""
        self.look(path)
        return _open(self.fd, path, flags, mode)

    @contextmanager
    def opened(self, path: str, flags: int) -> Iterator[int]:
        """`open`, closed at the end."""
        fd = self.open(path, flags)
        try:
            yield fd
        finally:
            os.close(fd)

    @contextmanager
    def parent(self, path: str, *, make: bool = False) -> Iterator[tuple[int, str]]:
        """The folder that holds `path`, and the last name; missing folders are made on demand."""
        self.look(path)
        above, _, name = path.rpartition("/")
        if make:
            self._make(above)
        with self.opened(above, FOLDER) as fd:
            yield fd, name

    def listing(self, folder: str, *, stats: bool) -> list[Entry]:
        """What is in a folder, sorted; paths from the root. What vanishes meanwhile is left out."""
        with self.opened(folder, os.O_RDONLY | os.O_DIRECTORY) as fd:
            found = listed(fd, f"{folder}/" if folder else "", stats=stats)
        return [e for e in found if e.path != self.hidden] if self.hidden else found

    def lstat(self, path: str) -> os.stat_result:
        """Status of what is at `path`; a link there is not followed."""
        self.look(path)
        above, _, name = path.rpartition("/")
        if not above:
            return (
                os.stat(name, dir_fd=self.fd, follow_symlinks=False) if name else os.fstat(self.fd)
            )
        fd = self.open(above, FOLDER)  # not by `parent`: this is called for each file
        try:
            return os.stat(name, dir_fd=fd, follow_symlinks=False)
        finally:
            os.close(fd)

    def found(self, path: str) -> os.stat_result | None:
        """Status of what is there, None if nothing is that can be reached through no link."""
        try:
            return self.lstat(path)
        except OSError:
            return None

    def reach(self, path: str) -> str:
        """Spell `path` without the links in it, if all of them stay beneath the root.

        The answer may be stale by the time it is used: open it strictly. Raises: AccessDenied.
        """
        try:
            if not stat.S_ISLNK(self.lstat(path).st_mode):
                return path
        except OSError as e:
            if e.errno != errno.ELOOP:
                raise
        return self._spelled_out(path)

    def _spelled_out(self, path: str) -> str:
        todo = path.split("/")[::-1]
        done: list[str] = []
        hops = 0
        while todo:
            name = todo.pop()
            if name == "..":
                if not done:
                    raise _outside(path)
                done.pop()
            elif name not in ("", "."):
                target = self._link(done, name)
                if target is None:
                    done.append(name)
                    continue
                hops += 1
                if hops > HOPS:
                    raise AccessDenied("symbolic links go round in circles", "use the real path")
                if target.startswith("/"):
                    target, done = self._inside(target, path), []
                todo.extend(target.split("/")[::-1])
        return "/".join(done)

    def _enter(self) -> int:
        top = os.open("/", FOLDER | os.O_CLOEXEC)
        try:
            fd = _open(top, str(self.path).lstrip("/"), FOLDER, 0)
        finally:
            os.close(top)
        weakref.finalize(self, os.close, fd)
        return fd

    def _make(self, path: str) -> None:
        made = ""
        for part in path.split("/") if path else ():
            with self.opened(made, FOLDER) as fd, suppress(FileExistsError):
                os.mkdir(part, dir_fd=fd)
            made = f"{made}/{part}" if made else part

    def _link(self, above: list[str], name: str) -> str | None:
        with self.opened("/".join(above), FOLDER) as fd:
            try:
                return os.readlink(name, dir_fd=fd)
            except OSError as e:
                if e.errno == errno.EINVAL:  # there, and no link
                    return None
                raise

    def _inside(self, target: str, path: str) -> str:
        try:
            return str(Path(target).relative_to(self.path))
        except ValueError as e:
            raise _outside(path) from e


def _outside(path: str) -> AccessDenied:
    name = show(path.rpartition("/")[2])
    return AccessDenied(f"a symbolic link at {name} leads out of the folder", "copy the file in")


def _open(top: int, path: str, flags: int, mode: int) -> int:
    flags |= os.O_CLOEXEC
    if _has_openat2():
        return _openat2(top, path, flags, mode)
    return _by_components(top, path, flags, mode)


@cache
def _syscall() -> "ctypes._NamedFuncPointer":
    call = ctypes.CDLL(None, use_errno=True).syscall
    call.restype = ctypes.c_long
    call.argtypes = [*[ctypes.c_long] * 2, *[ctypes.c_char_p] * 2, ctypes.c_size_t]
    return call


@cache
def _has_openat2() -> bool:
    """Try it: old kernels say ENOSYS, old container filters EPERM."""
    if sys.platform != "linux":
        return False
    top = os.open("/", FOLDER | os.O_CLOEXEC)
    try:
        os.close(_openat2(top, "", FOLDER | os.O_CLOEXEC, 0))
    except OSError:
        return False
    finally:
        os.close(top)
    return True


def _openat2(top: int, path: str, flags: int, mode: int) -> int:
    how = struct.pack("=QQQ", flags, mode, _RESOLVE)  # struct open_how
    name = os.fsencode(path) or b"."
    while True:
        fd: int = _syscall()(_OPENAT2, top, name, how, len(how))
        if fd >= 0:
            return fd
        number = ctypes.get_errno()
        if number != errno.EINTR:
            raise OSError(number, os.strerror(number), path)


def _by_components(top: int, path: str, flags: int, mode: int) -> int:
    *folders, name = path.split("/")
    here = os.dup(top)
    try:
        for folder in folders:
            below = _step(here, folder, FOLDER | os.O_CLOEXEC, 0)
            os.close(here)
            here = below
        return _step(here, name or ".", flags, mode)
    finally:
        os.close(here)


def _step(here: int, name: str, flags: int, mode: int) -> int:
    try:
        return os.open(name, flags | os.O_NOFOLLOW, mode, dir_fd=here)
    except NotADirectoryError:
        # O_DIRECTORY makes a link look like a file; openat2 says ELOOP, and so do we.
        if stat.S_ISLNK(os.stat(name, dir_fd=here, follow_symlinks=False).st_mode):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), name) from None
        raise
