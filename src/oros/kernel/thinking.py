"""One model call: its window, its budget, its slot, its stream, and what is tried when it fails.

A preempted or interrupted generation keeps its partial text; it goes on from there.
"""

from contextlib import aclosing
from dataclasses import replace

from oros.abi.actions import Think
from oros.abi.errors import BadReply, OrosError, OverBudget, TooBig
from oros.abi.events import Finish, ModelCalled, ModelReplied
from oros.abi.grants import Usage
from oros.abi.labels import Label
from oros.abi.message import Message
from oros.abi.ports import (
    Model,
    ModelInfo,
    ModelRequest,
    Progress,
    TextDelta,
)
from oros.abi.watch import Token, token
from oros.kernel import window
from oros.kernel.image import Image
from oros.kernel.machine import Activation, Machine
from oros.kernel.meter import metered
from oros.kernel.process import Process
from oros.kernel.slots import Lease
from oros.paging import tools
from oros.paging.context import CHARS_A_TOKEN, divided, estimate
from oros.paging.draft import Draft

RETRIES = 4
BACKOFF = 0.25
MAX_BACKOFF = 30.0
LEAST_TOKENS = 16


async def think(m: Machine, process: Process, image: Image, act: Think, active: Activation) -> None:
    """Make room, reserve, journal the intent, generate, journal the reply."""
    model = m.world.model(process.model)
    info = model.info
    if image.thinking is not None:
        await lost(m, process, image.thinking, info)
        return
    if fact := await window.fault(m, process, image, act, model):
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
    draft = Draft(base, quiet=bool(act.about))
    try:
        size = len(act.messages)
        called = ModelCalled(info.name, reserve, size, act.about, image.context.owners)
        await m.journal.sync((process, called))
        request = request_of(m, process, act, reserve.tokens_out)
        async with active.scope:
            await generate(m, process, model, request, draft, active)
    finally:
        m.accounts.release(process, reserve)
        active.text, active.progress, active.since = [], None, None
    if process.alive:
        draft.asks = draft.asks if act.calls else {}  # offered none, it is heard to ask for none
        reply = replace(close(image, draft, active.scope.reason, info), about=act.about)
        if (
            draft.over
            and not act.about
            and image.context.overflowed(divided(act.max_tokens, info)[1])
        ):
            reply = replace(reply, finish="lost", error="")  # it is made to fit, and asked again
        if process.accounts:  # seconds were charged while they passed
            m.accounts.charge(process, replace(reply.usage, seconds=0.0))
        m.journal.write((process, reply))


def hold(m: Machine, process: Process, image: Image, act: Think, info: ModelInfo) -> Usage:
    """Reserve what the call may cost at most, answering shorter if the budget wants it."""
    size = sum(map(estimate, act.messages)) if act.about else image.context.most
    read = min(size, info.window)
    room = m.accounts.room(process)
    most = divided(act.max_tokens, info)[0]
    if room.tokens is not None and room.tokens - read < most:
        most = max(room.tokens - read, LEAST_TOKENS)
    need = Usage(read, most, 0, info.cost(Usage(read, most)), 0.0, 1)
    if room.seconds is not None and room.seconds <= 0:
        raise OverBudget("no seconds are left in the budget")
    m.accounts.hold(process, need)
    return need


async def lost(m: Machine, process: Process, called: ModelCalled, info: ModelInfo) -> None:
    """The machine stopped amid a generation: what it cost is not known; a price counts in full."""
    used = called.reserve if info.cost(called.reserve) else Usage(micros=0, calls=1)
    m.accounts.settle(process)
    m.accounts.charge(process, used)
    none = ModelReplied(Message("assistant", ()), used, "lost", info.name, about=called.about)
    await m.journal.sync((process, none))


def request_of(m: Machine, process: Process, act: Think, most: int) -> ModelRequest:
    """The request; the seed makes a retry of the same turn differ from the last."""
    kin, specs = str(process.pid), tools.offered(act.calls, m.index if "call" in act.calls else "")
    made = ModelRequest(act.messages, specs, most, act.temperature, process.seq, affinity=kin)
    nice, blobs = m.effective_nice(process), m.world.store.get_blob
    return replace(made, stop=act.stop, schema=act.schema, nice=nice, fetch=blobs)


async def generate(
    m: Machine,
    process: Process,
    model: Model,
    request: ModelRequest,
    draft: Draft,
    active: Activation,
) -> None:
    """Generate until the answer ends; errors that may pass are tried again, less and less often."""
    slots = m.slots_of(model.info.name, model)
    clock = m.world.clock
    tries = fruitless = 0
    while True:
        asked = clock.monotonic()
        nice = m.effective_nice(process)
        try:
            async with slots.lease(process, nice, fruitless) as lease:
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
            if not e.retryable or tries > RETRIES:
                draft.finish, draft.error, draft.over = "error", str(e), isinstance(e, TooBig)
                return
            delay = min(MAX_BACKOFF, BACKOFF * 2**tries) * (0.5 + m.world.random.random())
            active.progress = Token(process.pid, f"{e}; trying again", "progress", tries, RETRIES)
            if m.tell is not None:
                m.tell([active.progress])
            draft.again()
            await clock.sleep(max(delay, e.retry_after or 0.0))


async def stream(
    m: Machine,
    process: Process,
    model: Model,
    request: ModelRequest,
    draft: Draft,
    lease: Lease,
) -> None:
    """Take a stream in. Raises: what the driver raises; BadReply if it stops without an end."""
    clock, pid = m.world.clock, process.pid
    begun = clock.monotonic()
    active = m.active.get(pid)
    # A driver's iterators are generators: closing one stops the generation at its source.
    async with aclosing(model.generate(request)) as batches:  # type: ignore[type-var]
        async for batch in batches:
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


def close(image: Image, draft: Draft, cut: str, info: ModelInfo) -> ModelReplied:
    """The reply as a fact. `cut` is the signal that ended it, if one did."""
    label = image.context.label
    label |= Label(label.integrity, None, frozenset({info.name}))
    text, half = draft.whole, bool(cut or draft.error)
    asks = () if half else draft.asked()
    finish: Finish = ("interrupted" if cut == "INT" else "preempted") if cut else draft.finish
    message = Message("assistant", draft.parts, asks, partial=half and bool(text), label=label)
    read = 0 if draft.error or not draft.held else image.context.tokens
    said = int(len("".join(draft.text)) / CHARS_A_TOKEN)
    used = draft.usage or Usage(read, max(0, said - draft.before))
    out = used.tokens_out + draft.before
    cost = info.cost(replace(used, tokens_out=out))
    usage = replace(used, tokens_out=out, micros=cost, seconds=draft.held, calls=1)
    queued, first, held = (round(x, 4) for x in (draft.queued, draft.first, draft.held))
    return ModelReplied(
        message, usage, finish, info.name, queued, first, held, draft.preempted, draft.error
    )


async def infer(m: Machine, process: Process, request: ModelRequest, name: str) -> Draft:
    """A question outside the process's context, under its budget and its place in the queue."""
    model = m.world.model(name or process.model)
    size = sum(len(x.text) for x in request.messages)
    if size / CHARS_A_TOKEN > model.info.window - request.max_tokens:
        raise TooBig("infer: the prompt is over the model's window")
    draft = Draft()
    active = m.active.get(process.pid) or Activation()
    await generate(m, process, model, request, draft, active)
    if draft.error:
        raise BadReply(draft.error)
    return draft
