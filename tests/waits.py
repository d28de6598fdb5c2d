"""Waits for a fact that nobody tells of: one way in a loop, one outside. Real time, no virtual."""

import asyncio
import time

SECONDS = 60.0
"""Far over what any of it takes: a wait that ends by this is a failure, not a slow machine."""
EACH = 0.01


async def until(what, seconds: float = SECONDS):
    """What `what()` gives once that is true; other tasks go on meanwhile."""
    ends = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < ends, "it never was so"
        await asyncio.sleep(EACH)
    return found


def until_now(what, seconds: float = SECONDS):
    """The same for who is in no loop."""
    ends = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < ends, "it never was so"
        time.sleep(EACH)
    return found
