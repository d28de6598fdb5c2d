"""One model call: its window, its budget, its slot, its stream, and what is tried when it fails.

A preempted or interrupted generation keeps its partial text; it goes on from there.
"""

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from functools import lru_cache

from oros.abi import wire
from oros.abi.actions import Think
from oros.abi.errors import BadReply, OrosError, OverBudget, TooBig
from oros.abi.events import Evicted, Finish, ModelCalled, ModelReplied
from oros.abi.grants import Usage
from oros.abi.labels import Label
from oros.abi.message import Ask, Message, TextPart
from oros.abi.ports import (
    AskDelta,
    Delta,
    Finished,
    Model,
    ModelInfo,
    ModelRequest,
    Progress,
    TextDelta,
    ToolSpec,
)
from oros.abi.syscalls import TABLE
from oros.abi.watch import Token, token
from oros.kernel.image import Image
from oros.kernel.machine import Activation, Machine
from oros.kernel.meter import metered
from oros.kernel.process import Process
from oros.kernel.slots import Lease
from oros.paging.context import CHARS_A_TOKEN

RETRIES = 4
BACKOFF = 0.25
MAX_BACKOFF = 30.0
LEAST_TOKENS = 16
TOOLS = """Call a tool of an app. Pass a value of an earlier result on by its place, such as
"$c12[0].sender", not by its text: so it is known where it came from. The tools:
{}"""
MARGIN = 64
"""Tokens of the window left free for what a chat template adds."""


@dataclass(slots=True)
class Draft:
    """An answer as it grows, over slices and retries. `base` is the text it went on from."""

    base: str = ""
    text: list[str] = field(default_factory=list)
    asks: dict[int, AskDelta] = field(default_factory=dict)
    finish: Finish = "stop"
    usage: Usage | None = None
    before: int = 0
    queued: float = 0.0
    first: float = 0.0
    held: float = 0.0
    preempted: int = 0
    error: str = ""

    @property
    def whole(self) -> str:
        """All the text so far."""
        return self.base + "".join(self.text)


async def think(m: Machine, process: Process, image: Image, act: Think, active: Activation) -> None:
    """Make room, reserve, journal the intent, generate, journal the reply."""
    model = m.world.model(process.model)
    info = model.info
    if image.thinking is not None:
        await lost(m, process, image, info)
        return
    if gone := image.context.surplus(info.window - act.max_tokens - MARGIN):
        await m.journal.sync((process, Evicted(gone)))
        return
    try:
        reserve = hold(m, process, image, act, info)
    except OverBudget:
        if not m.accounts.busy(process):
            raise
        async with active.scope:
            await m.accounts.freed.wait()  # what others hold may come back
        return
    draft = Draft(base=act.messages[-1].text if act.messages[-1].partial else "")
    try:
        await m.journal.sync((process, ModelCalled(info.name, reserve, len(act.messages))))
        request = request_of(m, process, act, reserve.tokens_out)
        async with active.scope:
            await generate(m, process, model, request, draft, active)
    finally:
        m.accounts.release(process, reserve)
        active.text, active.progress, active.since = [], None, None
    if process.alive:
        draft.asks = draft.asks if act.calls else {}  # offered none, it is heard to ask for none
        reply = close(image, draft, active.scope.reason, info)
        if process.accounts:  # seconds were charged while they passed
            m.accounts.charge(process, replace(reply.usage, seconds=0.0))
        m.journal.write((process, reply))


def hold(m: Machine, process: Process, image: Image, act: Think, info: ModelInfo) -> Usage:
    """Reserve what the call may cost at most, answering shorter if the budget wants it."""
    read = min(image.context.most, info.window)
    room = m.accounts.room(process)
    most = act.max_tokens
    if room.tokens is not None and room.tokens - read < most:
        most = max(room.tokens - read, LEAST_TOKENS)
    need = Usage(read, most, 0, info.cost(Usage(read, most)), 0.0, 1)
    if room.seconds is not None and room.seconds <= 0:
        raise OverBudget("no seconds are left in the budget")
    m.accounts.hold(process, need)
    return need


async def lost(m: Machine, process: Process, image: Image, info: ModelInfo) -> None:
    """The machine stopped amid a generation: what it cost is not known; a price counts in full."""
    reserve = image.thinking.reserve if image.thinking else Usage()
    used = reserve if info.cost(reserve) else Usage(micros=0, calls=1)
    m.accounts.settle(process)
    m.accounts.charge(process, used)
    await m.journal.sync((process, ModelReplied(Message("assistant", ()), used, "lost", info.name)))


@lru_cache(256)
def tools_of(calls: tuple[str, ...], index: str) -> tuple[ToolSpec, ...]:
    """The calls that a program's model is offered; `call` with the tools that there are."""
    found = []
    for name in calls:
        kind = TABLE[name]
        about = (kind.__doc__ or name).split("\n", 1)[0]
        if name == "call":
            if not index:
                continue
            about = TOOLS.format(index)
        found.append(ToolSpec(name, about, wire.schema(name), kind.effect))
    return tuple(found)


def request_of(m: Machine, process: Process, act: Think, most: int) -> ModelRequest:
    """The request; the seed makes a retry of the same turn differ from the last."""
    kin, tools = str(process.pid), tools_of(act.calls, m.index if "call" in act.calls else "")
    made = ModelRequest(act.messages, tools, most, act.temperature, process.seq, affinity=kin)
    return replace(made, stop=act.stop, schema=act.schema)


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
                            await stream(m, process, model, resumed(request, draft), draft, lease)
                finally:
                    draft.held += clock.monotonic() - begun
            if not lease.preempted or draft.usage is not None:
                return
            draft.preempted += 1
            fruitless = 0 if lease.claim.advanced else fruitless + 1
            draft.asks.clear()
        except OrosError as e:
            tries += 1
            if not e.retryable or tries > RETRIES:
                draft.finish, draft.error = "error", str(e)
                return
            delay = min(MAX_BACKOFF, BACKOFF * 2**tries) * (0.5 + m.world.random.random())
            active.progress = Token(process.pid, f"{e}; trying again", "progress", tries, RETRIES)
            if m.tell is not None:
                m.tell([active.progress])
            draft.asks.clear()
            await clock.sleep(max(delay, e.retry_after or 0.0))


def resumed(request: ModelRequest, draft: Draft) -> ModelRequest:
    """The request that goes on from what is there."""
    if not draft.text:
        return request
    messages = request.messages[:-1] if draft.base else request.messages
    part = Message("assistant", (TextPart(draft.whole),), partial=True)
    left = request.max_tokens - draft.before
    return replace(request, messages=(*messages, part), max_tokens=left)


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
            take(draft, batch)
            if active is not None:
                active.text.extend(d.text for d in batch if isinstance(d, TextDelta))
            if m.tell is not None:
                m.tell([t for d in batch if (t := token(pid, d)) is not None])
    if draft.usage is None:
        raise BadReply("the stream stopped without an end")


def take(draft: Draft, batch: Sequence[Delta]) -> None:
    """Fold deltas into the draft."""
    for delta in batch:
        match delta:
            case TextDelta(text=text):
                draft.text.append(text)
            case AskDelta(index=index):
                old = draft.asks.get(index, AskDelta(index))
                draft.asks[index] = AskDelta(
                    index, old.id or delta.id, old.name + delta.name, old.args + delta.args
                )
            case Finished(finish=finish, usage=usage):
                draft.finish, draft.usage = finish, usage
            case _:
                pass


def close(image: Image, draft: Draft, cut: str, info: ModelInfo) -> ModelReplied:
    """The reply as a fact. `cut` is the signal that ended it, if one did."""
    label = image.context.label
    label |= Label(label.integrity, None, frozenset({info.name}))
    text, half = draft.whole, bool(cut or draft.error)
    asks = () if half else asks_of(draft)
    finish: Finish = ("interrupted" if cut == "INT" else "preempted") if cut else draft.finish
    parts = (TextPart(text),) if text else ()
    message = Message("assistant", parts, asks, partial=half and bool(text), label=label)
    read = 0 if draft.error or not draft.held else image.context.tokens
    said = int(len("".join(draft.text)) / CHARS_A_TOKEN)
    used = draft.usage or Usage(read, max(0, said - draft.before))
    out = used.tokens_out + draft.before
    cost = info.cost(replace(used, tokens_out=out))
    usage = Usage(used.tokens_in, out, used.cached, cost, draft.held, 1)
    queued, first, held = (round(x, 4) for x in (draft.queued, draft.first, draft.held))
    return ModelReplied(
        message, usage, finish, info.name, queued, first, held, draft.preempted, draft.error
    )


def asks_of(draft: Draft) -> tuple[Ask, ...]:
    """The calls asked for, in order; ids made unique, arguments decoded if they are an object."""
    found: list[Ask] = []
    seen: set[str] = set()
    for index, delta in sorted(draft.asks.items()):
        name = delta.id if delta.id and delta.id not in seen else f"{delta.id or 'call'}-{index}"
        seen.add(name)
        found.append(Ask(name, delta.name, wire.arguments(delta.args)))
    return tuple(found)


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
