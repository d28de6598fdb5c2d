"""What the system's file errors mean in plain words: one clear oros error each."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from oros.abi.errors import (
    AccessDenied,
    Busy,
    DeviceFailed,
    Invalid,
    NoSpace,
    NotFound,
    OrosError,
    TooBig,
)
from oros.services.files.names import show

_MEANING: dict[int, tuple[type[OrosError], str, str]] = {
    errno.ENOENT: (NotFound, "there is no {}", "list the folder to see the names"),
    errno.ENOTDIR: (NotFound, "there is no {}: a part of the path is no folder", "list it first"),
    errno.EISDIR: (Invalid, "{} is a folder", "use list"),
    errno.ENOTEMPTY: (Invalid, "the folder {} is not empty", "remove what is in it first"),
    errno.ELOOP: (AccessDenied, "{} goes through a symbolic link", "use the path it points to"),
    errno.EXDEV: (AccessDenied, "{} leads out of the folder", "use a path inside it"),
    errno.EACCES: (AccessDenied, "the system gives no right to {}", "check its owner and mode"),
    errno.EPERM: (AccessDenied, "the system does not allow that on {}", "check its owner and mode"),
    errno.EROFS: (AccessDenied, "{} is on a file system that is read-only", ""),
    errno.ETXTBSY: (Busy, "{} is a program that runs now", "try later"),
    errno.ENXIO: (AccessDenied, "{} is no ordinary file", "only files and folders can be used"),
    errno.ENOSPC: (NoSpace, "no space is left for {}", "free some space"),
    errno.EDQUOT: (NoSpace, "the disk quota is used up at {}", "free some space"),
    errno.EFBIG: (TooBig, "{} would be too big for its file system", ""),
    errno.ENAMETOOLONG: (Invalid, "the name {} is too long", "a name has at most 255 bytes"),
    errno.EINVAL: (Invalid, "the file system refuses {}", "try a plainer name"),
    errno.EILSEQ: (Invalid, "the file system refuses the name {}", "try a plainer name"),
    errno.EMFILE: (Busy, "too many files are open to reach {}", "try later"),
    errno.ENFILE: (Busy, "too many files are open to reach {}", "try later"),
    errno.EAGAIN: (Busy, "{} is in use", "try later"),
}


@contextmanager
def explained(path: str, *, root: bool = False) -> Iterator[None]:
    """Turn an OSError into the oros error that says what it means for `path`.

    `root`: it is the whole folder of a process, which was there before.
    Raises: NotFound, AccessDenied, Invalid, NoSpace, TooBig, Busy; DeviceFailed for the rest.
    """
    try:
        yield
    except OSError as e:
        name = _short(show(path)) or "the folder"
        if root and e.errno in (errno.ENOENT, errno.ENOTDIR):
            gone = f"the folder {name} is gone"
            raise NotFound(gone, "bring it back, or use another") from e
        kind, why, hint = _MEANING.get(e.errno or 0, (DeviceFailed, "{}: " + str(e.strerror), ""))
        raise kind(why.format(name), hint) from e


def _short(name: str) -> str:
    return name if len(name) <= 120 else f"{name[:60]}…{name[-40:]}"
