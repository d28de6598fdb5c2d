"""One model call for a client of the doors, as a process: journal, budget, labels, slots.

The process is below the process of the key. It is written down with its call at once, so what a
crash leaves is one whose call was cut, and ends. A client that goes away cuts it, too.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from oros.abi.errors import (
    BadReply,
    Interrupted,
    NotAuthorized,
    OrosError,
    OverBudget,
)
from oros.abi.events import ModelCalled, Received, Spawned
from oros.abi.grants import NO_LIMITS, Usage
from oros.abi.ids import PERSON, Pid
from oros.abi.manifest import Program
from oros.abi.message import FilePart, Message, Part, ReasoningPart, TextPart
from oros.abi.ports import Model, ModelInfo, ModelRequest
from oros.kernel import thinking
from oros.kernel.ending import After, ends, reap
from oros.kernel.image import Image
from oros.kernel.journal import Entry
from oros.kernel.machine import Activation, Machine
from oros.kernel.process import Process
from oros.paging.draft import Draft
from oros.services.doors import fit
from oros.services.doors.keys import Key, digest
from oros.services.doors.tap import Tap
from oros.services.doors.wanted import Begun, Said, Tell, Wanted
from oros.services.shapes.door import GONE

DOOR = Program("door", "a model's answer to a client of the doors", "door", "")
INLINE = 2000
"""Characters of a message that stand in the journal; a longer one is a blob there, kept once."""


async def think(m: Machine, key: Key, row: Process, wanted: Wanted, tell: Tell) -> None:
    """Ask the model, and tell what it says as it comes; the last step is the whole answer.

    Cancelled: the client went away. Raises: Unsupported, TooBig, OverBudget, NoDevice, what the
    model's driver raises, Interrupted by a signal.
    """
    model = m.world.model(wanted.model)
    info = model.info
    fit.refuse(wanted, info)
    wanted = replace(wanted, messages=fit.labelled(wanted.messages, key.label))
    for blob in wanted.blobs.values():
        m.world.store.put_blob(blob)
    call = Call(m, key, row, wanted, info)
    reserve = call.hold()
    try:
        with call.closing():
            made = await call.begin(reserve)
            tell([Begun(call.process.pid, call.process.started)])
            request = replace(made, max_tokens=reserve.tokens_out)
            shaped = await call.run(model, request, tell)
        tell([call.said(shaped=shaped)])
    finally:
        m.accounts.release(row, reserve)


class Call:
    """One call, from its first event to the end of its process."""

    def __init__(self, m: Machine, key: Key, row: Process, wanted: Wanted, info: ModelInfo) -> None:
        self._m, self._key, self._row, self._wanted, self._info = m, key, row, wanted, info
        self._tokens = fit.read(wanted)
        self._draft = Draft()
        last = wanted.messages[-1]
        if last.partial:
            self._draft.base = last.text
        self.process = Process(Pid(0))
        self._active = Activation()

    def hold(self) -> Usage:
        """Reserve what it may cost at most, answering shorter if the budget wants it.

        Raises: OverBudget, TooBig.
        """
        m, most = self._m, fit.room(self._wanted, self._info, self._tokens)
        read = min(self._tokens, self._info.window)
        left = m.accounts.room(self._row)
        if left.tokens is not None and left.tokens - read < most:
            most = min(most, max(left.tokens - read, fit.LEAST))
        if left.seconds is not None and left.seconds <= 0:
            raise cut_by("budget")
        need = Usage(read, most, 0, self._info.cost(Usage(read, most)), 0.0, 1)
        m.accounts.hold(self._row, need)
        return need

    async def begin(self, reserve: Usage) -> ModelRequest:
        """Write the process and its call down, in one commit; the request to make."""
        m, row, key, info = self._m, self._row, self._key, self._info
        pid = m.new_pid()
        self.process = process = Process(pid)
        words = [x.text for x in self._wanted.messages if x.role == "user"]
        event = Spawned(
            row.pid, DOOR, words[-1] if words else "", info.name, row.nice, NO_LIMITS, (), pid,
            row.accounts, key.label,
        )  # fmt: skip
        source = PERSON if key.mine else row.pid
        shown = [(process, Received(source, self._kept(x))) for x in self._wanted.messages]
        m.journal.images[pid] = image = Image()
        m.active[pid] = self._active

        def enter() -> None:
            m.table.add(process)
            m.accounts.enter(process)

        called = ModelCalled(info.name, reserve, len(shown))
        await m.journal.sync((process, event), *shown, (process, called), after=[enter])
        image.context.offers(max(0, self._tokens - image.context.tokens))
        made = fit.request(self._wanted, info)
        return replace(
            made, affinity=self._affinity(), nice=m.effective_nice(process),
            fetch=m.world.store.get_blob, seed=made.seed or process.seq,
        )  # fmt: skip

    def _kept(self, message: Message) -> Message:
        """A message as the journal has it: long texts are kept once, as blobs."""
        parts: list[Part] = []
        for part in message.parts:
            if isinstance(part, TextPart) and len(part.text) > INLINE:
                data = part.text.encode(errors="surrogatepass")
                blob = self._m.world.store.put_blob(data)
                parts.append(FilePart(blob, "text/plain", "text", len(data)))
            else:
                parts.append(part)
        return replace(message, parts=tuple(parts))

    def _affinity(self) -> str:
        """A conversation by how it began: what a prefix cache is kept for."""
        begun = "".join(x.text for x in self._wanted.messages[:2])
        return f"{self._row.pid}:{digest(begun)[:16]}"

    async def run(self, model: Model, request: ModelRequest, tell: Tell) -> bool:
        """Generate; whether the answer is the arguments of a call that was forced."""
        m, process, active, draft = self._m, self.process, self._active, self._draft
        shaped = fit.shaped(self._wanted, self._info)
        tap = Tap(model, tell, silent=shaped)
        draft.need = self._tokens + request.max_tokens
        async with active.scope:
            await thinking.generate(m, process, tap, request, draft, active, ways=False)
        if active.scope.reason:
            raise cut_by(active.scope.reason)
        if draft.failure is not None:
            raise refused(draft.failure)
        return shaped

    @contextmanager
    def closing(self) -> Iterator[None]:
        """Around the call: its reply and the end of the process are written, whatever."""
        cut = "INT"
        try:
            yield
            cut = ""
        except OrosError:
            cut = "" if self._draft.failure else "INT"
            raise
        finally:
            self._close(cut)

    def _close(self, cut: str) -> None:
        m, process = self._m, self.process
        m.active.pop(process.pid, None)
        entries: list[Entry] = []
        after: After = []
        if process.seq and process.alive:
            image = m.journal.images[process.pid]
            context = image.context
            reply = self._draft.reply(self._info, context.label, cut, context.tokens)
            m.accounts.charge(process, replace(reply.usage, seconds=0.0))
            self._draft.usage = reply.usage
            m.journal.write((process, reply))
            whole = not cut and self._draft.failure is None
            status, why = (0, "") if whole else (GONE[0], reply.error or GONE[1])
            entries, after = ends(m, process, status, reply.message.text if whole else "", why)
        buried, more = reap(m, self._row, entries)
        m.journal.write(*entries, *buried)
        for act in (*after, *more):
            act()

    def said(self, *, shaped: bool) -> Said:
        """The whole answer."""
        draft, usage = self._draft, self._draft.usage or Usage()
        thoughts = tuple(p for p in draft.parts if isinstance(p, ReasoningPart))
        text, asks, finish = "".join(draft.text), draft.asked(), draft.finish
        if shaped:
            asks, text = (fit.call_of(self._wanted.tools[0], text, self.process.pid),), ""
        finish = "calls" if asks and finish == "stop" else finish
        return Said(text, thoughts, asks, finish, usage)


def cut_by(reason: str) -> OrosError:
    """Why an answer was cut."""
    match reason:
        case "budget":
            return OverBudget("no seconds are left in the budget of the key")
        case "HALT":
            return Interrupted("the machine stops")
        case _:
            return Interrupted("a signal ended the answer")


def refused(error: OrosError) -> OrosError:
    """Why there is no answer; a platform that refuses our key has not refused the client's."""
    if isinstance(error, NotAuthorized):
        return BadReply(f"the platform of this model refused the machine's key: {error.why}")
    return error
