"""How a process ends: its last facts, who is told, who is reaped."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from oros.abi import wire
from oros.abi.events import Exited, Reaped
from oros.abi.grants import NO_USAGE, Usage
from oros.abi.ids import INIT, PERSON
from oros.abi.labels import NOTHING
from oros.abi.message import Json
from oros.abi.syscalls import Outcome
from oros.kernel import authority
from oros.kernel.journal import Entry
from oros.kernel.machine import Machine
from oros.kernel.process import Process, State
from oros.monitor import handles
from oros.paging.context import CHARS_A_TOKEN

After = list[Callable[[], None]]


def finished(child: Process, end: Exited | None = None) -> Outcome:
    """What a wait for a process comes to; `end` is one that is not folded yet."""
    row = child if end is None else end
    value: Json = {"pid": child.pid, "status": row.status, "answer": row.answer}
    if child.schema is not None:
        answer = value.pop("answer")
        value["value"] = wire.arguments(answer) if answer else None
    if row.why:
        value["why"] = row.why
    return Outcome(value=value, label=child.label | row.label)


def ends(
    m: Machine,
    process: Process,
    status: int,
    answer: str,
    why: str,
    before: Sequence[Entry] = (),
) -> tuple[list[Entry], After]:
    """The facts of an end: its exit, the return of whoever waits for it, and the reaping.

    It is reaped at once if nobody will wait for it. Its own zombies are reaped with it, those of
    the same commit (`before`) too; children that still run go on as orphans.
    """
    made = NOTHING
    if process.guard and "{{" in answer:
        known = authority.results(m, m.journal.peek(process.pid))
        answer, made = handles.told(answer, known)
    used = cut_short(m, process)
    m.accounts.charge(process, replace(used, seconds=0.0))
    end = Exited(status, answer, why, process.label | made, used)
    entries: list[Entry] = [(process, end)]
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
        back = authority.returning(m, parent, blocked.entered, finished(process, end))
        entries.append((parent, back))
        after.append(lambda parent=parent: m.start(parent))  # type: ignore[misc]  # bound now
        taken = taken or process.ppid == pid
    if taken or m.orphan(process):
        entries.append((process, Reaped(process.ppid)))
        after.append(lambda: m.retire(process))
    buried, more = reap(m, process, before)
    entries += buried
    after += more
    m.blocked.pop(process.pid, None)
    return entries, after


def cut_short(m: Machine, process: Process) -> Usage:
    """What a model call has cost that is in flight when its process ends."""
    active = m.active.get(process.pid)
    if active is None or active.since is None or not process.reserved.calls:
        return NO_USAGE
    said = min(int(sum(map(len, active.text)) / CHARS_A_TOKEN), process.reserved.tokens_out)
    passed = m.world.clock.monotonic() - active.since
    used = Usage(process.reserved.tokens_in, said, seconds=passed, calls=1)
    return replace(used, micros=m.world.model(process.model).info.cost(used))


def reap(m: Machine, parent: Process, before: Sequence[Entry] = ()) -> tuple[list[Entry], After]:
    """Reap the zombies of a process that ends, or ends its turn, without having waited for them."""
    entries: list[Entry] = []
    after: After = []
    ended = {p.pid for p, e in before if isinstance(e, Exited)}
    ended -= {p.pid for p, e in before if isinstance(e, Reaped)}
    for child in m.table.children(parent.pid):
        if child.state is State.ZOMBIE or child.pid in ended:
            entries.append((child, Reaped(parent.pid)))
            after.append(lambda child=child: m.retire(child))  # type: ignore[misc]  # bound now
    return entries, after


def stop(m: Machine, process: Process) -> None:
    """Cut short what an ended process was doing, and forget what it held."""
    active = m.active.get(process.pid)
    if active is not None:
        active.scope.cancel("KILL")
    m.accounts.settle(process)
    m.journal.sleep(process)
    if process.pid in m.ends:
        m.ends.pop(process.pid).set()
    if process.pid > INIT and process.root == process.pid:
        m.fresh(process)
