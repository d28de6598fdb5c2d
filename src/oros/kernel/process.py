"""The process table: one struct a process, its states and the legal moves between them.

A `Process` is small on purpose: an idle one is only this row. What it is thinking about is its
`Image`, rebuilt from the journal when it wakes. Both are folds of its events; this file knows
nothing of contexts, models or devices.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from oros.abi.errors import NoProcess, Panic
from oros.abi.events import (
    CallEntered,
    CallReturned,
    Carded,
    Doubted,
    Event,
    Exited,
    Forked,
    Granted,
    ModelCalled,
    ModelReplied,
    Mounted,
    Moved,
    Niced,
    Parked,
    Reaped,
    Received,
    Signalled,
    Spawned,
    Spent,
)
from oros.abi.grants import NO_LIMITS, NO_USAGE, Grant, Limits, MountPoint, Usage
from oros.abi.ids import PERSON, START, Pid, Seq
from oros.abi.intern import one
from oros.abi.labels import SYSTEM, Label
from oros.abi.message import Json


class State(StrEnum):
    """Where a process stands; `Process.on` says what a WAITING one waits for."""

    NEW = "new"
    READY = "ready"
    RUNNING = "running"
    WAITING = "waiting"
    STOPPED = "stopped"
    ZOMBIE = "zombie"
    REAPED = "reaped"


_ALIVE = frozenset({State.READY, State.RUNNING, State.WAITING, State.STOPPED, State.ZOMBIE})

LEGAL: dict[State, frozenset[State]] = {
    State.NEW: frozenset({State.READY, State.WAITING}),
    State.READY: _ALIVE,
    State.RUNNING: _ALIVE,
    State.WAITING: _ALIVE,
    State.STOPPED: _ALIVE,
    State.ZOMBIE: frozenset({State.REAPED}),
    State.REAPED: frozenset(),
}

WAITS_ON = {"wait": "child", "recv": "message", "sleep": "timer", "ask": "person"}
"""What the blocking calls wait for; any other call waits for its device: "call"."""

GOAL_CHARS = 160


@dataclass(slots=True)
class Process:
    """A row of the table. Only `apply` writes it, from events."""

    pid: Pid
    # who it is: set once, by its first event
    ppid: Pid = PERSON
    program: str = ""
    model: str = ""
    asked: str = ""
    home: str = ""
    goal: str = ""
    limits: Limits = NO_LIMITS
    guard: bool = False
    schema: Json = None
    mounts: tuple[MountPoint, ...] = ()
    calls: tuple[str, ...] = ()
    started: float = 0.0
    heard: float = 0.0
    root: Pid = PERSON
    accounts: tuple[Pid, ...] = ()
    race: Pid = PERSON
    # where its journal ends
    seq: Seq = START
    head: str = ""
    # how it stands
    state: State = State.NEW
    on: str = ""
    resume: State = State.READY
    why: str = ""
    nice: int = 0
    label: Label = SYSTEM
    status: int | None = None
    answer: str = ""
    changed: float = 0.0
    # what it was granted beyond its user's words, what was denied, and the acts it has spent
    grants: tuple[Grant, ...] = ()
    denied: tuple[str, ...] = ()
    spent: tuple[tuple[str, int], ...] = ()
    # what it used, and holds in reserve for the call in flight
    usage: Usage = NO_USAGE
    reserved: Usage = NO_USAGE
    # tokens of the window at its last turn, by `OWNERS`
    window: tuple[int, ...] = ()

    @property
    def alive(self) -> bool:
        """Neither ended nor reaped."""
        return self.state not in (State.ZOMBIE, State.REAPED)

    @property
    def runnable(self) -> bool:
        """It has something to do."""
        return self.state in (State.READY, State.RUNNING) or (
            self.state is State.WAITING and self.on in ("model", "call")
        )


def move(process: Process, state: State, on: str = "") -> None:
    """Change the state; while stopped, only note where to go on. Raises: Panic if not legal."""
    if process.state is State.STOPPED and state not in (State.ZOMBIE, State.STOPPED):
        process.resume, process.on = state, on
        return
    if state is not process.state and state not in LEGAL[process.state]:
        raise Panic(f"process {process.pid}: {process.state} -> {state} is no legal move")
    process.state, process.on = state, on


def apply(process: Process, event: Event, time: float) -> None:  # noqa: C901, PLR0912 - the fold
    """Fold one event into the row."""
    process.changed = time
    match event:
        case Spawned():
            spawned(process, event, time)
        case Forked():
            copied(process, event, time)
        case Received():
            process.heard = time
            process.label = one(process.label | event.read)
            if process.on == "message":
                move(process, State.READY)
        case ModelCalled():
            process.reserved = event.reserve
            process.window = process.window if event.about else one(event.window)
            move(process, State.WAITING, "model")
        case ModelReplied():
            process.usage, process.reserved = process.usage + event.usage, NO_USAGE
            move(process, State.RUNNING)
        case Moved():
            moved(process, event)
        case CallEntered():
            process.usage += Usage(calls=int(event.verdict == "allow"))
            if event.act and event.verdict == "allow":
                spend(process, event.act)
            move(process, State.WAITING, WAITS_ON.get(event.name, "call"))
        case CallReturned():
            process.usage += event.outcome.usage + Usage(seconds=event.seconds)
            process.label = one(process.label | event.shown.label)
            move(process, State.RUNNING)
        case Granted() | Spent() | Carded():
            granted(process, event)
        case Doubted():
            move(process, State.WAITING, "person")
        case Parked():
            move(process, State.WAITING, event.on)
        case Signalled():
            signalled(process, event)
        case Niced():
            process.nice = event.level
        case Mounted(point=point):
            process.mounts = (*(p for p in process.mounts if p.path != point.path), point)
        case Exited():
            ended(process, event)
        case Reaped():
            move(process, State.REAPED)
        case _:
            pass


def spawned(process: Process, event: Spawned, time: float) -> None:
    """Fold the first event of a process that was started."""
    process.ppid, process.model, process.asked = event.parent, one(event.model), one(event.asked)
    process.program, process.calls = event.program.name, one(event.program.calls)
    process.goal, process.limits = event.goal[:GOAL_CHARS], event.limits
    process.root, process.accounts = event.root, event.accounts
    process.mounts, process.nice, process.label = one(event.mounts), event.nice, event.label
    process.grants, process.guard, process.schema = one(event.grants), event.guard, event.schema
    process.started = process.heard = time
    move(process, State.READY)


def copied(process: Process, event: Forked, time: float) -> None:
    """Fold a copy's first event: the original's rows were folded before; its account is new."""
    process.ppid, process.limits, process.started = event.parent, event.limits, time
    process.root, process.accounts, process.race = event.root, event.accounts, event.race
    process.usage = process.reserved = NO_USAGE
    process.state, process.on, process.why = State.READY, "", ""
    process.status, process.answer = None, ""


def moved(process: Process, event: Moved) -> None:
    """Fold a change of model; `home` is the first one, as long as it is with another."""
    process.home = "" if event.to == process.home else process.home or event.of
    process.model = event.to


def ended(process: Process, event: Exited) -> None:
    """Fold an end."""
    process.status, process.why, process.answer = event.status, event.why, event.answer
    process.label = one(process.label | event.label)
    process.usage, process.reserved = process.usage + event.usage, NO_USAGE
    move(process, State.ZOMBIE)


def spend(process: Process, act: str) -> None:
    """Count a call of a class."""
    counts = dict(process.spent)
    process.spent = tuple((counts | {act: counts.get(act, 0) + 1}).items())


def granted(process: Process, event: Granted | Spent | Carded) -> None:
    """Fold what the person is asked and says: what is granted is denied no more, and vice versa."""
    if isinstance(event, Spent):
        spend(process, event.act)
        return
    if isinstance(event, Carded):
        process.usage += event.usage
        if event.items:
            move(process, State.WAITING, "card")
        return
    process.usage += event.usage
    named = {g.name for g in event.grants}
    process.grants = (*(g for g in process.grants if g.name not in event.denied), *event.grants)
    process.denied = (*(d for d in process.denied if d not in named), *event.denied)
    if event.card:
        move(process, State.READY)


def signalled(process: Process, event: Signalled) -> None:
    """Fold a signal: STOP remembers where to go on, CONT goes on there; INT puts a card away."""
    if event.signal == "INT" and process.state is State.WAITING and process.on == "card":
        move(process, State.READY)
    if event.signal == "STOP" and process.state is not State.STOPPED:
        process.resume = State.READY if process.on in ("", "model", "call") else process.state
        on = process.on
        move(process, State.STOPPED)
        process.on, process.why = on, event.why
    elif event.signal == "CONT" and process.state is State.STOPPED:
        on = process.on if process.resume is State.WAITING else ""
        process.state = State.RUNNING
        move(process, process.resume, on)
        process.why = ""


class Table:
    """All processes that are not reaped, by pid, and who is whose child."""

    def __init__(self) -> None:
        self._rows: dict[Pid, Process] = {}
        self._children: dict[Pid, dict[Pid, None]] = {}  # half the size of a set

    def __getitem__(self, pid: Pid) -> Process:
        """Raises: NoProcess."""
        found = self._rows.get(pid)
        if found is None:
            raise NoProcess(f"there is no process {pid}", "`oros ps` lists them")
        return found

    def __contains__(self, pid: Pid) -> bool:
        return pid in self._rows

    def __iter__(self) -> Iterator[Process]:
        return iter(list(self._rows.values()))

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, process: Process) -> None:
        """Enter a row whose first event was applied."""
        self._rows[process.pid] = process
        if process.pid != process.ppid:
            self._children.setdefault(process.ppid, {})[process.pid] = None

    def drop(self, process: Process) -> None:
        """Forget a reaped row; its journal stays."""
        self._rows.pop(process.pid, None)
        family = self._children.get(process.ppid)
        if family is not None:
            family.pop(process.pid, None)
            if not family:
                del self._children[process.ppid]

    def children(self, pid: Pid) -> list[Process]:
        """The children that are not reaped, oldest first."""
        return [self._rows[c] for c in sorted(self._children.get(pid, ())) if c in self._rows]

    def ancestors(self, process: Process) -> Iterator[Process]:
        """The process, its parent, and so on up; an ancestor that was reaped ends the line."""
        seen: set[Pid] = set()
        row: Process | None = process
        while row is not None and row.pid not in seen:
            yield row
            seen.add(row.pid)
            row = self._rows.get(row.ppid)

    def below(self, pid: Pid) -> list[Process]:
        """All descendants, parents before children."""
        found: list[Process] = []
        queue = self.children(pid)
        while queue:
            row = queue.pop(0)
            found.append(row)
            queue.extend(self.children(row.pid))
        return found

    def is_below(self, process: Process, pid: Pid) -> bool:
        """Tell whether `process` is `pid` or descends from it."""
        return any(row.pid == pid for row in self.ancestors(process))
