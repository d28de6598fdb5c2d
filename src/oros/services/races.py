"""Races: copies that are alternatives. When one's changes came into the folder, the others end.

What a copy's children change is its own: they see what waits of it, and bring it along. Nothing
else is written down of it: a race is decided by what is in the folder, so whatever cuts a commit
short, the next one and the next start of the machine come to the same end.
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

    def _rows(self) -> dict[Pid, Process]:
        """All processes by their numbers, those that ended of late included."""
        rows = sorted((*self._m.table, *self._m.done.values()), key=lambda r: r.pid)
        return {r.pid: r for r in rows}

    def _team(self, race: Pid) -> list[tuple[Pid, Process]]:
        """All that are copies of a race, or work for one: each with that one."""
        rows = self._rows()
        pairs = [(row.pid, _runner(row, rows)) for row in rows.values()]
        return [(pid, runner) for pid, runner in pairs if runner and runner.race == race]

    @asynccontextmanager
    async def one(self, process: Process, *, force: bool) -> AsyncIterator[list[Pid]]:
        """Around what may bring a process's changes into a folder: one of a race at a time.

        However it ends, who loses by it is ended; the list holds them after the block.
        `force`: it may win beside another one. Raises: Exists if another one was committed.
        """
        lost: list[Pid] = []
        runner = _runner(process, self._rows())
        if runner is None:
            yield lost
            return
        async with self._lock:
            winners = await self._winners(runner.race)
            rivals = [by for pid, by in winners.items() if pid != runner.pid]
            if rivals and not force:
                await self._decide(runner.race)  # what cut the last commit short left it undone
                why = f"process {runner.pid} lost its race: process {rivals[0]} was committed"
                raise Exists(why, f"oros undo {rivals[0]} --to 0 first, or commit with --force")
            try:
                yield lost
            finally:
                lost += await self._decide(runner.race)

    async def _winners(self, race: Pid) -> dict[Pid, Pid]:
        """Copies of whom something is in the folder, and of which of theirs it is."""
        found: dict[Pid, Pid] = {}
        for pid, runner in self._team(race):
            with suppress(OrosError):  # a folder that is gone decides nothing
                if await self._won(pid):
                    found.setdefault(runner.pid, pid)
        return found

    async def _decide(self, race: Pid) -> list[Pid]:
        """End those of whom nothing is in the folder, if something of another one is."""
        won = await self._winners(race)
        rows = [r for r in self._rows().values() if r.race == race and r.alive]
        lost = [r.pid for r in rows if won and r.pid not in won]
        for pid in lost:
            text = f"process {next(iter(won.values()))} was committed"
            await self._call("kill", {"pid": pid, "signal": "LOST", "text": text})
        return lost

    async def settle(self) -> None:
        """Finish what a crash cut between a commit and the ends of the others."""
        for race in sorted({r.race for r in self._m.table if r.alive and r.race}):
            await self._decide(race)


def _runner(process: Process, rows: Mapping[Pid, Process]) -> Process | None:
    """The copy of a race that a process is, or works for."""
    found: Process | None = process
    while found is not None and not found.race:
        above = rows.get(found.ppid)
        found = None if above is found else above  # the person's is its own parent
    return found
