"""One task for all deadlines: an idle process that sleeps is an entry in a heap."""

import asyncio
import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

from oros.abi.ports import Clock

Alarm = Callable[[], None]


@dataclass(slots=True)
class Timers:
    """Calls a function at a monotonic time, once."""

    clock: Clock
    _heap: list[tuple[float, int, Alarm]] = field(default_factory=list)
    _number: "itertools.count[int]" = field(default_factory=itertools.count)
    _sooner: asyncio.Event = field(default_factory=asyncio.Event)

    def after(self, seconds: float, alarm: Alarm) -> None:
        """Call `alarm` after some seconds; one that is no longer wanted must see that itself."""
        when = self.clock.monotonic() + max(0.0, seconds)
        entry = (when, next(self._number), alarm)
        heapq.heappush(self._heap, entry)
        if self._heap[0] is entry:
            self._sooner.set()

    async def run(self) -> None:
        """Serve alarms for ever."""
        while True:
            self._sooner.clear()
            while self._heap and self._heap[0][0] <= self.clock.monotonic():
                heapq.heappop(self._heap)[2]()
            wait = self._heap[0][0] - self.clock.monotonic() if self._heap else None
            try:
                async with asyncio.timeout(wait):
                    await self._sooner.wait()
            except TimeoutError:
                pass
