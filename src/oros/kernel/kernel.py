"""The kernel's face: boot from the journal, run, take the person's calls, let facts be watched."""

import asyncio
from collections.abc import Mapping, Sequence

from oros.abi import wire
from oros.abi.errors import Invalid, NoCall, TimedOut
from oros.abi.events import Mounted, Parked, Spawned
from oros.abi.grants import NO_LIMITS, MountPoint
from oros.abi.ids import INIT, PERSON, START, Pid, Seq
from oros.abi.labels import SYSTEM
from oros.abi.manifest import Program
from oros.abi.message import Ask, Json
from oros.abi.syscalls import TABLE, Outcome
from oros.abi.watch import Fact
from oros.flow.timers import Timers
from oros.kernel import dispatch, loop
from oros.kernel.ending import finished
from oros.kernel.journal import Journal
from oros.kernel.machine import Activation, Machine, Tell, World
from oros.kernel.process import Process, State
from oros.monitor import namespace
from oros.scheduling import scheduler

PERSON_PROGRAM = Program("person", "the person at this machine", "steps", "")


class Kernel:
    """One machine. `run` it in a task; `request` is the person's way in."""

    def __init__(self, world: World) -> None:
        self.m = Machine(
            world, Journal(world.store, world.clock, world.shapes), Timers(world.clock)
        )
        self._tasks: asyncio.TaskGroup | None = None
        self.m.start = self._start

    def boot(self, init: Program) -> None:
        """Load the table and park what was parked; the first boot makes the person and pid 1."""
        m = self.m
        rows = m.journal.load()
        for row in rows:
            m.next_pid = max(m.next_pid, row.pid + 1)
            if row.state is State.REAPED:
                m.done[row.pid] = row
            else:
                m.table.add(row)
        self._open_accounts(rows)
        if PERSON not in m.table:
            self._first(PERSON, PERSON_PROGRAM)
            self._first(INIT, init)
        for row in (m.table[PERSON], m.table[INIT]):  # a machine of old knew fewer
            if missing := [p for p in namespace.SYSTEM if p not in row.mounts]:
                m.journal.write(*((row, Mounted(point)) for point in missing))
        for row in m.table:
            if row.alive and row.on in ("child", "timer", "person", "message"):
                self._repark(row)

    def _first(self, pid: Pid, program: Program) -> None:
        row, mounts = Process(pid), namespace.SYSTEM
        event = Spawned(PERSON, program, "", "", 0, NO_LIMITS, mounts, PERSON, (), SYSTEM)
        self.m.journal.write((row, event), (row, Parked("message")))
        self.m.table.add(row)

    def _open_accounts(self, rows: Sequence[Process]) -> None:
        """The accounts of all trees of which a process is left, whatever became of the owners."""
        accounts = self.m.accounts
        bound = {owner for row in self.m.table for owner in row.accounts}
        for row in rows:
            if row.pid in bound:
                accounts.open(row.pid, row.limits)
        for row in rows:
            accounts.charge(row, row.usage)
            accounts.keep(row)
        for row in self.m.table:
            accounts.enter(row)

    def _repark(self, row: Process) -> None:
        """A process that waits inside a call is parked again; one that rests needs nothing."""
        m = self.m
        image = m.journal.peek(row.pid)
        entered = image.open
        if entered is not None and not image.doubted and TABLE[entered.name].blocks:
            call = wire.decode_call(entered.name, entered.args)
            dispatch.repark(m, row, entered, call)

    async def run(self) -> None:
        """Serve until halted. Raises: Panic if the journal can't be written."""
        m = self.m
        async with asyncio.TaskGroup() as served:
            clocks = [served.create_task(m.timers.run()), served.create_task(self._tick())]
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                for row in m.table:
                    self._start(row)
                await m.halted.wait()
                m.halting = True
                for active in m.active.values():
                    active.scope.cancel("HALT")
            for clock in clocks:
                clock.cancel()
        self._tasks = None
        await m.journal.sync()

    async def _tick(self) -> None:
        """Look once a quantum whether a waiting claim has become better than a running one."""
        while True:
            await self.m.world.clock.sleep(scheduler.QUANTUM)
            for slots in self.m.slots.values():
                if slots.waiting:
                    slots.arrange()

    def halt(self) -> None:
        """Stop: generations are cut and kept, calls in flight are ended."""
        self.m.halted.set()

    def _start(self, process: Process) -> None:
        """Wake a process if it has something to do and is not awake."""
        m = self.m
        awake = process.pid in m.active or process.pid == PERSON
        if self._tasks is None or m.halting or awake or not process.runnable:
            return
        m.active[process.pid] = Activation()
        if process.state is State.READY:
            process.state = State.RUNNING
        self._tasks.create_task(loop.activate(m, process))

    # ---- the person's way in -------------------------------------------------------------------

    async def request(self, name: str, args: Mapping[str, Json]) -> Outcome:
        """Make a call as the person. `folder` in `args` is the host folder that /work means."""
        m = self.m
        rest = dict(args)
        mounts = m.table[PERSON].mounts
        folder = rest.get("folder") if name == "spawn" else rest.pop("folder", "")
        if folder and isinstance(folder, str):
            work = MountPoint(namespace.HOME, f"work:{folder}", "rw")
            mounts = (work, *mounts)
            if name == "send" and rest.get("pid") == INIT and work not in m.table[INIT].mounts:
                m.journal.write((m.table[INIT], Mounted(work)))  # pid 1 works where the person is
        if name not in TABLE:
            raise NoCall(f"there is no call {name!r}", f"calls: {' '.join(TABLE)}")
        if name == "wait":
            return await self._wait(rest)
        outcome = await dispatch.enter(m, m.table[PERSON], Ask("", name, rest), mounts)
        if outcome is None:
            raise Invalid(f"{name} would park the person")
        return outcome

    async def _wait(self, args: Mapping[str, Json]) -> Outcome:
        """The person waits for any process; nothing is reaped by it, history answers too."""
        call = wire.decode_call("wait", dict(args))
        pid, timeout = getattr(call, "pid", PERSON), getattr(call, "timeout", None)
        if pid == PERSON:
            raise Invalid("wait: which process?", "give a pid")
        try:
            async with asyncio.timeout(timeout):
                process = self.m.find(pid)
                if process.alive:
                    await self.m.ends.setdefault(pid, asyncio.Event()).wait()
                await self.m.journal.sync()  # an end is told only when it can't be lost
                return finished(process)
        except TimeoutError:
            error = TimedOut(f"process {pid} has not ended in {timeout:g} seconds")
            return wire.failed(error)

    # ---- facts come up -------------------------------------------------------------------------

    def listen(self, tell: Tell | None) -> None:
        """Tell somebody of committed facts and streaming tokens from now on; None: nobody."""
        self.m.tell = self.m.journal.watcher = tell

    def history(self, pid: Pid, after: Seq = START) -> list[Fact]:
        """The committed facts of a process. Raises: NoProcess."""
        self.m.find(pid)
        return self.m.journal.facts(pid, after)
