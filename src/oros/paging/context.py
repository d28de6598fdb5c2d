"""The window as paged memory: pages in order, evicted in large steps, never lost.

Append-only between evictions, so that prefix caches hit. An evicted page leaves a line with its id;
the whole of it stays in the journal and is read at /proc/self/pages/ID. Token counts are estimates
corrected by what the model really counted (`calibrate`).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from oros.abi import hidden
from oros.abi.labels import Label, join
from oros.abi.message import Message, TextPart, say

PageKind = Literal["program", "pinned", "turn"]

CHARS_A_TOKEN = 3.2
"""For the first estimate; English and code lie between 3 and 4."""

PICTURE_TOKENS = 800
TARGET = 0.5
"""What an eviction leaves of the window: rare large steps keep the prefix cache warm."""

KEPT_TURNS = 2
STUB_CHARS = 70


@dataclass(slots=True)
class Page:
    """One message of the window. Pages of one `group` (a call and its answer) leave together."""

    id: int
    kind: PageKind
    message: Message
    tokens: int
    group: int
    resident: bool = True


def estimate(message: Message) -> int:
    """Tokens of a message, before the model has counted."""
    size = sum(len(p.text) for p in message.parts if isinstance(p, TextPart))
    size += sum(len(a.name) + len(str(a.args)) for a in message.asks)
    pictures = sum(p.kind in ("image", "audio") for p in message.parts)
    return int(size / CHARS_A_TOKEN) + 6 + PICTURE_TOKENS * pictures


def stub(page: Page) -> str:
    """The line that an evicted page leaves."""
    text = " ".join(page.message.text.split()) or ", ".join(a.name for a in page.message.asks)
    cut = text[:STUB_CHARS] + ("..." if len(text) > STUB_CHARS else "")
    return f"[page {page.id}, {page.message.role}: {cut}]"


@dataclass(slots=True)
class Context:
    """The pages of a process."""

    pages: list[Page] = field(default_factory=list)
    ratio: float = 1.0

    def add(self, kind: PageKind, message: Message) -> Page:
        """Append a page; an answer joins the group of the call it answers."""
        message = hidden.shown(message)
        group = len(self.pages)
        if message.role == "tool" and self.pages:
            group = self.pages[-1].group
        page = Page(len(self.pages), kind, message, estimate(message), group)
        self.pages.append(page)
        return page

    @property
    def tokens(self) -> int:
        """What the window holds, in tokens, as well as is known."""
        size = sum(p.tokens if p.resident else STUB_CHARS // 3 for p in self.pages)
        return int(size * self.ratio)

    @property
    def most(self) -> int:
        """For a reservation: an estimate, never below that of an uncorrected count."""
        return int(self.tokens * max(1.0, 1 / self.ratio)) + 1

    @property
    def label(self) -> Label:
        """The join of all that stands in the window, be it in a stub."""
        return join(p.message.label for p in self.pages)

    def calibrate(self, counted: int) -> None:
        """Learn from the model's own count of the last window (an answer may follow it)."""
        guess = self.tokens
        if counted > 0 and guess > 0:
            self.ratio = min(2.0, max(0.3, self.ratio * counted / guess))

    def window(self) -> tuple[Message, ...]:
        """The messages for the model; runs of evicted pages are one message of stubs."""
        return tuple(self._window())

    def _window(self) -> Iterator[Message]:
        gone: list[Page] = []
        for page in self.pages:
            if not page.resident:
                gone.append(page)
                continue
            if gone:
                yield left(gone)
                gone = []
            yield page.message
        if gone:
            yield left(gone)

    def surplus(self, room: int) -> tuple[int, ...]:
        """Pages to evict, oldest groups first, so that the window fits `room` tokens.

        Empty if it fits; also if nothing more may leave: the program, what is pinned and the last
        turns stay.
        """
        if self.tokens <= room:
            return ()
        groups = [p.group for p in self.pages if p.resident and p.kind == "turn"]
        order = list(dict.fromkeys(groups))[:-KEPT_TURNS]
        gone: set[int] = set()
        excess = self.tokens - int(room * TARGET)
        for group in order:
            if excess <= 0:
                break
            members = [p for p in self.pages if p.group == group and p.resident]
            gone |= {p.id for p in members}
            excess -= int(sum(p.tokens - STUB_CHARS // 3 for p in members) * self.ratio)
        return tuple(sorted(gone))

    def evict(self, ids: Iterable[int]) -> None:
        """Take pages out of the window."""
        for page_id in ids:
            self.pages[page_id].resident = False


def left(pages: Sequence[Page]) -> Message:
    """What stands in the window for pages that left it."""
    text = "\n".join(["Earlier (read /proc/self/pages/ID for the whole):", *map(stub, pages)])
    return say("user", text, join(p.message.label for p in pages))
