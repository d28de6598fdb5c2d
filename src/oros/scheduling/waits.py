"""Who waits for whom: whether a wait could never end. Pure."""

from collections.abc import Callable, Sequence

from oros.abi.ids import Pid


def stuck(caller: Pid, on: Sequence[Pid], waits: Callable[[Pid], Sequence[Pid] | None]) -> bool:
    """Whether a wait of `caller` for any of `on` would close a circle.

    `waits`: those of whom a process waits for one; None if it waits for none, or not for ever.
    """

    def hopeless(pid: Pid, seen: frozenset[Pid]) -> bool:
        if pid == caller or pid in seen:
            return True
        below = waits(pid)
        return below is not None and all(hopeless(b, seen | {pid}) for b in below)

    return bool(on) and all(hopeless(pid, frozenset()) for pid in on)
