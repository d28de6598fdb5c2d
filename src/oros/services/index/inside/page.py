"""A page: a piece of a document as its author divided it, and where it stands. Pure."""

from dataclasses import asdict, dataclass
from typing import Literal

Shape = Literal["text", "cells", "rows"]


@dataclass(frozen=True, slots=True)
class Page:
    """A piece of a document.

    `place`: what a reader would call it (`page 3`, `slide 2`, `Sales!A1`, `cell 4`); "" if only its
    line is known. `line`: the number of its first line in the file, 0 if the file has none.
    `shape`: `text`; `cells` is a table whose first cell is the one in `place`, one row a line and
    tabs between the cells; `rows` is a table of a file of lines.
    """

    text: str
    place: str = ""
    line: int = 0
    shape: Shape = "text"


@dataclass(frozen=True, slots=True)
class Read:
    """A document as text. `note`: what is not in it, and why; "" if all is.

    `upto`: the seconds of a recording that were heard when there was no more time; 0 at its end.
    """

    kind: str
    pages: tuple[Page, ...] = ()
    note: str = ""
    upto: float = 0.0

    def plain(self) -> dict[str, object]:
        """As JSON has it."""
        pages = [[p.text, p.place, p.line, p.shape] for p in self.pages]
        return {**asdict(self), "pages": pages}


class Unread(Exception):
    """A file that gives no text; the message is one line for the person."""
