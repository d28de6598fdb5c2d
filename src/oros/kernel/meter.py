"""Seconds are paid while they pass: a block holds them in slices and is cut when none are left."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from oros.abi.grants import Usage
from oros.kernel.machine import Machine
from oros.kernel.process import Process

SLICE = 5.0
"""Seconds held ahead, so that blocks side by side can't pass a limit together."""


@contextmanager
def metered(m: Machine, process: Process, cut: Callable[[str], None]) -> Iterator[None]:
    """Around what takes time: charge what passed, call `cut` when no seconds are left."""
    if not process.accounts:
        yield
        return
    begun, held, over = m.world.clock.monotonic(), 0.0, False

    def more() -> None:
        nonlocal held
        left = m.accounts.room(process).seconds
        if over or left is None:
            return
        if left <= 0:
            cut("budget")
            return
        ahead = min(SLICE, left)
        m.accounts.hold(process, Usage(seconds=ahead))
        held += ahead
        m.timers.after(ahead, more)

    more()
    try:
        yield
    finally:
        over = True
        m.accounts.charge(process, Usage(seconds=m.world.clock.monotonic() - begun))
        m.accounts.release(process, Usage(seconds=held))
