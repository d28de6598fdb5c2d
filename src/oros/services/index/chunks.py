"""Pages of a document to rows of memory: at most about 200 tokens each, with their place. Pure."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from oros.services.index.inside.page import Page
from oros.services.memory.rows import tokens

MOST = 200
"""Tokens of a row."""
WIDE = 600
"""Characters at which a line that is too long for a row is cut."""
HEADER = 400
"""Characters of a table's first line that are repeated over its later rows."""
_END = re.compile(r"[.!?;,]?\s")
_CELL = re.compile(r"(?P<sheet>.*)!(?P<column>[A-Z]{1,3})(?P<row>\d+)")


@dataclass(frozen=True, slots=True)
class Piece:
    """A row's text, and where it stands: `page 3`, `line 120`, `line 8 (Class.method)`, `A!B7`."""

    text: str
    place: str


def pieces(pages: Sequence[Page]) -> Iterator[Piece]:
    """All pages in order; neighbours stay neighbours."""
    for page in pages:
        yield from _prose(page) if page.shape == "text" else _table(page)


def _prose(page: Page) -> Iterator[Piece]:
    """Cut at empty lines if there is one in the second half of a row, else at any line."""
    held, size, first, gap = list[str](), 0, 0, 0
    for number, line in _short(page.text.split("\n")):
        cost = tokens(line)
        if held and size + cost > MOST:
            keep = gap if gap > len(held) // 2 else len(held)
            yield from _piece(page, first, held[:keep])
            held, first, gap = held[keep:], first + keep, 0
            size = sum(map(tokens, held))
        if not held:
            first = number
        if not line.strip() and held:
            gap = len(held)
        held.append(line)
        size += cost
        first = min(first, number)
    yield from _piece(page, first, held)


def _short(lines: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Lines with their numbers from 0; long ones in parts that have the same number."""
    for number, line in enumerate(lines):
        while len(line) > WIDE:
            found = [m.end() for m in _END.finditer(line, WIDE // 2, WIDE)]
            at = found[-1] if found else WIDE
            yield number, line[:at]
            line = line[at:]  # noqa: PLW2901 - the rest of it
        yield number, line


def _piece(page: Page, first: int, held: Sequence[str]) -> Iterator[Piece]:
    text = "\n".join(held)
    blank = len(text) - len(text.lstrip("\n"))
    if text.strip():
        yield Piece(text.strip("\n"), place_of(page, first + blank))


def place_of(page: Page, number: int, column: int = 0) -> str:
    """The place of a line of a page (from 0), in a sheet of a cell of it (from 0)."""
    if page.shape == "cells" and (cell := _CELL.fullmatch(page.place)):
        return (
            f"{cell['sheet']}!{letters(digits(cell['column']) + column)}{int(cell['row']) + number}"
        )
    if page.shape == "rows":
        return f"row {number + page.line}"
    if not page.line:
        return page.place
    return f"line {page.line + number}" + (f" ({page.place})" if page.place else "")


def _table(page: Page) -> Iterator[Piece]:
    lines = page.text.split("\n")
    head = lines[0][:HEADER]
    start, held, size = 0, list[str](), 0
    for number, line in enumerate(lines):
        short = line[: MOST * 8]
        cost = tokens(short)
        if held and size + cost > MOST:
            yield _rows(page, start, held, head)
            start, held, size = number, [], tokens(head)
        held.append(short)
        size += cost
    yield _rows(page, start, held, head)


def _rows(page: Page, start: int, held: Sequence[str], head: str) -> Piece:
    end = start + len(held) - 1
    wide = max(line.count("\t") for line in held)
    place = place_of(page, start)
    if page.shape == "cells":
        place += f":{place_of(page, end, wide).rpartition('!')[2]}"
    elif end > start:
        place = f"rows {start + page.line}-{end + page.line}"
    body = [head, *held] if start else held
    return Piece("\n".join(body).replace("\t", " | "), place)


def letters(number: int) -> str:
    """A column by its number from 0: 27 is AB."""
    name, number = "", number + 1
    while number:
        number, rest = divmod(number - 1, 26)
        name = chr(65 + rest) + name
    return name


def digits(name: str) -> int:
    """A column's number from 0: AB is 27."""
    number = 0
    for letter in name:
        number = number * 26 + ord(letter) - 64
    return number - 1


def exact(pages: Sequence[Page], query: str, limit: int) -> list[tuple[str, str]]:
    """The places of lines that hold a text, any case, and those lines; cells of sheets."""
    found, needle = list[tuple[str, str]](), query.casefold()
    for page in pages:
        if needle not in page.text.casefold():
            continue
        for number, line in enumerate(page.text.split("\n")):
            if (at := line.casefold().find(needle)) >= 0:
                place = place_of(page, number, line.count("\t", 0, at))
                start = max(0, at - 80)
                found.append((place, line[start : start + 200].replace("\t", " | ").strip()))
                if len(found) >= limit:
                    return found
    return found
