"""Where the machine's door is: its home folder, and the Unix socket in it.

Both sides of the door use this file: the gate binds, a client connects. It opens nothing itself.
"""

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from oros.abi.errors import AccessDenied, Invalid, NoSpace, OrosError

LONGEST = 107
"""Bytes of a path that fit a Unix socket's address (unix(7): 108 with the closing zero)."""


def home_of(env: Mapping[str, str] = os.environ) -> Path:
    """The machine's home: $OROS_HOME, else `oros` in the user's data folder."""
    if env.get("OROS_HOME"):
        return Path(env["OROS_HOME"]).absolute()
    data = env.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(data).expanduser() / "oros"


def socket_path(home: Path) -> Path:
    """The socket of the machine that lives there."""
    return home / "run" / "oros.sock"


def fault(path: Path | str, e: OSError) -> OrosError:
    """What is wrong with a folder or a file of the machine's home."""
    match e.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return NoSpace(f"{path}: the disk is full", "free some space")
        case errno.ENAMETOOLONG:
            return Invalid(f"{path}: {e.strerror}", "set OROS_HOME to a shorter path")
        case _:
            return AccessDenied(f"{path}: {e.strerror}", "set OROS_HOME to a folder of yours")


@contextmanager
def address(path: Path) -> Iterator[str]:
    """The path as what `bind` and `connect` take, for the time of the block.

    One that is too long for an address goes by its folder, held open (proc(5), `/proc/PID/fd`).
    Raises: OSError if there is no such folder.
    """
    if len(os.fsencode(path)) <= LONGEST:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
