"""How a process ends: its last facts, who is told, who is reaped."""

from collections.abc import Callable

from oros.abi.events import CallReturned, Exited, Reaped
from oros.abi.ids import INIT, PERSON
from oros.abi.message import Json
from oros.abi.syscalls import Outcome
from oros.kernel.journal import Entry
from oros.kernel.machine import Machine
from oros.kernel.process import Process, State

After = list[Callable[[], None]]


def finished(child: Process, status: int | None = None, answer: str = "") -> Outcome:
    """What a wait for a process comes to."""
    value: Json = {
        "pid": child.pid,
        "status": child.status if status is None else status,
        "answer": child.answer if status is None else answer,
    }
    if child.why:
        value["why"] = child.why
    return Outcome(value=value, label=child.label)


def ends(
    m: Machine, process: Process, status: int, answer: str, why: str
) -> tuple[list[Entry], After]:
    """The facts of an end: its exit, the return of whoever waits for it, and the reaping.

    It is reaped at once if nobody will wait for it. Its own zombies are reaped with it; children
    that still run go on as orphans.
    """
    entries: list[Entry] = [(process, Exited(status, answer, why, process.label))]
    after: After = [lambda: stop(m, process)]
    taken = False
    for pid, blocked in list(m.blocked.items()):
        waits = blocked.entered.name == "wait" and pid in m.table
        parent = m.table[pid] if waits else None
        if parent is None or blocked.on not in (PERSON, process.pid):
            continue
        if blocked.on == PERSON and process.ppid != pid:
            continue
        del m.blocked[pid]
        outcome = finished(process, status, answer)
        entries.append((parent, CallReturned(blocked.entered.id, outcome)))
        after.append(lambda parent=parent: m.start(parent))  # type: ignore[misc]  # bound now
        taken = taken or process.ppid == pid
    if taken or m.orphan(process):
        entries.append((process, Reaped(process.ppid)))
        after.append(lambda: m.retire(process))
    for child in m.table.children(process.pid):
        if child.state is State.ZOMBIE:
            entries.append((child, Reaped(process.pid)))
            after.append(lambda child=child: m.retire(child))  # type: ignore[misc]  # bound now
    m.blocked.pop(process.pid, None)
    return entries, after


def reap(m: Machine, parent: Process) -> tuple[list[Entry], After]:
    """Reap the zombies of a process that ends its turn without having waited for them."""
    entries: list[Entry] = []
    after: After = []
    for child in m.table.children(parent.pid):
        if child.state is State.ZOMBIE:
            entries.append((child, Reaped(parent.pid)))
            after.append(lambda child=child: m.retire(child))  # type: ignore[misc]  # bound now
    return entries, after


def stop(m: Machine, process: Process) -> None:
    """Cut short what an ended process was doing, and forget what it held."""
    active = m.active.get(process.pid)
    if active is not None:
        active.scope.cancel("KILL")
    m.journal.sleep(process)
    if process.pid in m.ends:
        m.ends.pop(process.pid).set()
    if process.pid > INIT and process.root == process.pid:
        for slots in m.slots.values():
            slots.attained.pop(process.pid, None)
