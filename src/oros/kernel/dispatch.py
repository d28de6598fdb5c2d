"""The one door: a person's command and a model's tool call come in here and nowhere else.

decode -> monitor -> budget -> journal the intent -> perform -> journal the outcome. A refused call
is journalled too, and is data that the caller reads. After a crash `again` settles what was in
flight, by its effect.
"""

from collections.abc import Awaitable
from dataclasses import replace

from oros.abi import intern, wire
from oros.abi.acts import WORST
from oros.abi.errors import (
    DeviceFailed,
    Interrupted,
    NoDevice,
    OrosError,
    OverBudget,
    TimedOut,
)
from oros.abi.events import CallEntered, CallReturned, Carded, Doubted, Exited
from oros.abi.grants import MountPoint, Usage
from oros.abi.ids import PERSON, CallId
from oros.abi.labels import SERVICE, USER
from oros.abi.message import Ask
from oros.abi.ports import Caller, Device
from oros.abi.syscalls import (
    Call,
    CallTool,
    Infer,
    List,
    Outcome,
    Read,
    Run,
    Search,
    Select,
    Stat,
    Write,
)
from oros.flow.scope import Scope
from oros.kernel import apart, authority, control
from oros.kernel.changes import Change, Park
from oros.kernel.decode import Entry, decode, later
from oros.kernel.machine import Blocked, Machine, args_of
from oros.kernel.meter import metered
from oros.kernel.process import Process
from oros.monitor import handles, namespace, select, typed

REDO = frozenset({"pure", "read", "reversible", "idempotent"})
PATIENCE = 120.0
"""Seconds for a device; a run's are over its program's time: what that changed is taken in then."""


async def enter(
    m: Machine, caller: Process, ask: Ask, mounts: tuple[MountPoint, ...] | None = None
) -> Outcome | None:
    """Make a call. None: the caller is parked, the outcome comes when it is there."""
    if ask.name == "fork":
        await m.journal.sync()  # a copy is folded from what is committed
    entered = CallEntered(CallId(f"c{caller.seq + 1}"), ask.name, ask.args, "control", "", ask.id)
    try:
        if ask.name == "call" and caller.pid != PERSON:
            await apart.plan(m, caller, m.journal.peek(caller.pid))
        entry = decode(m, caller, ask, caller.mounts if mounts is None else mounts)
        if entry.verdict.kind == "card":
            image = m.journal.peek(caller.pid)
            if any(not item.arg for item in entry.verdict.items):
                await apart.sheet(m, caller, image)
            else:
                items = (*entry.verdict.items, *later(m, caller, image))
                await authority.card(m, caller, image, Carded(items))
            return None
        m.accounts.hold(caller, Usage(calls=1))
        m.accounts.release(caller, Usage(calls=1))
        key = f"{m.world.node}:{caller.pid}:{caller.seq + 1}"
        entered = CallEntered(entered.id, ask.name, entry.args, entry.effect, key, ask.id)
        entered = replace(entered, act=entry.verdict.spends, rule=entry.verdict.rule)
        if entry.effect == "control" or entry.call.blocks:
            return await change(m, caller, entered, entry.call)
        return await perform(m, caller, entered, entry)
    except OrosError as e:
        outcome = wire.failed(e)
        refused = replace(entered, verdict=e.code)
        await m.journal.sync((caller, refused), (caller, CallReturned(entered.id, outcome)))
        return outcome


async def change(m: Machine, caller: Process, entered: CallEntered, call: Call) -> Outcome | None:
    """A control call: intent, effect and outcome are one commit. Or the caller parks."""
    result = control.perform(m, caller, call)
    m.accounts.charge(caller, Usage(calls=1))
    if isinstance(result, Park):
        deadline = None
        if result.seconds is not None:
            deadline = m.world.clock.monotonic() + result.seconds
        blocked = Blocked(entered, deadline, result.on)
        await m.journal.sync((caller, entered), after=[lambda: park(m, caller, blocked)])
        return None
    ended = any(p is caller and isinstance(e, Exited) for p, e in result.entries)
    back = [] if ended else [(caller, authority.returning(m, caller, entered, result.outcome))]
    await m.journal.sync((caller, entered), *result.entries, *back, after=result.after)
    return result.outcome


def park(m: Machine, caller: Process, blocked: Blocked) -> None:
    """Note what a parked process waits for; a deadline completes its call."""
    entered = blocked.entered = intern.waiting(blocked.entered)
    if blocked.deadline is None and not entered.args:
        blocked = intern.first(blocked, entered.id, entered.name, blocked.on)
    m.blocked[caller.pid] = blocked
    if blocked.entered.name == "wait":
        for child in m.table.children(caller.pid):
            m.lend(child)
    if blocked.deadline is not None:
        left = blocked.deadline - m.world.clock.monotonic()
        m.timers.after(left, lambda: expire(m, caller, blocked))


def expire(m: Machine, caller: Process, blocked: Blocked) -> None:
    """The time of a parked call is over."""
    if m.blocked.get(caller.pid) is not blocked:
        return
    if blocked.entered.name == "sleep":
        outcome = Outcome(value={"slept": args_of(blocked.entered).get("seconds")})
    else:
        outcome = wire.failed(TimedOut(f"{blocked.entered.name}: nothing came in time"))
    m.journal.write(control.unblock(m, caller.pid, outcome))
    m.start(caller)


async def perform(m: Machine, caller: Process, entered: CallEntered, entry: Entry) -> Outcome:
    """A device call: the intent is committed before an effect, the outcome after it."""
    person_looks = caller.pid == PERSON and entry.effect in ("pure", "read")
    m.accounts.charge(caller, Usage(calls=1))
    if person_looks:
        return await act(m, caller, entered, entry)
    above = authority.charge(m, caller, entered.act)
    if entry.effect in ("pure", "read"):
        m.journal.write((caller, entered), *above)
    else:
        await m.journal.sync((caller, entered), *above)
    begun = m.world.clock.monotonic()
    outcome = await act(m, caller, entered, entry)
    returned(m, caller, entered, outcome, m.world.clock.monotonic() - begun)
    return outcome


def returned(
    m: Machine,
    caller: Process,
    entered: CallEntered,
    outcome: Outcome,
    seconds: float,
    again: int = 0,
) -> None:
    """Journal an outcome under the join of the labels, and account for its time."""
    if not caller.alive:
        return
    label, value = outcome.label | caller.label, outcome.value
    if entered.name == "call":
        tool = str(args_of(entered).get("tool"))
        act = WORST if outcome.error or outcome.parts else m.act_of(tool)
        value = handles.public(act, value)
        said = outcome.error.why if outcome.error else value  # a tool's errors are others' text too
        label |= handles.label_of(act, tool, said)
    outcome = Outcome(value, outcome.parts, outcome.error, label, outcome.usage)
    m.accounts.charge(caller, outcome.usage)  # its seconds were charged while they passed
    back = authority.returning(m, caller, entered, outcome)
    m.journal.write((caller, replace(back, seconds=round(seconds, 4), again=again)))


async def act(m: Machine, caller: Process, entered: CallEntered, entry: Entry) -> Outcome:
    """Perform on the device, in bounded time; whatever goes wrong is data."""
    label = USER if caller.pid == PERSON else caller.label
    who = Caller(caller.pid, entered.key, label, m.accounts.room(caller), caller.heard)
    seconds = PATIENCE / 2 if caller.pid == PERSON else PATIENCE
    seconds += entry.call.timeout if isinstance(entry.call, Run) else 0.0
    scope = Scope(seconds)
    try:
        async with scope:
            with metered(m, caller, scope.cancel):
                return await device_call(m, caller, who, entry)
        if scope.reason != "time":
            return wire.failed(OverBudget("no seconds are left in the budget"))
        return wire.failed(TimedOut(f"{entry.call.name} took over {seconds:g} seconds"))
    except OrosError as e:
        return wire.failed(e)
    except Exception as e:  # noqa: BLE001 - border: a driver's bug must not take the process down
        return wire.failed(DeviceFailed(f"{entry.call.name}: the driver failed: {e!r}"))


def device_call(m: Machine, caller: Process, who: Caller, entry: Entry) -> Awaitable[Outcome]:
    """The device's coroutine for a call. Raises: NoDevice."""
    if entry.point is not None:
        return file_call(m, who, entry, entry.point)
    if isinstance(entry.call, Infer):
        return inference(m, caller, entry.call)
    if isinstance(entry.call, Select):
        return picked(m, caller, entry.call)
    return device_of(m, entry).perform(who, entry.filled or entry.args)


def device_of(m: Machine, entry: Entry) -> Device:
    """The device of a call that is not about files. Raises: NoDevice."""
    call = entry.call
    if isinstance(call, CallTool):
        return m.tool(call.tool).device
    if isinstance(call, Run) and m.world.runner is not None:
        return m.world.runner(entry.mounts)
    raise NoDevice(f"nothing here performs {call.name}", "`oros doctor` tells what is missing")


async def file_call(m: Machine, who: Caller, entry: Entry, point: MountPoint) -> Outcome:
    """A call on a mount; paths in its outcome are the caller's own again."""
    server, rest = m.world.server(point.source), entry.rest
    match entry.call:
        case Read(offset=offset, limit=limit):
            found = await server.read(who, rest, offset, limit)
        case Write(text=text):
            found = await server.write(who, rest, text.encode())
        case List(depth=depth, head=head, limit=limit):
            found = await server.list(who, rest, depth, head, limit)
        case Search(query=query, limit=limit):
            found = await server.search(who, rest, query, limit)
        case Stat():
            found = await server.stat(who, rest)
        case _:
            found = await server.remove(who, rest)
    return replace(found, value=namespace.absolute(point, found.value))


async def inference(m: Machine, caller: Process, call: Infer) -> Outcome:
    """One question to a model, outside the context; a reader of texts if there are some to read."""
    known = authority.results(m, m.journal.peek(caller.pid)) if call.read else {}
    source, label = handles.read(call.read, known, caller.label)
    prompt = f"{call.prompt}\n\n<values>\n{source}\n</values>" if call.read else call.prompt
    schema = typed.question(call)
    texts, usage = await apart.several(m, caller, prompt, schema, call, label)
    return replace(typed.gathered(schema, texts, call.n), label=label, usage=usage)


async def picked(m: Machine, caller: Process, call: Select) -> Outcome:
    """A record picked by trusted code: only its place is told."""
    known = authority.results(m, m.journal.peek(caller.pid))
    found = select.select(known, call)
    return Outcome(value={"at": found}, label=SERVICE)


async def again(m: Machine, caller: Process, entered: CallEntered, times: int) -> bool:
    """Settle a call that was in flight when the machine stopped. False: the process is parked."""
    ask = Ask(entered.ask, entered.name, args_of(entered))
    call = wire.decode_call(ask.name, ask.args)
    if call.blocks:
        repark(m, caller, entered, call)
        return False
    try:
        entry = decode(m, caller, ask, caller.mounts, settled=True)
    except OrosError as e:
        returned(m, caller, entered, wire.failed(e), 0.0, times)
        return True
    if entered.effect in REDO:
        outcome = await act(m, caller, entered, entry)
        returned(m, caller, entered, outcome, 0.0, times)
        return True
    return await reconcile(m, caller, entered, entry, times)


async def reconcile(
    m: Machine, caller: Process, entered: CallEntered, entry: Entry, times: int
) -> bool:
    """A `once` call in doubt: the device is asked, else the person, once."""
    try:
        who = Caller(caller.pid, entered.key, caller.label)
        found = await device_of(m, entry).reconcile(who, entry.filled or entry.args)
    except OrosError:
        found = None
    if found is None:
        question = f"Did this happen? {entered.name} {entered.args}"
        await m.journal.sync((caller, Doubted(entered.id, question[:500])))
        return False
    if found.error is not None and found.error.code == "EAGAIN":
        found = await act(m, caller, entered, entry)
    returned(m, caller, entered, found, 0.0, times)
    return True


def repark(m: Machine, caller: Process, entered: CallEntered, call: Call) -> None:
    """Park again after a crash; time that passed meanwhile counts."""
    seconds = getattr(call, "seconds", None)
    seconds = getattr(call, "timeout", None) if seconds is None else seconds
    deadline = None
    if seconds is not None:
        passed = m.world.clock.wall() - caller.changed
        deadline = m.world.clock.monotonic() + max(0.0, seconds - passed)
    on = getattr(call, "pid", PERSON)
    park(m, caller, Blocked(entered, deadline, on))
    if entered.name == "wait":
        try:
            result = control.perform(m, caller, call)
        except OrosError as e:
            result = Change(wire.failed(e))
        if isinstance(result, Change):
            back = control.unblock(m, caller.pid, result.outcome)
            m.journal.write(*result.entries, back)
            for act_after in result.after:
                act_after()
            m.start(caller)


def interrupted(m: Machine, caller: Process, entered: CallEntered) -> None:
    """A signal cut a call: its outcome says so."""
    why = "a signal ended the call; what it did until then stays done"
    returned(m, caller, entered, wire.failed(Interrupted(why)), 0.0)
