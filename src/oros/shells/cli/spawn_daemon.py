"""Starts the machine when a command needs it: detached, its words in HOME/log/daemon.log."""

import os
import sys
import time
from pathlib import Path

from oros.abi.errors import AccessDenied, DeviceFailed, TimedOut, Unreachable
from oros.sdk.client import Client
from oros.shells.cli.terminal import Terminal

PATIENCE = 60.0
"""Seconds until a machine that neither answers nor dies is given up."""


def ensure(client: Client, terminal: Terminal) -> bool:
    """Make sure that the machine runs; True if it was started now.

    Raises: AccessDenied (the home can't be made), DeviceFailed (it died), TimedOut.
    """
    try:
        client.status()
    except Unreachable:
        start(client, terminal)
        return True
    return False


def start(client: Client, terminal: Terminal) -> None:
    """Start the machine and wait until it answers."""
    log = log_of(client.home)
    daemon = launch(client.home, log)
    begun = time.perf_counter()
    while True:
        time.sleep(0.02)
        passed = time.perf_counter() - begun
        if passed > 1.0:
            terminal.status(f"starting the machine  {passed:.0f}s")
        ended, _ = os.waitpid(daemon, os.WNOHANG)
        try:
            client.status()
        except Unreachable:
            if ended:
                why = last_line(log).removeprefix("oros: ") or "it ended without a word"
                raise DeviceFailed(f"the machine did not start: {why}", f"see {log}") from None
            if passed > PATIENCE:
                raise TimedOut("the machine does not answer", f"see {log}") from None
            continue
        terminal.clear()
        return


def launch(home: Path, log: Path) -> int:
    """Run the daemon in a session of its own; its process id. Raises: AccessDenied.

    `-P` keeps the person's folder off the module path: a file there must not become our code.
    """
    try:
        log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
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
        raise AccessDenied(
            f"{e.filename or home}: {e.strerror}", "set OROS_HOME to a folder of yours"
        ) from e


def log_of(home: Path) -> Path:
    """Where the daemon's words go."""
    return home / "log" / "daemon.log"


def last_line(log: Path) -> str:
    """The last line that says something."""
    try:
        lines = log.read_text("utf-8", "replace").split("\n")
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
