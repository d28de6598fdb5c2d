"""Starts the machine when a command needs it: detached, its words in HOME/log/daemon.log."""

import fcntl
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from oros.abi.errors import (
    BY_CODE,
    Busy,
    DeviceFailed,
    NoSpace,
    OrosError,
    TimedOut,
    Unreachable,
    revive,
)
from oros.sdk.address import fault
from oros.sdk.build import is_other
from oros.sdk.client import Client
from oros.shells.cli.terminal import Terminal

PATIENCE = 60.0
"""Seconds until a machine that neither answers nor dies is given up."""

SETTLE = 10.0
"""Seconds for another machine at the same home to answer, or to be gone."""


def ensure(client: Client, terminal: Terminal) -> bool:
    """Make sure that the machine runs, of our build if that can be; True if it was started now.

    Raises: AccessDenied, NoSpace, Invalid (the home can't be made); what it died of; TimedOut.
    """
    try:
        if is_other(client.status().get("build")):
            with alone(client.home):
                return renew(client, terminal)
    except Unreachable:
        with alone(client.home):
            return start(client, terminal)
    return False


def renew(client: Client, terminal: Terminal) -> bool:
    """Start a machine of another build anew if nobody has to wait for that; else say what it is.

    It is left alone while processes or other commands are at work, and if no command started it.
    Raises: as `ensure`; Unreachable, if it has gone.
    """
    status = client.status()
    told = status.get("build") or {}
    if not is_other(told):
        return False
    what = f"the machine at {client.home} is of another build, {told.get('id') or 'an older one'}"
    if status.get("awake") or status.get("guests") or not told.get("spawned"):
        terminal.note(f"oros: {what}; when its work is done: oros halt, and go on", "yellow")
        return False
    terminal.note(f"oros: {what}; it is started anew", "yellow")
    client.halt()
    if not shut(client, terminal):
        raise TimedOut("the machine has not stopped in 30 seconds", f"see {log_of(client.home)}")
    return start(client, terminal)


def shut(client: Client, terminal: Terminal) -> bool:
    """Wait until a machine that was halted has closed its door and its books.

    From then on its home can be copied and moved. False after 30 seconds.
    """
    for _tries in range(600):
        if not client.path.exists() and not held(client.home / "journal.lock"):
            return True
        time.sleep(0.05)
        terminal.status("the machine stops")
    return False


def held(path: Path) -> bool:
    """Whether a machine holds the lock of its journal."""
    try:
        lock = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


@contextmanager
def alone(home: Path) -> Iterator[None]:
    """Only one command at a time starts a machine: a second one too many would outlive a halt.

    Raises: AccessDenied, NoSpace, Invalid.
    """
    folder = log_of(home).parent
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(folder / "start.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as e:
        raise fault(e.filename or home, e) from e
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def start(client: Client, terminal: Terminal) -> bool:
    """Start the machine and wait until it answers; False if somebody has just started it."""
    with suppress(Unreachable):
        client.status()
        return False
    log = log_of(client.home)
    spoken = size_of(log)
    daemon = launch(client.home, log)
    begun = time.perf_counter()
    while True:
        time.sleep(0.02)
        passed = time.perf_counter() - begun
        if passed > 1.0:
            terminal.status(f"starting the machine  {passed:.0f}s")
        ended, status = os.waitpid(daemon, os.WNOHANG)
        try:
            client.status()
        except Unreachable:
            if ended:
                error = death(log, spoken, os.waitstatus_to_exitcode(status))
                if not isinstance(error, Busy) or passed > SETTLE:
                    raise error from None
                # Another one starts here, and will answer, or stops here, and will let it go.
                daemon = launch(client.home, log)
            if passed > PATIENCE:
                raise TimedOut("the machine does not answer", f"see {log}") from None
            continue
        terminal.clear()
        return True


def launch(home: Path, log: Path) -> int:
    """Run the daemon in a session of its own; its process id.

    Raises: AccessDenied, NoSpace, Invalid.

    `-P` keeps the person's folder off the module path: a file there must not become our code.
    """
    try:
        home.chmod(0o700)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        files = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), flags, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ]
        command = [sys.executable, "-P", "-m", "oros.boot", "--home", str(home)]
        return os.posix_spawn(sys.executable, command, os.environ, file_actions=files, setsid=True)
    except OSError as e:
        raise fault(e.filename or home, e) from e


def log_of(home: Path) -> Path:
    """Where the daemon's words go."""
    return home / "log" / "daemon.log"


def death(log: Path, spoken: int, code: int) -> OrosError:
    """What a machine died of: by its last words, else by its exit code."""
    words = last_line(log, spoken).removeprefix("oros: ")
    name, _, why = words.partition(": ")
    if name in BY_CODE:
        return revive(name, f"the machine did not start: {why}")
    if code == NoSpace.exit_code:  # there is no space for last words either
        return NoSpace("the machine did not start: the disk is full", "free some space")
    why = words or f"it ended without a word, status {code}"
    return DeviceFailed(f"the machine did not start: {why}", f"see {log}")


def size_of(log: Path) -> int:
    """Bytes in the log; what comes after them is of a later machine."""
    try:
        return log.stat().st_size
    except OSError:
        return 0


def last_line(log: Path, spoken: int = 0) -> str:
    """The last line after so many bytes that says something."""
    try:
        with log.open("rb") as file:
            file.seek(spoken)
            lines = file.read().decode("utf-8", "replace").split("\n")
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
