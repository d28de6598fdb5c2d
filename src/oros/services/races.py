"""Races: copies that are alternatives. When one's changes came into the folder, the others end."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

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

    def __init__(self, machine: Machine, won: Callable[[Pid], bool], call: Call) -> None:
        self._m = machine
        self._won = won
        self._call = call

    def rivals(self, process: Process) -> list[Process]:
        """The others of its race, ended ones of late included."""
        rows = (*self._m.table, *self._m.done.values()) if process.race else ()
        return [r for r in rows if r.race == process.race and r is not process]

    def check(self, process: Process) -> None:
        """Before a commit. Raises: Exists if another one was committed."""
        won = [r.pid for r in self.rivals(process) if self._won(r.pid)]
        if won:
            why = f"process {process.pid} lost its race: process {won[0]} was committed"
            raise Exists(why, f"oros undo {won[0]} first, or commit with --force")

    async def decide(self, winner: Process) -> list[Pid]:
        """End the rivals of a process that was committed; who they were."""
        text = f"process {winner.pid} was committed"
        living = [r.pid for r in self.rivals(winner) if r.alive]
        for pid in living:
            await self._call("kill", {"pid": pid, "signal": "LOST", "text": text})
        return living

    async def settle(self) -> None:
        """Finish what a crash cut between a commit and the ends of the others."""
        for process in [r for r in self._m.table if r.alive and r.race]:
            for rival in self.rivals(process):
                with suppress(OrosError):  # a folder that is gone decides nothing
                    if process.alive and self._won(rival.pid):
                        await self.decide(rival)
