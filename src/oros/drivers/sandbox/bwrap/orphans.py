"""Ends what a daemon that was killed while it built a sandbox left waiting at the gate.

Behind the gate a sandbox dies with its daemon; before it (some ms of each job), its first process
waits for ever, having run nothing. It is known by our name for bubblewrap and by its parent.
"""

import contextlib
import os
import signal
from pathlib import Path

NAME = "oros-sandbox"


def sweep() -> int:
    """Kill first processes of sandboxes whose bubblewrap is gone; how many there were."""
    found = [int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit()]
    orphans = [pid for pid in found if _is_first(pid) and not _is_ours(_parent(pid))]
    for pid in orphans:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    return len(orphans)


def _is_ours(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().startswith(NAME.encode() + b"\0")
    return False


def _is_first(pid: int) -> bool:
    """Tell whether it is ours and pid 1 of a namespace below this one."""
    numbers = _line(pid, "NSpid:")
    return len(numbers) > 1 and numbers[-1] == "1" and _is_ours(pid)


def _parent(pid: int) -> int:
    return int((_line(pid, "PPid:") or ["0"])[0])


def _line(pid: int, name: str) -> list[str]:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(name):
                return line.split()[1:]
    return []
