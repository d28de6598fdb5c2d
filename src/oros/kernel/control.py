"""The calls that change only the kernel's own tables: processes, signals, messages, mounts.

Each is a function of the machine and the caller that returns what to write: the facts, the outcome
and what to do after. All of it is one commit, so such a call happened whole or not at all.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from oros.abi.errors import Deadlock, Interrupted, Invalid, NoChild, NoProcess, OrosError
from oros.abi.events import (
    CallReturned,
    Forked,
    Mounted,
    Moved,
    Niced,
    Reaped,
    Received,
    Signalled,
    Spawned,
)
from oros.abi.grants import NO_LIMITS, MountPoint
from oros.abi.ids import INIT, PERSON, Pid, Seq
from oros.abi.labels import THIRD, USER, Label
from oros.abi.manifest import GUARDED
from oros.abi.message import Json, Message, say
from oros.abi.syscalls import (
    Allow,
    AskPerson,
    Call,
    Deny,
    Exit,
    Fork,
    Kill,
    Mount,
    Nice,
    Outcome,
    Recv,
    Send,
    Sleep,
    Spawn,
    Wait,
)
from oros.abi.wire import failed
from oros.kernel import authority
from oros.kernel.changes import Change, Park, Result
from oros.kernel.ending import ends, finished
from oros.kernel.image import Image
from oros.kernel.journal import Entry
from oros.kernel.machine import Machine
from oros.kernel.process import Process, State
from oros.monitor import handles, namespace, typed
from oros.scheduling import moves
from oros.scheduling.waits import stuck

MAX_COPIES = 64
HOME = "you spoke, so its first model is tried again"
ENDS = {"KILL": (137, "killed"), "TERM": (143, "terminated"), "LOST": (157, "lost")}
"""Status and reason of who is ended by a signal."""


def voice(caller: Process) -> Label:
    """The label of what a caller says: the person's own words, or a process's taint."""
    return USER if caller.pid == PERSON else caller.label


def spawn(m: Machine, caller: Process, call: Spawn) -> Result:
    """Start a process."""
    if not call.goal.strip():
        raise Invalid("spawn: the goal is empty")
    schema = typed.wanted(call)
    model = m.world.model(call.model or caller.model)
    program = m.world.program("reader" if schema else call.program, model)
    suited = m.world.suited(model, program, call.model)
    m.accounts.permit(caller, suited.info)
    asked = (call.model or caller.asked) if suited is model else suited.info.name
    guard = not schema and (call.guard or caller.guard)
    if guard:
        program = replace(program, prompt=f"{program.prompt}\n{GUARDED}")
    pid = m.new_pid()
    child = Process(pid)
    own = (pid,) if call.limits != NO_LIMITS else ()
    mounts = caller.mounts
    if call.folder:
        mounts = (MountPoint(namespace.HOME, f"work:{call.folder}", "rw"), *namespace.SYSTEM)
        if call.review:
            mounts = namespace.over(mounts, namespace.reviewed(mounts))
    mounts = namespace.needing(mounts, caller.mounts, call.needs)
    given = [(child, handed(m, caller, call))] if schema else []
    web = (MountPoint(namespace.WEB, f"web:{','.join(call.net)}"),) if call.net else ()
    event = Spawned(
        caller.pid,
        program,
        call.goal,
        suited.info.name,
        max(caller.nice, call.nice or 0),
        call.limits,
        (*(namespace.readable(mounts) if schema else mounts), *web),
        pid if caller.pid <= INIT else caller.root,
        caller.accounts + own,
        voice(caller) | THIRD if schema else voice(caller),
        () if schema else authority.given(m, caller),
        guard,
        call.read,
        schema,
        asked,
    )
    change = Change(Outcome(value={"pid": pid}, label=voice(caller)), [(child, event), *given])
    m.journal.images[pid] = Image()
    change.after.append(lambda: enrol(m, child))
    return change


def handed(m: Machine, caller: Process, call: Spawn) -> Received:
    """What a reader is given by its place, as its first message. Raises: Invalid."""
    known = authority.results(m, m.journal.peek(caller.pid))
    places = [r for r in call.read if r.startswith("$")]
    return Received(caller.pid, say("user", *handles.read(places, known, voice(caller))))


def enrol(m: Machine, child: Process) -> None:
    """Enter a new process in the table and let it run."""
    m.table.add(child)
    if child.limits != NO_LIMITS:
        m.accounts.open(child.pid, child.limits)
    m.accounts.enter(child)
    m.start(child)


def fork(m: Machine, caller: Process, call: Fork) -> Result:
    """Copy a process: a parent pointer and a place in its journal."""
    source = m.find(call.pid or caller.pid)
    if source.pid <= INIT:
        raise Invalid("fork: pid 1 and the person can't be copied")
    at = Seq(call.at or source.seq)
    if not 0 < at <= source.seq:
        raise Invalid(f"fork: process {source.pid} has events 1 to {source.seq}, not {at}")
    if not 1 + call.race <= call.n <= MAX_COPIES:
        raise Invalid(f"fork: n is {1 + call.race} to {MAX_COPIES}")
    change = Change(Outcome(label=voice(caller)))
    pids: list[Pid] = []
    for _ in range(call.n):
        child = m.journal.fold(source.pid, at)
        child.pid, child.seq = m.new_pid(), Seq(0)
        root = child.pid if caller.pid <= INIT else caller.root
        race = [*pids, child.pid][0] if call.race else PERSON
        event = Forked(caller.pid, source.pid, at, NO_LIMITS, root, caller.accounts, race)
        change.entries.append((child, event))
        if race:
            seen = namespace.reviewed(child.mounts)
            change.entries += [(child, Mounted(point)) for point in seen]
        if call.goal:
            message = say("user", call.goal, voice(caller))
            change.entries.append((child, Received(caller.pid, message)))
        change.after.append(lambda child=child: enrol(m, child))  # type: ignore[misc]  # bound now
        pids.append(child.pid)
    change.outcome = Outcome(value={"pids": pids}, label=voice(caller))
    return change


def exit_(m: Machine, caller: Process, call: Exit) -> Result:
    """End the caller."""
    if caller.pid <= INIT:
        raise Invalid("exit: pid 1 and the person don't end", "`oros halt` stops the machine")
    entries, after = ends(m, caller, call.status, call.answer, "")
    return Change(Outcome(), entries, after)


def kill(m: Machine, caller: Process, call: Kill) -> Result:
    """Send a signal down a tree."""
    target = m.find(call.pid)
    if not target.alive:
        raise NoProcess(f"process {call.pid} has ended already")
    if target.pid == PERSON or (target.pid == INIT and call.signal in ENDS):
        raise Invalid(f"kill: process {call.pid} can't be ended", "`oros halt` stops the machine")
    if call.signal == "USR1":
        return steer(m, caller, target, call.text)
    rows = [target, *(m.table.below(target.pid) if call.tree else ())]
    change = Change(Outcome(value={"pids": [r.pid for r in rows if r.alive]}, label=voice(caller)))
    for row in reversed(rows):
        if row.alive:
            change.entries.append((row, Signalled(call.signal, caller.pid, call.text)))
            strike(m, row, call, change)
    return change


def strike(m: Machine, row: Process, call: Kill, change: Change) -> None:
    """What a signal does to one process: to one that is awake through its activation."""
    awake = row.pid in m.active
    if call.signal in ENDS and not (call.signal == "TERM" and awake and row.runnable):
        status, why = ENDS[call.signal]
        entries, after = ends(m, row, status, "", why, change.entries)
        change.entries += entries
        change.after += after
    elif call.signal == "INT" and row.pid in m.blocked:
        outcome = failed(Interrupted("a signal ended the wait"))
        change.entries.append(unblock(m, row.pid, outcome))
    if awake:
        change.after.append(lambda: poke(m, row.pid, call.signal))
    elif call.signal in ("CONT", "INT"):
        change.after.append(lambda: m.start(row))


def steer(m: Machine, caller: Process, target: Process, text: str) -> Change:
    """A message into the live turn."""
    if not text.strip():
        raise Invalid("kill USR1: the text is empty", "say what it should do")
    message = say("user", text, voice(caller))
    change = Change(Outcome(value={"pids": [target.pid]}, label=voice(caller)))
    if target.pid in m.blocked:
        told = Interrupted("somebody spoke to you meanwhile")
        change.entries.append(unblock(m, target.pid, failed(told)))
    change.entries.append((target, Received(caller.pid, message, "steer")))
    if target.pid in m.active:
        change.after.append(lambda: poke(m, target.pid, "USR1"))
    else:
        change.after.append(lambda: m.start(target))
    return change


def poke(m: Machine, pid: Pid, signal: str) -> None:
    """Make an awake process look up: what it does now is cut short.

    STOP and steering let a call in flight come to its end: cut, it would be done in part.
    """
    active = m.active.get(pid)
    if active is not None and not (active.calling and signal in ("STOP", "USR1", "CONT")):
        active.scope.cancel(signal)


def unblock(m: Machine, pid: Pid, outcome: Outcome) -> Entry:
    """The return of a call that was parked."""
    entered = m.blocked.pop(pid).entered
    return (m.table[pid], authority.returning(m, m.table[pid], entered, outcome))


def nice(m: Machine, caller: Process, call: Nice) -> Result:
    """Change the declared class; no process lifts another above itself."""
    target = m.table[call.pid]
    if caller.pid > INIT and call.level < caller.nice:
        raise Invalid("nice: a process can't lift another above itself")
    change = Change(Outcome(value={"level": call.level}, label=voice(caller)))
    change.entries.append((target, Niced(call.level, caller.pid)))
    change.after.append(lambda: m.lend(target))
    return change


def mount(_: Machine, caller: Process, call: Mount) -> Result:
    """Show a part of the caller's namespace at another path."""
    point = namespace.narrow(caller.mounts, call.source, call.path, call.right)
    value: Json = {"path": point.path, "right": point.right}
    return Change(Outcome(value=value), [(caller, Mounted(point))])


def send(m: Machine, caller: Process, call: Send) -> Result:
    """Put a message into a process's journal; it answers what the process asked the person."""
    target = m.table[call.pid]
    if not target.alive or target.pid == PERSON:
        raise NoProcess(f"process {call.pid} takes no messages")
    change = Change(Outcome(value={"seq": target.seq + 1}, label=voice(caller)))
    blocked = m.blocked.get(target.pid)
    waits = blocked.entered.name if blocked else ""
    if caller.pid == PERSON and (waits == "ask" or target.on == "person"):
        answer(m, target, call.text, change)
    elif waits == "recv":
        value: Json = {"from": caller.pid, "text": call.text}
        mail = Received(caller.pid, letter(caller, call.text), "mail")
        back = unblock(m, target.pid, Outcome(value=value, label=voice(caller)))
        change.entries += [(target, mail), back]
    elif caller.pid == PERSON or target.on == "message" or "recv" not in target.calls:
        message = letter(caller, call.text)
        change.entries += spoken(m, target) if caller.pid == PERSON else ()
        change.entries.append((target, Received(caller.pid, message)))
    else:
        change.entries.append((target, Received(caller.pid, letter(caller, call.text), "mail")))
    if caller.pid == PERSON:
        change.after.append(lambda: m.fresh(target))
    change.after.append(lambda: m.start(target))
    return change


def spoken(m: Machine, target: Process) -> list[Entry]:
    """The person spoke to one that rests: if it had to move, its first model is tried again."""
    if not target.home or target.on != "message":
        return []
    with suppress(OrosError):
        if moves.may_read(m.world.model(target.home).info, target.label):
            return [(target, Moved(target.home, target.model, HOME))]
    return []


def letter(caller: Process, text: str) -> Message:
    """A message; of another process it says from whom."""
    if caller.pid == PERSON:
        return say("user", text, USER)
    return say("user", f"Message from process {caller.pid}: {text}", caller.label)


def answer(m: Machine, target: Process, text: str, change: Change) -> None:
    """The person's answer to a question, or to a doubt ("did it happen?")."""
    if target.pid in m.blocked:
        change.entries.append(unblock(m, target.pid, Outcome(value={"text": text}, label=USER)))
        return
    image = m.journal.peek(target.pid)
    if image.open is None:
        change.entries.append((target, Received(PERSON, say("user", text, USER))))
        return
    if text.strip().lower() in ("yes", "y", "done", "it happened"):
        outcome = Outcome(value={"note": "the person says that it happened"}, label=USER)
    else:
        note = "the person says that it did not happen; call it again if it is still needed"
        outcome = failed(Interrupted(note))
    change.entries.append((target, CallReturned(image.open.id, outcome)))


def wait(m: Machine, caller: Process, call: Wait) -> Result:
    """Take the end of a child, or park until one ends."""
    family = m.table.children(caller.pid)
    if call.pid == PERSON:
        ended = [c for c in family if c.state is State.ZOMBIE]
        if not family:
            raise NoChild("there is no child to wait for")
    else:
        target = m.find(call.pid)
        ended = [target] if not target.alive else []
    if ended:
        child = ended[0]
        mine = child.state is State.ZOMBIE and child.ppid == caller.pid
        change = Change(finished(child))
        if mine:
            change.entries.append((child, Reaped(caller.pid)))
            change.after.append(lambda: m.retire(child))
        return change
    if stuck(caller.pid, waited(m, caller.pid, call.pid), lambda pid: waits(m, pid)):
        raise Deadlock(f"process {call.pid} waits for process {caller.pid}", "end one of the waits")
    return Park(call.timeout, call.pid)


def waited(m: Machine, pid: Pid, on: Pid) -> list[Pid]:
    """Those of whom a wait for `on` takes one: itself, or any child if it is 0."""
    return [on] if on else [c.pid for c in m.table.children(pid) if c.alive]


def waits(m: Machine, pid: Pid) -> list[Pid] | None:
    """Those of whom a process waits for one, without an end; None if for none."""
    blocked = m.blocked.get(pid)
    if blocked is None or blocked.entered.name != "wait" or blocked.deadline is not None:
        return None
    return waited(m, pid, blocked.on)


def sleep(_: Machine, __: Process, call: Sleep) -> Result:
    """Park for some seconds."""
    if not 0 <= call.seconds <= 1e8:
        raise Invalid("sleep: seconds is 0 or more, at most three years")
    return Park(call.seconds)


def recv(m: Machine, caller: Process, call: Recv) -> Result:
    """Take the oldest mail, or park until one comes."""
    image = m.journal.peek(caller.pid)
    if image.mail:
        first = image.mail[0]
        value: Json = {"from": first.source, "text": first.message.text}
        return Change(Outcome(value=value, label=first.message.label))
    return Park(call.timeout)


def ask(_: Machine, __: Process, call: AskPerson) -> Result:
    """Park until the person answers."""
    if not call.question.strip():
        raise Invalid("ask: the question is empty")
    return Park()


HANDLERS: dict[type[Call], Callable[..., Result]] = {
    Allow: authority.allow,
    Deny: authority.deny,
    Spawn: spawn,
    Fork: fork,
    Exit: exit_,
    Kill: kill,
    Nice: nice,
    Mount: mount,
    Send: send,
    Wait: wait,
    Sleep: sleep,
    Recv: recv,
    AskPerson: ask,
}


def perform(m: Machine, caller: Process, call: Call) -> Result:
    """Find out what a control call changes. Raises: what its call documents."""
    return HANDLERS[type(call)](m, caller, call)
