"""The process image: what a process is in the midst of, folded from its journal.

Exists only while the process is awake. `apply` folds; nothing here performs. What a program of a
certain shape does with a fact is in its shape's file.
"""

from dataclasses import dataclass, field
from typing import Any

from oros.abi.events import (
    CallEntered,
    CallReturned,
    Carded,
    Doubted,
    Event,
    Evicted,
    Forked,
    Granted,
    ModelCalled,
    ModelReplied,
    Moved,
    Parked,
    Recalled,
    Received,
    Signalled,
    Spawned,
)
from oros.abi.ids import PERSON, START, Seq
from oros.abi.labels import SYSTEM, USER
from oros.abi.manifest import Program
from oros.abi.message import Ask, Json, Message, TextPart
from oros.abi.syscalls import Outcome
from oros.monitor import handles
from oros.monitor.grants import Authority
from oros.paging.context import Context

ANSWER_CHARS = 8000
"""What a call's answer may take of a window; the rest is read page by page."""

NO_PROGRAM = Program("", "", "steps", "")
NOT_COPIED = Outcome(value={"note": "the copy was made before it returned"}, label=SYSTEM)


@dataclass(slots=True)
class Image:
    """What a live process holds beyond its row."""

    program: Program = NO_PROGRAM
    goal: str = ""
    context: Context = field(default_factory=Context)
    seq: Seq = START
    # what is in flight
    queue: list[Ask] = field(default_factory=list)
    open: CallEntered | None = None
    closed: CallEntered | None = None
    again: int = 0
    doubted: str = ""
    thinking: ModelCalled | None = None
    # what came and was not shown to the model yet
    held: list[Message] = field(default_factory=list)
    mail: list[Received] = field(default_factory=list)
    # what its user said, what tools gave it, what the person is asked about and how often was
    words: list[str] = field(default_factory=list)
    results: dict[str, handles.Result] = field(default_factory=dict)
    card: Carded | None = None
    cards: int = 0
    mine: "tuple[tuple[Any, ...], Authority] | None" = None
    planned: int = 0
    sheeted: bool = False
    # why it should not go on
    error: str = ""
    interrupted: bool = False
    terminated: bool = False
    # counters: model calls since the user's last word, identical calls in a row
    turns: int = 0
    same: int = 0
    last_call: str = ""
    finish: str = ""
    # the shape's own notes
    phase: str = "begin"
    tries: int = 0
    notes: dict[str, Json] = field(default_factory=dict)

    @property
    def busy(self) -> bool:
        """Between a call asked for and its answer: nothing else may enter the window."""
        return bool(self.open or self.queue or self.thinking)

    def settle(self) -> None:
        """Show the model what came meanwhile, once no call waits for its answer."""
        if self.busy:
            return
        for message in self.held:
            self.context.add("turn", message)
            self.turns = self.same = self.cards = 0
            self.interrupted = False
            self.error = ""
            self.finish = ""
        self.held.clear()

    def answer(self, ask: str, outcome: Outcome) -> None:
        """Show the model what a call came to."""
        closed = self.closed
        mark = f"${closed.id} = " if closed and closed.id in self.results else ""
        part = TextPart(mark + outcome.shown(ANSWER_CHARS))
        self.context.add("turn", Message("tool", (part,), answers=ask, label=outcome.label))

    def drop_queue(self, why: str) -> None:
        """Answer the calls that were asked for and will not be made."""
        for ask in self.queue:
            note = TextPart(f"EINTR: not done: {why}")
            self.context.add("turn", Message("tool", (note,), answers=ask.id))
        self.queue.clear()


def apply(image: Image, event: Event, seq: Seq) -> None:  # noqa: C901, PLR0912 - the fold
    """Fold one event, as for every shape; `shapes.absorb` adds what is the shape's own."""
    image.seq = seq
    match event:
        case Spawned():
            image.program, image.goal = event.program, event.goal
            if event.parent == PERSON:
                image.words.append(event.goal)
        case Forked():
            image.thinking = None
            if image.open is not None:
                image.answer(image.open.ask, NOT_COPIED)
                image.open = None
            image.drop_queue("the process was copied")
            image.terminated, image.error, image.doubted = False, "", ""
            image.card = None
        case Received(how="mail"):
            image.mail.append(event)
        case Received():
            image.held.append(event.message)
            if event.source == PERSON and event.message.label == USER:
                image.words.append(event.message.text)
                image.sheeted = False
        case Carded() | Granted():
            carded(image, event)
        case ModelCalled():
            image.thinking = event
        case ModelReplied():
            replied(image, event)
        case Moved():
            image.error = ""
            image.context.recount()
        case CallEntered():
            image.open, image.again = event, 0
            if image.queue and image.queue[0].id == event.ask:
                image.queue.pop(0)
        case CallReturned():
            returned(image, event)
        case Doubted():
            image.doubted = event.question
        case Signalled():
            signalled(image, event)
        case Evicted() | Recalled():
            image.context.take(event)
        case Parked():
            image.interrupted = False
        case _:
            pass


def carded(image: Image, event: Carded | Granted) -> None:
    """Fold what the person is asked, and what they said."""
    if isinstance(event, Granted):
        image.card = None if event.card else image.card
        image.planned = max(image.planned, event.planned)
        return
    image.card = event if event.items else None
    image.cards += bool(event.items)
    image.sheeted = image.sheeted or event.sheet


def replied(image: Image, event: ModelReplied) -> None:
    """Fold a model's answer, whole or cut."""
    guess = sum(image.thinking.window) if image.thinking else 0
    image.thinking = None
    if event.about:
        text = event.message.text if event.finish in ("stop", "length") else ""
        image.context.summarise(event.about, text, event.message.label)
        return
    image.turns += event.finish not in ("lost", "preempted")
    image.finish = event.finish
    image.error = event.error
    image.context.calibrate(event.usage.tokens_in, guess)
    if not event.message.parts and not event.message.asks:
        return
    pages = image.context.pages
    if pages and pages[-1].message.partial:
        image.context.rest(event.message)
    else:
        image.context.add("turn", event.message)
    image.queue = list(event.message.asks)


def returned(image: Image, event: CallReturned) -> None:
    """Fold an outcome; count identical calls with identical outcomes."""
    entered, image.open, image.doubted = image.open, None, ""
    image.closed = entered
    if entered is None:
        return
    mark = f"{entered.name} {entered.args} {event.outcome.value} {event.outcome.error}"
    image.same = image.same + 1 if mark == image.last_call else 1
    image.last_call = mark
    if found := handles.result(entered, event):
        image.results[entered.id] = found
    if entered.name == "ask" and event.outcome.label == USER:
        image.words.append(str((event.outcome.value or {}).get("text")))
    if entered.name == "recv" and event.outcome.error is None and image.mail:
        image.mail.pop(0)


def signalled(image: Image, event: Signalled) -> None:
    """Fold a signal."""
    match event.signal:
        case "INT":
            image.interrupted, image.card = True, None
            image.drop_queue("interrupted by a signal")
        case "TERM" | "KILL":
            image.terminated = True
        case "CONT":
            image.error = ""
            image.turns = image.same = image.cards = 0
        case _:
            pass
