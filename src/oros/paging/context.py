"""The window as paged memory: pages in order, evicted in large steps, never lost.

Append-only between evictions, so that prefix caches hit. What left stands in one bounded message: a
summary, the last pages a line each, and where the rest is: whole in the journal, and read at
/proc/self/pages/ID. Counts are the model's own where it can count; else estimates, corrected by
what the model says that it read (`calibrate`).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from oros.abi import hidden
from oros.abi.events import OWNERS, Evicted, Recalled
from oros.abi.labels import Label, join
from oros.abi.message import Message, TextPart, say
from oros.abi.ports import ModelInfo

PageKind = Literal["program", "pinned", "turn", "recalled"]

CHARS_A_TOKEN = 3.2
"""For the first estimate; English and code lie between 3 and 4. Of other scripts, one a token."""

PICTURE_TOKENS = 800
MESSAGE_TOKENS = 6
"""What a chat template puts around a message."""
TARGET = 0.5
"""What an eviction leaves of the window: rare large steps keep the prefix cache warm."""

KEPT_TURNS = 2
STUBS = 8
"""Pages that left and have a line of their own, the last ones; the others are told by range."""
STUB_CHARS = 70
LEAST_CHARS = 400
"""What stays at least of a page that is cut because nothing else can leave."""
CUT = "\n[{} more characters: read /proc/self/pages/{}]"
EARLIER = """Earlier (pages {} to {} left this window; `read` /proc/self/pages/ID brings one back, \
`search` /proc/self/pages finds words in them):"""


MARGIN = 64
"""Tokens of the window left free for what a chat template adds."""
UNSURE = 32
"""A part of the window is left free where pages are not counted by the model itself."""


def divided(most: int, info: ModelInfo) -> tuple[int, int]:
    """Tokens of a model's window for an answer of at most so many, and for what is read.

    An answer takes a third of the window at most.
    """
    answer = min(most, info.window // 3)
    unsure = 0 if "count" in info.cans else info.window // UNSURE
    return answer, info.window - answer - MARGIN - unsure


@dataclass(slots=True)
class Page:
    """One message of the window. Pages of one `group` (a call and its answer) leave together.

    `exact`: `tokens` is the model's own count. `kept`: characters that are shown of it, 0 for all.
    `summed`: it left, and a summary was made of it or was tried.
    """

    id: int
    kind: PageKind
    message: Message
    tokens: int
    group: int
    resident: bool = True
    exact: bool = False
    kept: int = 0
    summed: bool = False

    @property
    def shown(self) -> Message:
        """The page as it stands in the window."""
        more = len(self.message.text) - self.kept
        if not self.kept or more <= 0:
            return self.message
        text = self.message.text[: self.kept] + CUT.format(more, self.id)
        others = tuple(p for p in self.message.parts if not isinstance(p, TextPart))
        return replace(self.message, parts=(TextPart(text), *others))

    @property
    def shown_part(self) -> float:
        """The part of it that stands in the window while it is resident."""
        if not self.kept:
            return 1.0
        return min(1.0, (self.kept + len(CUT) + 8) / max(1, len(self.message.text)))


def size(text: str) -> float:
    """Tokens of a text, as a guess that is seldom too low."""
    if text.isascii():
        return len(text) / CHARS_A_TOKEN
    plain = sum(map(str.isascii, text))
    return plain / CHARS_A_TOKEN + (len(text) - plain)


def written(message: Message) -> str:
    """All of a message that is text to a model: its words, and the calls it asks for."""
    if not message.asks:
        return message.text
    return message.text + "".join(f"{a.name}{a.args}" for a in message.asks)


def listed(message: Message) -> str:
    """A message as text, the calls that it asks for a line each."""
    return message.text + "".join(f"\n{a.name} {a.args}" for a in message.asks)


def around(message: Message) -> int:
    """Tokens of a message beside its text: the template's, pictures, what was thought."""
    if len(message.parts) == 1 and message.parts[0].kind == "text":
        return MESSAGE_TOKENS * (1 + len(message.asks))
    thought = sum(size(p.thought) for p in message.parts if p.kind == "reasoning")
    pictures = sum(p.kind in ("image", "audio") for p in message.parts)
    return MESSAGE_TOKENS * (1 + len(message.asks)) + PICTURE_TOKENS * pictures + int(thought)


def estimate(message: Message) -> int:
    """Tokens of a message, before the model has counted."""
    return int(size(written(message))) + around(message)


def stub(page: Page) -> str:
    """The line of a page that left."""
    text = " ".join(page.message.text.split()) or ", ".join(a.name for a in page.message.asks)
    cut = text[:STUB_CHARS] + ("..." if len(text) > STUB_CHARS else "")
    return f"[page {page.id}, {page.message.role}: {cut}]"


@dataclass(slots=True)
class Context:
    """The pages of a process.

    `ratio` corrects estimates; `base`: tokens beside the pages, as the schemas of calls; `exact`:
    the last window was counted by the model; `counted`: pages that the ratio was learned from;
    `digest` is the summary of the pages that left; `room`: tokens that they had to fit.
    """

    pages: list[Page] = field(default_factory=list)
    ratio: float = 1.0
    base: int = 0
    exact: bool = False
    counted: int = 0
    digest: Message | None = None
    room: int = 4000
    _owners: tuple[int, ...] | None = None
    _label: Label | None = None

    def changed(self) -> None:
        """What is known of the whole is counted anew; who changes a page has to say so."""
        self._owners = self._label = None

    def add(self, kind: PageKind, message: Message) -> Page:
        """Append a page; an answer joins the group of the call it answers."""
        message = hidden.shown(message)
        group = len(self.pages)
        if message.role == "tool" and self.pages:
            group = self.pages[-1].group
        page = Page(len(self.pages), kind, message, estimate(message), group)
        label = self._label if self.pages else None  # that of no page is not the join's unit
        self.pages.append(page)
        self.changed()
        self._label = None if label is None else label | message.label
        return page

    def rest(self, message: Message) -> None:
        """The last page was a part: the whole takes its place."""
        size = estimate(message)
        self.pages[-1] = replace(self.pages[-1], message=message, tokens=size, exact=False)
        self.changed()

    def held(self, page: Page) -> int:
        """Tokens that a page takes of the window, as well as is known."""
        part = page.shown_part if page.kept else 1.0
        return int(part * page.tokens * (1.0 if page.exact else self.ratio)) + 1

    @property
    def owners(self) -> tuple[int, ...]:
        """Tokens of the window by `OWNERS`."""
        if self._owners is not None:
            return self._owners
        found = dict.fromkeys(OWNERS, 0)
        found["calls"] = self.base
        for page in self.pages:
            if page.resident:
                found[page.kind] += self.held(page)
        if (earlier := self.earlier()) is not None:
            found["earlier"] = int(estimate(earlier) * self.ratio)
        self._owners = tuple(found.values())
        return self._owners

    @property
    def tokens(self) -> int:
        """What the window holds, in tokens, as well as is known."""
        return sum(self.owners)

    @property
    def most(self) -> int:
        """For a reservation: an estimate, never below that of an uncorrected count."""
        return int(self.tokens * max(1.0, 1 / self.ratio)) + 1

    def caution_of(self, page: Page) -> float:
        """What a page may hold beyond what it counts for, as no model has read it yet."""
        if page.exact or page.id < self.counted or self.ratio >= 1:
            return 0.0
        return page.tokens * page.shown_part * (1 - self.ratio)

    @property
    def caution(self) -> int:
        """What the window may hold beyond `tokens`."""
        return int(sum(self.caution_of(p) for p in self.pages[self.counted :] if p.resident))

    @property
    def label(self) -> Label:
        """The join of all that stands in the window, be it in a line."""
        if self._label is None:
            self._label = join(p.message.label for p in self.pages)
        return self._label

    def offers(self, cost: int) -> None:
        """So many tokens stand in the window beside the pages."""
        self.base = cost
        self._owners = None

    def calibrate(self, counted: int, guess: int = 0) -> None:
        """Learn from the model's own count of the last window, which was held for `guess`."""
        guess = guess or self.tokens
        if counted <= 0 or guess <= 0:
            return
        if self.exact:
            self.offers(max(0, self.base + counted - guess))
        else:
            self.ratio = min(4.0, max(0.3, self.ratio * counted / guess))
            self.counted = len(self.pages)
            self._owners = None

    def recount(self) -> None:
        """Another model counts from now on: what the last one had counted is no measure."""
        self.ratio, self.exact, self.counted = 1.0, False, 0
        self.changed()
        for page in self.pages:
            page.tokens, page.exact = estimate(page.message), False

    def overflowed(self, room: int) -> bool:
        """The model found the window too large: count higher. False if that was tried enough."""
        if self.exact:
            self.offers(self.base + max(room // 8, 64))
            return self.base < room
        self.ratio = max(self.ratio * 1.3, self.ratio * room / max(1, self.tokens) * 1.1)
        self._owners = None
        return self.ratio < 8

    def gone(self) -> list[Page]:
        """The pages that left, but for what was recalled: that is where it was found."""
        return [p for p in self.pages if not p.resident and p.kind != "recalled"]

    def unsummed(self) -> tuple[int, ...]:
        """Pages that left since the last summary."""
        return tuple(p.id for p in self.gone() if not p.summed)

    def summarise(self, pages: Iterable[int], text: str, label: Label) -> None:
        """Take in the summary of pages that left; "" if none could be made. Each page has one."""
        for number in pages:
            self.pages[number].summed = True
        if text:
            self.digest = hidden.shown(say("user", text, label))
            self._owners = None

    def earlier(self) -> Message | None:
        """What stands in the window for the pages that left it; its length is bounded."""
        gone = self.gone()
        if not gone:
            return None
        lines = [EARLIER.format(gone[0].id, gone[-1].id)]
        labels = [p.message.label for p in gone]
        if self.digest is not None:
            lines.append(self.digest.text)
            labels.append(self.digest.label)
        return say("user", "\n".join([*lines, *map(stub, gone[-STUBS:])]), join(labels))

    def window(self) -> tuple[Message, ...]:
        """The messages for the model."""
        return tuple(self._window())

    def _window(self) -> Iterator[Message]:
        earlier = self.earlier()
        for page in self.pages:
            if page.resident:
                yield page.shown if page.kept else page.message
            elif earlier is not None and page.kind != "recalled":
                yield earlier
                earlier = None

    def fit(self, room: int) -> Evicted | None:
        """What has to leave so that the window fits `room` tokens; None if it fits, or never will.

        Oldest groups first, down to `TARGET`; the program, what is pinned and the last turns stay.
        If that is not enough the turn before the last leaves, too; then the longest pages are cut;
        at last the last turn leaves.
        """
        excess = self.tokens + self.caution - room
        if excess <= 0:
            return None
        groups: dict[int, list[Page]] = {}
        for page in self.pages:
            if page.resident and page.kind in ("turn", "recalled") and not page.message.partial:
                groups.setdefault(page.group, []).append(page)
        order = list(groups.values())
        gone: list[Page] = []
        goal = excess + int(room * (1 - TARGET))
        for number, group in enumerate(order, 1):
            left = len(order) - number
            if self._freed(gone) >= (goal if left >= KEPT_TURNS else excess) or not left:
                break
            gone += group
        cuts: tuple[tuple[int, int], ...] = ()
        if self._freed(gone) < excess:
            cuts = self._cuts(gone, excess - self._freed(gone))
            if not cuts and order and order[-1][0] not in gone:
                gone += order[-1]
        ids = tuple(sorted(p.id for p in gone))
        return Evicted(ids, cuts, room) if gone or cuts else None

    def _freed(self, gone: Sequence[Page]) -> int:
        """What the window gets shorter by when pages leave, their lines counted."""
        lines = int(sum(estimate(say("user", stub(p))) for p in gone[-STUBS:]) * self.ratio)
        first = 0 if self.gone() else int(size(EARLIER) * self.ratio) + MESSAGE_TOKENS
        return sum(map(self.held, gone)) - lines - first if gone else 0

    def _cuts(self, gone: Sequence[Page], excess: int) -> tuple[tuple[int, int], ...]:
        """The longest pages that stay, cut: (page, characters that are shown)."""
        left = {p.id for p in gone}
        pages = [p for p in self.pages if p.resident and p.kind != "program" and p.id not in left]
        cuts = []
        for page in sorted(pages, key=self.held, reverse=True):
            length = page.kept or len(page.message.text)
            if excess <= 0 or length <= LEAST_CHARS or page.message.partial:
                break
            part = size(page.message.text) / max(1.0, size(written(page.message)))
            a_char = (self.held(page) + self.caution_of(page)) * part / length
            keep = max(LEAST_CHARS, length - int(excess / max(a_char, 1e-6)) - len(CUT) - 16)
            excess -= int((length - keep - len(CUT)) * a_char)
            cuts.append((page.id, keep))
        return tuple(cuts)

    def take(self, event: Evicted | Recalled) -> None:
        """Add what was recalled; or let pages leave the window, and cut others."""
        if isinstance(event, Recalled):
            self.add("recalled", event.message)
            return
        for number in event.pages:
            self.pages[number].resident = False
        for number, kept in event.cuts:
            self.pages[number].kept = kept
        self.changed()
        self.room = event.room or self.room
