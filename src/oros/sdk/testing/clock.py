"""Virtual time: an event loop that never sleeps, and a clock on it.

When everybody waits, time jumps to the next deadline; when nobody will ever be woken, that is an
error and not a test that hangs (after trio's MockClock). No sockets, files or threads on this loop.
"""

import asyncio
import random
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

EPOCH = 1_700_000_000.0
"""Wall time at virtual second 0."""


class Stuck(RuntimeError):
    """Everybody waits and nothing is left that could wake anybody."""


class _Selector(selectors.SelectSelector):
    """Waits by moving the time of its loop."""

    loop: "VirtualLoop"

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.loop.turn()
        if timeout is None:
            raise Stuck(f"nobody will ever be woken (virtual second {self.loop.time():.3f})")
        if timeout > 0:
            self.loop.now += timeout
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An asyncio loop under virtual time. `turns` counts its passes: a place between two awaits."""

    def __init__(self) -> None:
        selector = _Selector()
        selector.loop = self
        self.now = 0.0
        self.turns = 0
        self._acts: dict[int, list[Callable[[], None]]] = {}
        super().__init__(selector)

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self.now

    def at_turn(self, number: int, act: Callable[[], None]) -> None:
        """Do something at a pass of the loop, wherever its tasks stand then."""
        self._acts.setdefault(number, []).append(act)

    def turn(self) -> None:
        """One pass begins."""
        self.turns += 1
        for act in self._acts.pop(self.turns, ()):
            act()


class VirtualClock:
    """The Clock of a `VirtualLoop`."""

    def wall(self) -> float:
        """Seconds since 1970, from `EPOCH` on."""
        return EPOCH + asyncio.get_running_loop().time()

    def monotonic(self) -> float:
        """Virtual seconds."""
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        """Wait in virtual time."""
        await asyncio.sleep(seconds)


class SeededRandom:
    """The Random of tests: the same chance for the same seed."""

    def __init__(self, seed: int) -> None:
        self._source = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret

    def random(self) -> float:
        """In [0, 1)."""
        return self._source.random()

    def token(self, size: int) -> str:
        """`size` bytes in hex."""
        return self._source.randbytes(size).hex()


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine under virtual time; what it left running is cancelled. Raises: Stuck."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
