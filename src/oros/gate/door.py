"""The machine's socket in the file system: bound in a closed folder, and taken away at the end."""

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from oros.abi.errors import AccessDenied, Busy
from oros.sdk.address import address, fault, socket_path


@contextmanager
def listening(home: Path) -> Iterator[socket.socket]:
    """A socket that listens at the machine's address, for the time of the block.

    Raises: Busy if a machine runs there already; AccessDenied if the folder is not ours alone;
    Invalid, NoSpace.
    """
    path = socket_path(home)
    close_folder(path.parent)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
        try:
            with address(path) as where:
                clear(path, where)
                door.bind(where)
        except OSError as e:
            raise fault(path, e) from e
        path.chmod(0o600)
        mine = path.stat().st_ino
        door.listen(128)
        door.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        try:
            yield door
        finally:
            if path.exists() and path.stat().st_ino == mine:
                path.unlink()


def close_folder(folder: Path) -> None:
    """Make a folder that only we may enter, whatever the umask. Raises: AccessDenied."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            raise AccessDenied(f"{folder} is not a folder of yours", "move it away")
        if stat.S_IMODE(found.st_mode) != 0o700:
            folder.chmod(0o700)
    except OSError as e:
        raise fault(folder, e) from e


def clear(path: Path, where: str) -> None:
    """Take a dead machine's socket away. Raises: Busy if somebody listens.

    Two machines that start at once are kept apart before this, by the lock of their store.
    """
    if not path.exists():
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(where)
        except ConnectionRefusedError:
            path.unlink()
            return
        except TimeoutError:
            pass
    raise Busy(f"a machine runs at {path.parent.parent} already", "`oros halt` stops it")
