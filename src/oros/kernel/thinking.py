"""One model call: its window, its budget, its slot, its stream, and what is tried when it fails.

A preempted or interrupted generation keeps its partial text; it goes on from there.
"""

from contextlib import aclosing, suppress
from dataclasses import replace
from math import inf

from oros.abi.actions import Think
from oros.abi.errors import BadReply, Busy, Corrupt, NoDevice, OrosError, OverBudget, TooBig
from oros.abi.events import ModelCalled, ModelReplied, Moved
from oros.abi.grants import Usage
from oros.abi.labels import Label
from oros.abi.message import Message
from oros.abi.ports import Model, ModelInfo, ModelRequest, Progress, Quota, TextDelta
from oros.abi.watch import Token, token
from oros.kernel import window
from oros.kernel.image import Image
from oros.kernel.journal import Entry
from oros.kernel.machine import Activation, Machine
from oros.kernel.meter import metered
from oros.kernel.process import Process
from oros.kernel.slots import Lease, Slots
from oros.paging import tools, translate
from oros.paging.context import CHARS_A_TOKEN, divided, estimate
from oros.paging.draft import Draft
from oros.scheduling import moves, needs
from oros.scheduling.budget import reserve


async def think(m: Machine, process: Process, image: Image, act: Think, active: Activation) -> None:
    """A turn on the process's model; if that can't, the process moves to the next of its list."""
    try:
        await turn(m, process, image, act, active)
    except (TooBig, NoDevice, Corrupt) as e:
        if not (moved := onward(m, process, image, e)):
            raise
        await m.journal.sync(*moved)


async def turn(m: Machine, process: Process, image: Image, act: Think, active: Activation) -> None:
    """Make room, reserve, journal the intent, generate, journal the reply."""
    model = m.world.model(process.model)
    info = model.info
    if image.thinking is not None:
        await lost(m, process, image.thinking, info)
        return
    left = others(m, process, image)
    wider = any(x.info.window > info.window for x in left)
    if fact := await window.fault(m, process, image, act, model, wider=wider):
        await m.journal.sync((process, fact))
        return
    try:
        reserve = hold(m, process, image, act, info)
    except OverBudget:
        if not m.accounts.busy(process) and not act.about:
            raise
        if act.about:  # no summary is made of these pages: their lines stay
            none = ModelReplied(Message("assistant", ()), Usage(), "lost", about=act.about)
            await m.journal.sync((process, none))
            return
        async with active.scope:
            await m.accounts.freed.wait()  # what others hold may come back
        return
    base = act.messages[-1].text if act.messages[-1].partial else ""
    draft = Draft(base, reserve.tokens, quiet=bool(act.about))
    try:
        size = len(act.messages)
        called = ModelCalled(info.name, reserve, size, act.about, image.context.owners)
        await m.journal.sync((process, called))
        request = request_of(m, process, act, info, reserve.tokens_out)
        async with active.scope:
            await generate(m, process, model, request, draft, active, ways=bool(left))
    finally:
        m.accounts.release(process, reserve)
        active.text, active.progress, active.since = [], None, None
    if process.alive:
        draft.asks = draft.asks if act.calls else {}  # offered none, it is heard to ask for none
        read, label = image.context.tokens, image.context.label
        reply = draft.reply(info, label, active.scope.reason, read, act.about)
        error, moved, room = draft.failure, [], divided(act.max_tokens, info)[1]
        if isinstance(error, TooBig) and not act.about and image.context.overflowed(room):
            reply = replace(reply, finish="lost", error="")  # it is made to fit, and asked again
        elif error is not None and not act.about:
            moved = onward(m, process, image, error)
        if process.accounts:  # seconds were charged while they passed
            m.accounts.charge(process, replace(reply.usage, seconds=0.0))
        m.journal.write((process, reply), *moved)


def others(m: Machine, process: Process, seen: Image | Label, window: int = 0) -> list[Model]:
    """The models left of its list that it may ask, and that can do what stands in a context."""
    ways = list(m.world.ways(process.asked, process.model))
    if not ways:
        return []
    money = m.accounts.room(process).micros is not None
    need = (
        moves.Need(seen, money)
        if isinstance(seen, Label)
        else moves.Need(seen.context.label, money, window, needs.cans_of(seen.program))
    )
    return [x for x in ways if moves.fits(x.info, need) and m.accounts.permits(process, x.info)]


def onward(m: Machine, process: Process, image: Image, e: OrosError) -> list[Entry]:
    """The move to the next model of the list that can take the process over, if one can."""
    now, least = process.model, 0
    with suppress(OrosError):  # it is not on this machine any more
        info = m.world.model(now).info
        now, least = info.name, info.window if isinstance(e, TooBig) else 0
    left = others(m, process, image, least)
    return [(process, Moved(left[0].info.name, now, str(e)))] if left else []


def hold(m: Machine, process: Process, image: Image, act: Think, info: ModelInfo) -> Usage:
    """Reserve what the call may cost at most, answering shorter if the budget wants it."""
    size = sum(map(estimate, act.messages)) if act.about else image.context.most
    room, most = m.accounts.room(process), divided(act.max_tokens, info)[0]
    need = reserve(info, min(size, info.window), most, room)
    m.accounts.hold(process, need)
    return need


async def lost(m: Machine, process: Process, called: ModelCalled, info: ModelInfo) -> None:
    """The machine stopped amid a generation: what it cost is not known; a price counts in full."""
    used = called.reserve if info.cost(called.reserve) else Usage(micros=0, calls=1)
    m.accounts.settle(process)
    m.accounts.charge(process, used)
    none = ModelReplied(Message("assistant", ()), used, "lost", info.name, about=called.about)
    await m.journal.sync((process, none))


def request_of(
    m: Machine, process: Process, act: Think, info: ModelInfo, most: int
) -> ModelRequest:
    """The request; the seed makes a retry of the same turn differ from the last."""
    kin, index = f"{process.root}/{process.pid}", m.index if "call" in act.calls else ""
    told, specs = translate.told(act.messages, info.cans), tools.offered(act.calls, index)
    nice, blobs = m.effective_nice(process), m.world.store.get_blob
    return ModelRequest(
        told, specs, most, act.temperature, process.seq, act.stop, act.schema, "", kin, nice, blobs
    )


async def generate(
    m: Machine,
    process: Process,
    model: Model,
    request: ModelRequest,
    draft: Draft,
    active: Activation,
    *,
    ways: bool,
) -> None:
    """Generate until the answer ends; errors that may pass are tried again, less and less often.

    `ways`: there are other models, so patience is short.
    """
    slots, clock = m.slots_of(model.info.name, model), m.world.clock
    tries = fruitless = 0
    most = moves.PATIENCE if ways else inf
    while True:
        asked, nice = clock.monotonic(), m.effective_nice(process)
        try:
            m.accounts.permit(process, model.info)
            async with slots.lease(process, nice, fruitless, draft.need, most) as lease:
                active.since = begun = clock.monotonic()
                draft.queued += begun - asked
                draft.before = await model.count("".join(draft.text)) if draft.text else 0
                if draft.before >= request.max_tokens:
                    draft.finish = "length"
                    return
                try:
                    async with lease.scope:
                        with metered(m, process, active.scope.cancel):
                            await stream(m, process, model, draft.resumed(request), draft, lease)
                finally:
                    draft.held += clock.monotonic() - begun
            if not lease.preempted or draft.usage is not None:
                return
            draft.preempted += 1
            fruitless = 0 if lease.claim.advanced else fruitless + 1
            draft.again()
        except OrosError as e:
            tries += 1
            if moves.gives_up(e, tries, ways=ways):
                draft.finish, draft.failure = "error", e
                return
            draft.again()
            said = Token(process.pid, f"{e}; trying again", "progress", tries, moves.RETRIES)
            active.progress = said
            await patience(m, slots, e, said)


async def patience(m: Machine, slots: Slots, e: OrosError, said: Token) -> None:
    """Say that a call is tried again, and wait."""
    if m.tell is not None:
        m.tell([said])
    if isinstance(e, Busy):  # all who ask this server wait in line, and the best goes first then
        m.timers.after(slots.pace.until - m.world.clock.monotonic(), slots.arrange)
        return
    await m.world.clock.sleep(moves.delay(e, said.done, m.world.random.random()))


async def stream(
    m: Machine, process: Process, model: Model, request: ModelRequest, draft: Draft, lease: Lease
) -> None:
    """Take a stream in. Raises: what the driver raises; BadReply if it stops without an end."""
    clock, pid = m.world.clock, process.pid
    begun = clock.monotonic()
    active = m.active.get(pid)
    # A driver's iterators are generators: closing one stops the generation at its source.
    async with aclosing(model.generate(request)) as batches:  # type: ignore[type-var]
        async for batch in batches:
            if isinstance(batch[0], Quota):
                told = [q for q in batch if isinstance(q, Quota)]
                lease.pace.heard(lease.number, told, clock.monotonic())
                continue
            if draft.first == 0.0 and not isinstance(batch[0], Progress):
                draft.first = clock.monotonic() - begun
            lease.advanced()
            draft.take(batch)
            if active is not None and not draft.quiet:
                active.text.extend(d.text for d in batch if isinstance(d, TextDelta))
            if m.tell is not None:
                m.tell([t for d in batch if (t := token(pid, d, quiet=draft.quiet))])
    if draft.usage is None:
        raise BadReply("the stream stopped without an end")


async def infer(
    m: Machine, process: Process, request: ModelRequest, name: str, *, quiet: bool
) -> Draft:
    """A question outside the process's context, under its budget and its place in the queue.

    Where no model is named, the next of the process's list is asked if one fails.
    """
    model, said = m.world.model(name or process.model), request.messages[0].label
    left = [] if name else others(m, process, said)
    size = int(sum(len(x.text) for x in request.messages) / CHARS_A_TOKEN)
    active = m.active.get(process.pid) or Activation()
    while True:
        draft = Draft(need=size + request.max_tokens, quiet=quiet)
        if size > model.info.window - request.max_tokens:
            draft.failure = TooBig("infer: the prompt is over the model's window")
        else:
            await generate(m, process, model, request, draft, active, ways=bool(left))
        if draft.failure is None:
            return draft
        if not left:
            raise draft.failure
        model = left.pop(0)
