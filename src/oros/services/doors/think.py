"""One model call for a client of the doors, as a process: journal, budget, labels, slots.

The process is below the process of the key. It is written down with its call at once, so what a
crash leaves is one whose call was cut, and ends. A client that goes away cuts it, too. When its
model fails it moves to the next of its list, as any process does.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial

from oros.abi.errors import (
    AccessDenied,
    BadReply,
    Corrupt,
    Interrupted,
    NoDevice,
    NotAuthorized,
    OrosError,
    OverBudget,
    TooBig,
    Unsupported,
)
from oros.abi.events import ModelCalled, ModelReplied, Moved, Received, Spawned
from oros.abi.grants import NO_LIMITS, Usage
from oros.abi.ids import PERSON, Pid
from oros.abi.labels import join
from oros.abi.manifest import Program
from oros.abi.message import FilePart, Message, Part, ReasoningPart, TextPart
from oros.abi.ports import Model, ModelInfo, ModelRequest
from oros.flow.scope import Scope
from oros.kernel import thinking
from oros.kernel.control import enrol
from oros.kernel.ending import After, ends, reap
from oros.kernel.image import Image
from oros.kernel.journal import Entry
from oros.kernel.machine import Activation, Machine
from oros.kernel.process import Process
from oros.paging.draft import Draft
from oros.services.doors import fit
from oros.services.doors.keys import Asker, digest
from oros.services.doors.tap import Tap
from oros.services.doors.wanted import Begun, Said, Tell, Wanted
from oros.services.shapes.door import GONE

DOOR = Program("door", "a model's answer to a client of the doors", "door", "")
INLINE = 2000
"""Characters of a message that stand in the journal; a longer one is a blob there, kept once."""


async def think(m: Machine, who: Asker, wanted: Wanted, tell: Tell) -> None:
    """Ask the model, and tell what it says as it comes; the last step is the whole answer.

    If the model fails, the next of its list goes on that the key opens and that can.
    Cancelled: the client went away. Raises: Unsupported, TooBig, OverBudget, NoDevice, what the
    model's driver raises, Interrupted by a signal.
    """
    call = Call(m, who, wanted, tell)
    model: Model | None = call.first()
    for blob in wanted.blobs.values():
        m.world.store.put_blob(blob)
    with call.closing():
        while model is not None:
            model = await call.ask(model)
    tell([call.said()])


class Call:
    """One call, from its first event to the end of its process."""

    def __init__(self, m: Machine, who: Asker, wanted: Wanted, tell: Tell) -> None:
        self._m, self._who, self._wanted, self._tell = m, who, wanted, tell
        self._row = who.row
        self._label = join(x.label for x in wanted.messages)
        self._tokens = fit.read(wanted)
        self._draft = draft_of(wanted)
        self._earlier, self._usage = "", Usage()
        self._info: ModelInfo | None = None
        self._reply: ModelReplied | None = None
        self._thought = self._shaped = False
        # until it begins, only what its list of models is looked up by
        self.process = Process(Pid(0), asked=wanted.model, accounts=who.row.accounts)
        self._active = Activation()

    # ---- which model -------------------------------------------------------------------------

    def first(self) -> Model:
        """The first of the list that can do what is asked. Raises: what the first of all lacks."""
        try:
            return self._able(self._m.world.model(self._wanted.model))
        except (AccessDenied, Corrupt, NoDevice, TooBig, Unsupported):
            if left := self._left():
                return left[0]
            raise

    def _able(self, model: Model) -> Model:
        """The model. Raises: AccessDenied, Unsupported, TooBig, if it may or can not do it."""
        if not self._who.limits.opens(model.info.name):
            raise AccessDenied(f"the key {self._who.key.name} does not open {model.info.name}")
        fit.refuse(self._wanted, model.info)
        fit.room(self._wanted, model.info, self._tokens)
        return model

    def _left(self, window: int = 0) -> list[Model]:
        """The models left of the list that can do it, with more than such a window."""
        found = []
        for model in thinking.others(self._m, self.process, self._label):
            with suppress(AccessDenied, TooBig, Unsupported):
                found += [self._able(model)] if model.info.window > window else []
        return found

    # ---- one after another -------------------------------------------------------------------

    async def ask(self, model: Model) -> Model | None:
        """Ask a model. None: it has answered; else the one to be asked next, as it failed.

        Raises: OverBudget, Interrupted, why the last one failed.
        """
        reserve = self._hold(model.info)
        try:
            request = await self._enter(model.info, reserve)
            await self._run(model, request)
        finally:
            self._m.accounts.release(self._row, reserve)
        error = self._draft.failure
        if error is None:
            return None
        self._replied("")
        told = "".join(self._draft.text)
        if told and self._wanted.stream and not self._shaped:
            self._wanted = fit.going_on(self._wanted, told, self._draft.whole)
            self._earlier += told
        left = self._left(model.info.window if isinstance(error, TooBig) else 0)
        if not left:
            raise refused(error)
        return left[0]

    def _hold(self, info: ModelInfo) -> Usage:
        """Reserve what it may cost at most, answering shorter if the budget wants it.

        Raises: OverBudget, TooBig.
        """
        m, most = self._m, fit.room(self._wanted, info, self._tokens)
        read = min(self._tokens, info.window)
        left = m.accounts.room(self._row)
        if left.tokens is not None and left.tokens - read < most:
            most = min(most, max(left.tokens - read, fit.LEAST))
        if left.seconds is not None and left.seconds <= 0:
            raise cut_by("budget")
        need = Usage(read, most, 0, info.cost(Usage(read, most)), 0.0, 1)
        m.accounts.hold(self._row, need)
        return need

    async def _enter(self, info: ModelInfo, reserve: Usage) -> ModelRequest:
        """Write down that a model is called, in one commit with what came before.

        Before the first call that is the process, before another how the last one ended.
        """
        m, self._info = self._m, info
        if self._reply is None:
            await self._begin(info, reserve)
        else:
            process, failed = self.process, self._reply
            moved = Moved(info.name, process.model, failed.error)
            called = ModelCalled(info.name, reserve, len(self._wanted.messages))
            self._draft, self._reply = draft_of(self._wanted), None
            self._active.scope, self._active.text = Scope(), []
            await m.journal.sync((process, failed), (process, moved), (process, called))
        made = fit.request(self._wanted, info)
        return replace(
            made, max_tokens=reserve.tokens_out, affinity=self._affinity(),
            nice=m.effective_nice(self.process), fetch=m.world.store.get_blob,
            seed=made.seed or self.process.seq,
        )  # fmt: skip

    async def _begin(self, info: ModelInfo, reserve: Usage) -> None:
        """Write the process and its first call down, and tell that it began."""
        m, row, who, pid = self._m, self._row, self._who, self._m.new_pid()
        own = () if who.limits == NO_LIMITS else (pid,)
        self.process = process = Process(pid)
        words = ["", *(x.text for x in self._wanted.messages if x.role == "user")]
        goal = (self._wanted.goal or words[-1])[:INLINE]
        event = Spawned(
            row.pid, DOOR, goal, info.name, row.nice, who.limits, (), pid,
            row.accounts + own, who.key.label, asked=self._wanted.model,
        )  # fmt: skip
        source = PERSON if who.key.mine else row.pid
        shown = [(process, Received(source, self._kept(x))) for x in self._wanted.messages]
        m.journal.images[pid] = image = Image()
        m.active[pid] = self._active
        called = ModelCalled(info.name, reserve, len(shown))
        enter = partial(enrol, m, process)
        await m.journal.sync((process, event), *shown, (process, called), after=[enter])
        image.context.offers(max(0, self._tokens - image.context.tokens))
        self._tell([Begun(pid, process.started)])

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

    async def _run(self, model: Model, request: ModelRequest) -> None:
        """Generate. Raises: OverBudget, Interrupted, if it was cut."""
        m, active, draft = self._m, self._active, self._draft
        self._shaped = fit.shaped(self._wanted, model.info)
        tap = Tap(model, self._tell, silent=self._shaped, thought=self._thought)
        draft.need = self._tokens + request.max_tokens
        async with active.scope:
            # patience is short even without another model: a client can be told when to come back
            await thinking.generate(m, self.process, tap, request, draft, active, ways=True)
        self._thought = tap.thought
        if active.scope.reason:
            raise cut_by(active.scope.reason)

    def _replied(self, cut: str) -> ModelReplied:
        """How the call in flight ended, which is paid now; it is still to be written."""
        context = self._m.journal.images[self.process.pid].context
        info = self._info or ModelInfo(self.process.model, 0)
        self._reply = reply = self._draft.reply(info, context.label, cut, context.tokens)
        if self._shaped and not cut and not reply.error:
            self._reply = replace(reply, message=self._called(reply.message))
        self._m.accounts.charge(self.process, replace(self._reply.usage, seconds=0.0))
        self._usage += self._reply.usage
        return self._reply

    def _called(self, message: Message) -> Message:
        """An answer under a tool's schema as the call that it is."""
        thoughts = tuple(p for p in message.parts if isinstance(p, ReasoningPart))
        ask = fit.call_of(self._wanted.tools[0], message.text, self.process.pid)
        return replace(message, parts=thoughts, asks=(ask,))

    @contextmanager
    def closing(self) -> Iterator[None]:
        """Around the calls: the last reply and the end of the process are written, whatever."""
        cut = "INT"
        try:
            yield
            cut = ""
        finally:
            self._close(cut)

    def _close(self, cut: str) -> None:
        m, process = self._m, self.process
        m.active.pop(process.pid, None)
        entries: list[Entry] = []
        after: After = []
        if process.seq and process.alive:
            reply = self._reply or self._replied(cut)
            m.journal.write((process, reply))
            whole = not cut and not reply.error
            status, why = (0, "") if whole else (GONE[0], reply.error or GONE[1])
            entries, after = ends(m, process, status, reply.message.text if whole else "", why)
        buried, more = reap(m, self._row, entries)
        m.journal.write(*entries, *buried)
        for act in (*after, *more):
            act()

    def said(self) -> Said:
        """The whole answer."""
        draft, text = self._draft, self._earlier + "".join(self._draft.text)
        thoughts = tuple(p for p in draft.parts if isinstance(p, ReasoningPart))
        asks, finish = draft.asked(), draft.finish
        if self._shaped and self._reply is not None:
            asks, text = self._reply.message.asks, ""
        finish = "calls" if asks and finish == "stop" else finish
        return Said(text, thoughts, asks, finish, self._usage)


def draft_of(wanted: Wanted) -> Draft:
    """An answer before it begins; one that was begun goes on from there."""
    last = wanted.messages[-1]
    return Draft(last.text if last.partial else "")


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
