"""A server that speaks a vendor's dialect, in a thread, as the machine is a process of its own."""

import asyncio
import threading

from tests.drivers.models.served import Dialect, Server, Turn


class Apart(threading.Thread):
    """`with Apart(dialect, turns) as server`: it is gone when the block is left."""

    def __init__(self, dialect: Dialect, turns: list[Turn]) -> None:
        super().__init__(daemon=True)
        self.dialect, self.turns = dialect, turns
        self.up = threading.Event()

    def run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self.loop, self.over = asyncio.get_running_loop(), asyncio.Event()
        async with Server(self.dialect) as self.server:
            self.server.queue = list(self.turns)
            self.up.set()
            await self.over.wait()

    def __enter__(self) -> Server:
        self.start()
        assert self.up.wait(10)
        return self.server

    def __exit__(self, *_: object) -> None:
        self.loop.call_soon_threadsafe(self.over.set)
        self.join(10)
