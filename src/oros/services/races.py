"""Races: copies that are alternatives. When one's changes came into the folder, the others end.

Nothing else is written down of it: a race is decided by what is in the folder, so whatever cuts a
commit short, the next one and the next start of the machine come to the same end.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress

from oros.abi.errors import Exists, OrosError
from oros.abi.ids import Pid
from oros.abi.message import Json
from oros.abi.syscalls import Outcome
from oros.kernel.control import ENDS
from oros.kernel.machine import Machine
from oros.kernel.process import Process

Call = Callable[[str, Mapping[str, Json]], Awaitable[Outcome]]
"""The person's call, through the one door."""

LOST = ENDS["LOST"][1]


class Races:
    """The races of one machine. `won`: whether changes of a process are in a folder."""

    def __init__(self, machine: Machine, won: Callable[[Pid], Awaitable[bool]], call: Call) -> None:
        self._m = machine
        self._won = won
        self._call = call
        self._lock = asyncio.Lock()

    def _runners(self, race: Pid) -> list[Process]:
        """All copies of a race by their numbers, those that ended of late included."""
        rows = (*self._m.table, *self._m.done.values())
        return sorted((r for r in rows if r.race == race), key=lambda r: r.pid)

    @asynccontextmanager
    async def one(self, process: Process, *, force: bool) -> AsyncIterator[list[Pid]]:
        """Around what may bring a process's changes into a folder: one of a race at a time.

        However it ends, who loses by it is ended; the list holds them after the block.
        `force`: it may win beside another one. Raises: Exists if another one was committed.
        """
        lost: list[Pid] = []
        if not process.race:
            yield lost
            return
        async with self._lock:
            rivals = [pid for pid in await self._winners(process.race) if pid != process.pid]
            if rivals and not force:
                await self._decide(process.race)  # what cut the last commit short left it undone
                why = f"process {process.pid} lost its race: process {rivals[0]} was committed"
                raise Exists(why, f"oros undo {rivals[0]} first, or commit with --force")
            try:
                yield lost
            finally:
                lost += await self._decide(process.race)

    async def _winners(self, race: Pid) -> list[Pid]:
        """Of whom something is in the folder."""
        found: list[Pid] = []
        for runner in self._runners(race):
            with suppress(OrosError):  # a folder that is gone decides nothing
                found += [runner.pid] * await self._won(runner.pid)
        return found

    async def _decide(self, race: Pid) -> list[Pid]:
        """End those of whom nothing is in the folder, if something of another one is."""
        won = await self._winners(race)
        lost = [r.pid for r in self._runners(race) if won and r.alive and r.pid not in won]
        for pid in lost:
            text = f"process {won[0]} was committed"
            await self._call("kill", {"pid": pid, "signal": "LOST", "text": text})
        return lost

    async def settle(self) -> None:
        """Finish what a crash cut between a commit and the ends of the others."""
        for race in sorted({r.race for r in self._m.table if r.alive and r.race}):
            await self._decide(race)
