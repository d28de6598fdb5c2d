"""The machine: the kernel's own state in one struct, and what it was given from outside.

Dispatch, control and the loop are functions over it. It performs nothing by itself.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import is_

from oros.abi.acts import WORST, Act
from oros.abi.errors import NoDevice, NoProcess
from oros.abi.events import CallEntered
from oros.abi.grants import MountPoint
from oros.abi.ids import INIT, PERSON, Pid
from oros.abi.manifest import Program
from oros.abi.message import Json, Message
from oros.abi.ports import Clock, Device, FileServer, Model, Random, Store, Tool
from oros.abi.watch import Fact, Token
from oros.flow.scope import Scope
from oros.flow.timers import Timers
from oros.kernel.journal import Journal
from oros.kernel.process import Process, State, Table
from oros.kernel.shapes import Shapes
from oros.kernel.slots import Slots
from oros.paging import tools
from oros.scheduling.budget import Accounts

Recall = Callable[[Pid, str, int], Awaitable[Message | None]]
"""What memory has about a text for a process, in so many tokens."""

Tell = Callable[[Sequence[Fact | Token]], None]
"""Who is told of committed facts and of tokens, if anybody."""

KEPT = 1000
"""Reaped rows that `ps -a` still shows from memory; all journals stay in the store."""


@dataclass(slots=True)
class World:
    """What the kernel is given: devices behind ports.

    `model` resolves a name ("" is the default) and raises NoDevice; `ways` are the models that a
    process may move to, by the name of its list and its model now; `suited` is the model that a
    program gets in the place of one, which a name named or not; `server` resolves a mount
    source such as `work:/home/ann/x`; `program` resolves a program's name for a model; `shapes` are
    what programs can be of.
    """

    store: Store
    clock: Clock
    random: Random
    model: Callable[[str], Model]
    server: Callable[[str], FileServer]
    program: Callable[[str, Model], Program]
    shapes: Shapes
    runner: Callable[[tuple[MountPoint, ...]], Device] | None = None
    tools: Mapping[str, Tool] = field(default_factory=dict)
    recall: Recall | None = None
    ways: Callable[[str, str], Iterable[Model]] = lambda _, __: ()
    suited: Callable[[Model, Program, str], Model] = lambda model, _, __: model
    node: str = "oros"


@dataclass(slots=True)
class Blocked:
    """A call that parks its process: what would complete it, and since when (monotonic)."""

    entered: CallEntered
    deadline: float | None = None
    on: Pid = PERSON


@dataclass(slots=True)
class Activation:
    """A process that is awake: the scope of what it does now, and the text that streams.

    `since`: when the model call in flight took its slot (monotonic); None while it has none.
    """

    scope: Scope = field(default_factory=Scope)
    calling: bool = False
    text: list[str] = field(default_factory=list)
    progress: Token | None = None
    since: float | None = None


@dataclass(slots=True)
class Machine:
    """All state of one running kernel."""

    world: World
    journal: Journal
    timers: Timers
    table: Table = field(default_factory=Table)
    accounts: Accounts = field(default_factory=Accounts)
    tell: Tell | None = None
    ends: dict[Pid, asyncio.Event] = field(default_factory=dict)
    slots: dict[str, Slots] = field(default_factory=dict)
    active: dict[Pid, Activation] = field(default_factory=dict)
    blocked: dict[Pid, Blocked] = field(default_factory=dict)
    done: "OrderedDict[Pid, Process]" = field(default_factory=OrderedDict)
    start: Callable[[Process], None] = lambda _: None
    next_pid: int = 2
    known: tuple[tuple[Tool, ...], str] = ((), "")
    classes: tuple[tuple[Tool, ...], tuple[tuple[str, tuple[str, ...]], ...]] = ((), ())
    halting: bool = False
    halted: asyncio.Event = field(default_factory=asyncio.Event)

    def find(self, pid: Pid) -> Process:
        """A process, reaped ones of late included. Raises: NoProcess."""
        if pid in self.table:
            return self.table[pid]
        found = self.done.get(pid)
        if found is None:
            raise NoProcess(f"there is no process {pid}", "`oros ps -a` lists them")
        return found

    def new_pid(self) -> Pid:
        """The next number; numbers are never used again."""
        pid = Pid(self.next_pid)
        self.next_pid += 1
        return pid

    def slots_of(self, name: str, model: Model) -> Slots:
        """The slots of a model."""
        found = self.slots.get(name)
        if found is None:
            info = model.info
            chance, resumes = self.world.random.random, "resume" in info.cans
            found = Slots(self.world.clock, max(1, info.slots), resumes, info.widest, chance)
            self.slots[name] = found
        return found

    def tool(self, name: str) -> Tool:
        """Raises: NoDevice."""
        found = self.world.tools.get(name)
        if found is None:
            there = " ".join(self.world.tools) or "none"
            raise NoDevice(f"there is no tool {name!r}", f"tools: {there}")
        return found

    @property
    def tools(self) -> tuple[Tool, ...]:
        """The tools that there are; the same object as long as they are the same."""
        now = tuple(self.world.tools.values())
        if len(now) != len(self.known[0]) or not all(map(is_, now, self.known[0])):
            self.known = (now, tools.index(t.spec for t in now))
        return self.known[0]

    @property
    def index(self) -> str:
        """What a model is told of them."""
        return self.known[1] if self.tools else ""

    def act_of(self, name: str) -> Act:
        """What a tool does, by its manifest; the worst, if it is gone."""
        found = self.world.tools.get(name)
        return found.spec.act if found is not None else WORST

    def effective_nice(self, process: Process) -> int:
        """The declared class, or a better one lent by a parent that waits for this process."""
        nice = process.nice
        for row in self.table.ancestors(process):
            if row.pid == process.pid or nice == 0:
                continue
            wait = self.blocked.get(row.pid)
            if wait is None or wait.entered.name != "wait":
                break
            nice = min(nice, row.nice)
        return nice

    def lend(self, process: Process) -> None:
        """Tell the slots the effective class of a process and all below it."""
        for row in (process, *self.table.below(process.pid)):
            for slots in self.slots.values():
                slots.renice(row.pid, self.effective_nice(row))

    def fresh(self, process: Process) -> None:
        """The person spoke: what its program has had of the slots so far counts no more."""
        for slots in self.slots.values():
            slots.attained.pop(process.root, None)

    def retire(self, process: Process) -> None:
        """Take a reaped process out of the table."""
        self.table.drop(process)
        self.accounts.leave(process)
        self.done[process.pid] = process
        while len(self.done) > KEPT:
            self.done.popitem(last=False)

    def orphan(self, process: Process) -> bool:
        """Nobody will wait for it: the person's own, pid 1's, or its parent is gone."""
        if process.ppid in (PERSON, INIT):
            return True
        return process.ppid not in self.table or not self.table[process.ppid].alive


def args_of(entered: CallEntered) -> Mapping[str, Json]:
    """The arguments of an entered call."""
    return entered.args if isinstance(entered.args, dict) else {}


def is_idle(process: Process) -> bool:
    """It waits for something outside and needs no task."""
    return process.state is State.WAITING and process.on not in ("model", "call")
