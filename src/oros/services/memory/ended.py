"""What a finished process came to, for the process that notes it; and when that one is started.

Facts are noted by a process like any other: in the background, under a budget of its own, seen in
`ps`, replayed from its journal. It is started when nobody needs the machine, one at a time.
"""

import json
from collections.abc import Awaitable, Callable, Mapping

from oros.abi.errors import NotFound, OrosError
from oros.abi.ids import INIT, PERSON, Pid
from oros.abi.labels import Label
from oros.abi.message import Json
from oros.abi.ports import Store
from oros.abi.syscalls import Outcome
from oros.kernel.machine import Machine
from oros.kernel.process import Process

PROGRAM = "facts"
KEY = "facts.noted"
IDLE = 20.0
"""Seconds without anybody awake before one is started."""
MOST = 4000
"""Characters of an answer that are shown."""
KEPT = 500
"""Processes that are remembered as noted."""
BY_USER = (PERSON, INIT)
"""Whose children are the user's own jobs: those of the person, and of whom they talk to."""
TOKENS, CALLS, SECONDS = 6000, 12, 300.0
"""The budget of one."""

Call = Callable[[str, Mapping[str, Json]], Awaitable[Outcome]]


def ended(machine: Machine, reader: Pid, pid: Pid) -> tuple[str, Label]:
    """What a finished process was asked and answered, and its label. Raises: NotFound.

    Only a process that was started to note it is shown it.
    """
    who, process = machine.find(reader), machine.find(pid)
    noting = who.program == PROGRAM and who.ppid == PERSON and who.goal == goal(pid)
    if not noting or process.alive:
        raise NotFound(f"/mem/ended/{pid}: no such place", "there are self, user, app and always")
    image = machine.journal.peek(pid)
    later = "".join(f"\nThe user also said: {w}" for w in image.words[1:])
    text = f"The job: {process.goal}{later}\n\nWhat came of it: {process.answer[:MOST]}"
    return text, process.label


def goal(pid: int) -> str:
    """What a process that notes is told."""
    return f"note what process {pid} came to"


class Notes:
    """Starts the processes that note facts. `model` names the one to ask, "" for none."""

    def __init__(
        self, machine: Machine, call: Call, store: Store, model: Callable[[], str]
    ) -> None:
        self._m, self._call, self._store, self._model = machine, call, store, model

    async def keep(self) -> None:
        """Look now and then whether a process is to be noted and nobody is awake."""
        if self._store.get_setting(KEY) is None:  # what ended before is past
            self._save([p.pid for p in self._rows() if not p.alive])
        quiet = False
        while True:
            await self._m.world.clock.sleep(IDLE / 2)
            was, quiet = quiet, not self._m.active
            if was and quiet and (process := self._next()) is not None:
                await self._note(process)
                quiet = False

    def _rows(self) -> list[Process]:
        return [*self._m.done.values(), *self._m.table]

    def _next(self) -> Process | None:
        """The oldest that ended well, was the user's own, and is not noted yet."""
        noted = self._noted()
        found = [
            p
            for p in self._rows()
            if not p.alive and p.ppid in BY_USER and p.program != PROGRAM and p.pid not in noted
        ]
        worth = [p for p in found if p.status == 0 and p.answer.strip() and not p.race]
        return min(worth, key=lambda p: p.pid, default=None)

    async def _note(self, process: Process) -> None:
        self._save([*self._noted(), process.pid])  # first: one that fails is not tried for ever
        model = self._model()
        if not model:
            return
        limits = {"tokens": TOKENS, "calls": CALLS, "seconds": SECONDS}
        args: dict[str, Json] = {"goal": goal(process.pid), "program": PROGRAM, "nice": 1}
        try:
            await self._call("spawn", {**args, "model": model, "limits": limits})
        except OrosError:
            return  # no model now: what is not noted stays in the journal

    def _noted(self) -> list[int]:
        return [int(p) for p in json.loads(self._store.get_setting(KEY) or "[]")]

    def _save(self, noted: list[int]) -> None:
        self._store.put_setting(KEY, json.dumps(noted[-KEPT:]))
