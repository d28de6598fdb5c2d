"""Work that blocks, done in a thread: never left half done."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def threaded(work: Callable[[], T]) -> T:
    """Do `work` in a thread. It can't be stopped: a cancelled caller waits for its end."""
    done = asyncio.get_running_loop().run_in_executor(None, work)
    try:
        return await asyncio.shield(done)
    except asyncio.CancelledError:
        await asyncio.wait([done])
        raise
