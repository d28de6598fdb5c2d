"""One seed: a machine lives through spawns, signals, copies, cancelled requests, crashes.

Everything follows from the seed: `python -m tests.simulation --seed N` fails again.
"""

import asyncio
import contextlib
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.kernel.virtual import proc_of
from tests.simulation import workload
from tests.simulation.devices import Ledger, MoodyModel, tools
from tests.simulation.invariants import Watch

from oros.abi.errors import NoSpace, OrosError, Panic
from oros.abi.manifest import Program
from oros.abi.ports import ModelInfo
from oros.kernel.kernel import Kernel
from oros.kernel.machine import World
from oros.kernel.process import State
from oros.sdk.testing.clock import SeededRandom, VirtualClock, VirtualLoop
from oros.sdk.testing.memory import Disk, MemoryStore
from oros.services.proc import ProcServer
from oros.services.shapes import SHAPES

PROGRAM = Program(
    "sim", "simulated", "steps", "Do as the goal says.", tuple(workload.CALLS), max_turns=40,
    digest=60, recall=80,
)  # fmt: skip
SHELL = Program("shell", "pid 1", "steps", "You are pid 1.", ("send", "spawn"), standing=True)
PATIENCE = 20_000.0
"""Virtual seconds after which a machine that has not come to rest is stuck."""

BREAKS = ("crash", "crash", "halt", "disk", "none", "none")
POKES = ("KILL", "INT", "STOP", "CONT", "TERM", "USR1", "nice", "fork", "send", "look")


@dataclass
class Machine:
    """One life of the machine: from a boot to a crash, a halt or the end."""

    kernel: Kernel
    store: MemoryStore
    server: "asyncio.Task[None]"
    broken: str = ""
    quiet: bool = False


@dataclass
class Story:
    """All lives of one seed."""

    seed: int
    chance: random.Random = field(init=False)
    disk: Disk = field(default_factory=Disk)
    machine: Machine | None = None
    lives: int = 0
    goals: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.watch = Watch(self.disk)
        self.ledger = Ledger(self.disk)
        self.slots = self.chance.choice((1, 2, 4))
        self.speed = self.chance.choice((2.0, 50.0, 5000.0))
        self.window = self.chance.choice((32768, 4000))
        self.commit = self.chance.choice((0.0, 0.002, 0.05))
        self.price = self.chance.choice(((0, 0, 0), (1000, 2000, 100)))

    # ---- one life ------------------------------------------------------------------------------

    def boot(self) -> Machine:
        """A machine over the disk as it is."""
        chance = self.chance
        store = MemoryStore(self.disk, lambda: self.commit * chance.random())
        cans = frozenset({"tools", "resume"} if self.seed % 3 else {"tools"})
        cans |= {"count"} if self.seed % 2 else set()
        info = ModelInfo("sim", self.window, self.slots, cans, self.price)
        model = MoodyModel(workload.say, chance, VirtualClock(), info, self.speed)
        servers: dict[str, ProcServer] = {}
        world = World(
            store, VirtualClock(), SeededRandom(chance.randrange(1 << 30)), lambda _: model,
            lambda source: servers[source], lambda _, __: PROGRAM, SHAPES,
            tools=tools(self.ledger, chance),
        )  # fmt: skip
        kernel = Kernel(world)
        servers["proc:"] = proc_of(kernel, store)
        self.watch.attach(kernel, store)
        kernel.boot(SHELL)
        self.lives += 1
        return Machine(kernel, store, asyncio.ensure_future(kernel.run()))

    async def live(self, *, last: bool) -> None:
        """Boot, be poked, and break or come to rest."""
        self.machine = machine = self.boot()
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        acts: list[asyncio.Task[None]] = []
        how = "none" if last else self.chance.choice(BREAKS)
        if how != "none":
            turn = loop.turns + self.chance.randint(1, 600)
            loop.at_turn(turn, lambda: self.break_(machine, how))
        for _ in range(self.chance.randint(0, 4)):
            turn = loop.turns + self.chance.randint(5, 600)
            poke = self.poke(machine)
            loop.at_turn(
                turn,
                lambda poke=poke: (
                    None if machine.quiet else acts.append(asyncio.ensure_future(poke()))
                ),
            )
        try:
            await self.person(machine)
            machine.quiet = True
            if acts and not machine.broken:
                await asyncio.wait([*acts, machine.server], timeout=60)
            await self.person(machine)  # what the last pokes have started
        finally:
            await self.end(machine, acts)

    def break_(self, machine: Machine, how: str) -> None:
        """What ends a life, wherever its tasks stand."""
        machine.broken = how
        if how == "crash":
            machine.store.crash()
            machine.server.cancel()
        elif how == "disk":
            machine.store.fail(NoSpace("the disk is full"))
        else:
            machine.kernel.halt()

    async def end(self, machine: Machine, acts: "list[asyncio.Task[None]]") -> None:
        """The end of a life: no task survives it, and it ended as it was broken."""
        if machine.broken == "disk":
            machine.server.cancel()
        elif not machine.broken:
            machine.kernel.halt()
        for task in acts:
            task.cancel()
        found = await asyncio.gather(machine.server, *acts, return_exceptions=True)
        ended, said = found[0], [e for e in found[1:] if isinstance(e, Exception)]
        if machine.broken in ("", "halt"):
            assert ended is None, f"a halt raised {ended!r}"
        if not machine.broken or machine.broken == "halt":
            assert not [e for e in said if not isinstance(e, OrosError)], said
        self.watch.crashed()
        machine.store.crash()

    # ---- the person ----------------------------------------------------------------------------

    async def person(self, machine: Machine) -> None:
        """Start what was not started, answer what is asked, until all has ended or it breaks."""
        known = {row.goal for row in self.watch.rows.values()}
        for goal in self.goals:
            if goal[:160] not in known:
                await self.request(machine, "spawn", self.order(goal))
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while not machine.broken:
            if machine.server.done():
                machine.server.result()
            rows = [r for r in machine.kernel.m.table if r.pid > 1]
            if not rows and not machine.kernel.m.active:
                return
            for row in rows:
                await self.tend(machine, row)
            left = [(r.pid, str(r.state), r.on, r.why) for r in rows]
            assert asyncio.get_running_loop().time() < deadline, f"it never ends: {left}"
            await asyncio.sleep(self.chance.choice((0.2, 5.0)))

    def order(self, goal: str) -> dict:
        """A spawn with or without limits."""
        limits = self.chance.choice(
            (
                {},
                {},
                {"tokens": 3000},
                {"calls": 12},
                {"seconds": 40.0},
                {"micros": 2, "tokens": 9000},
            )
        )
        return {"goal": goal, "nice": self.chance.randint(0, 1), "limits": limits}

    async def tend(self, machine: Machine, row) -> None:
        """What a patient person does for a process that waits for one."""
        assert "EBUG" not in row.why, row.why
        if row.state is State.STOPPED:
            await self.request(machine, "kill", {"pid": row.pid, "signal": "CONT", "tree": False})
        elif row.state is State.WAITING and row.on == "person":
            text = self.chance.choice(("yes", "no", "do it"))
            await self.request(machine, "send", {"pid": row.pid, "text": text})
        elif row.state is State.WAITING and row.on == "message":
            image = machine.kernel.m.journal.peek(row.pid)
            if image.open is None:
                await self.request(machine, "send", {"pid": row.pid, "text": "go on"})

    async def request(self, machine: Machine, name: str, args: dict) -> None:
        """Ask as the person; a machine that dies meanwhile is no fault."""
        task = asyncio.ensure_future(machine.kernel.request(name, args))
        with contextlib.suppress(OrosError, Panic):
            await asyncio.wait([task, machine.server], return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                task.result()
            else:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    def poke(self, machine: Machine) -> Callable[[], "asyncio.coroutines"]:
        """Something that a person does at a random moment, and perhaps gives up waiting for."""
        what, chance = self.chance.choice(POKES), self.chance
        pid, hasty = chance.randint(2, 9), chance.random() < 0.3

        async def act() -> None:
            asks = {
                "nice": ("nice", {"pid": pid, "level": chance.randint(0, 1)}),
                "fork": ("fork", {"pid": pid, "at": chance.randint(0, 6)}),
                "send": ("send", {"pid": pid, "text": "hello"}),
                "look": ("list", {"path": f"/proc/{pid}"}),
            }
            signal = {"pid": pid, "signal": what, "text": "look up"}
            name, args = asks.get(what, ("kill", signal))
            with contextlib.suppress(OrosError, Panic, TimeoutError):
                async with asyncio.timeout(0 if hasty else None):
                    await machine.kernel.request(name, args)

        return act

    # ---- all of it -----------------------------------------------------------------------------

    async def tell(self) -> None:
        """Live until everything is done, then look at what is left."""
        self.goals = [
            json.dumps(workload.program(self.chance)) for _ in range(self.chance.randint(1, 4))
        ]
        for number in range(4):
            await self.live(last=number == 3)
            if not self.machine.broken:
                break
        self.watch.settled()
        for key, times in self.ledger.done.items():
            assert times == 1, f"{key} was done {times} times"


def play(seed: int) -> Story:
    """Play one seed. Raises: AssertionError for what did not hold, Stuck if nobody wakes."""
    story = Story(seed)
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(story.tell())
    return story
