"""Facts come up: committed facts and streaming tokens go to whoever watches.

A watcher that can't keep up is told so and cut off; it can read the journal and watch again.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from oros.abi.ids import Pid
from oros.abi.watch import Fact, Token
from oros.kernel.machine import Tell

QUEUE = 4096


class Hub:
    """The watchers of one machine. It listens to the kernel only while somebody watches."""

    def __init__(
        self, listen: Callable[[Tell | None], None], settle: Callable[[], Awaitable[None]]
    ) -> None:
        self._listen = listen
        self._settle = settle
        self._watchers: list[tuple[Pid | None, asyncio.Queue[Fact | Token | None]]] = []

    def publish(self, items: Sequence[Fact | Token]) -> None:
        """Hand items to those who watch their process, or all."""
        for pid, queue in self._watchers:
            for item in items:
                if pid is None or item.pid == pid:
                    self._put(queue, item)

    @staticmethod
    def _put(queue: asyncio.Queue[Fact | Token | None], item: Fact | Token) -> None:
        if queue.qsize() >= QUEUE:
            return
        queue.put_nowait(item)
        if queue.qsize() == QUEUE:
            queue.put_nowait(None)

    @asynccontextmanager
    async def watch(
        self, pid: Pid | None = None
    ) -> AsyncIterator[AsyncIterator[Sequence[Fact | Token]]]:
        """Watch one process or all, from now on; the iterator ends when it fell behind."""
        queue: asyncio.Queue[Fact | Token | None] = asyncio.Queue()
        entry = (pid, queue)
        self._watchers.append(entry)
        self._listen(self.publish)
        try:
            # What was queued before is in the journal then, what comes later is told.
            await self._settle()
            yield self._batches(queue)
        finally:
            self._watchers.remove(entry)
            if not self._watchers:
                self._listen(None)

    @staticmethod
    async def _batches(
        queue: asyncio.Queue[Fact | Token | None],
    ) -> AsyncIterator[Sequence[Fact | Token]]:
        while True:
            item = await queue.get()
            batch: list[Fact | Token] = []
            while item is not None:
                batch.append(item)
                if queue.empty():
                    break
                item = queue.get_nowait()
            if batch:
                yield batch
            if item is None:
                return
