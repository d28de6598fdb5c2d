"""Tells what changes beneath a folder, by the system's notices if `watchfiles` is there."""

import asyncio
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path

STEP, DEBOUNCE = 100, 1000
"""Milliseconds: changes that come so close together are told at once, at most so late."""


def can_watch() -> bool:
    """Whether there will be notices; else one has to look."""
    return find_spec("watchfiles") is not None


async def watch(top: Path, tell: Callable[[Iterable[str]], None]) -> None:
    """Tell paths relative to `top`, until cancelled. Names of what is gone are told too.

    A change may be missed (the system's queue is bounded), so look at the whole now and then.
    Raises: OSError when there are no more watches, or no folder.
    """
    from watchfiles import awatch

    real = str(top)
    quiet = asyncio.Event()
    try:
        async for changes in awatch(
            top, watch_filter=None, stop_event=quiet, step=STEP, debounce=DEBOUNCE,
            rust_timeout=1000, yield_on_timeout=False,
        ):  # fmt: skip
            names = (path.removeprefix(real).lstrip("/") for _, path in changes)
            tell(set(names))
    finally:
        quiet.set()
