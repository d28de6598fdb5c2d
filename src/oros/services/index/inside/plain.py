"""Files that are text: prose, Markdown, tables, notebooks, web pages without a library."""

import csv
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import pairwise

from oros.services.files.text import SAMPLE, decode, sniff
from oros.services.index.inside.page import Page, Read, Unread

_HEADING = re.compile(r"^(#{1,6})\s+(.+?)\s*#*$")
_FENCE = re.compile(r"^\s*(```|~~~)")
_DELIMITERS = ",;\t|"
_BLOCKS = """p div br li tr h1 h2 h3 h4 h5 h6 section article ul ol table blockquote pre dt dd"""
BLOCKS = frozenset(_BLOCKS.split())
_SILENT = """script style noscript template nav footer header aside svg form"""
SILENT = frozenset(_SILENT.split())


def text_of(raw: bytes) -> tuple[str, str]:
    """Bytes as text, and what should be known of its encoding. Raises: Unread for binary ones."""
    nature = sniff(raw[:SAMPLE])
    if not nature.encoding:
        raise Unread(f"no text but {nature.kind}")
    text, how = decode(raw, nature.encoding)
    if "damaged" in how:
        return text, "its encoding is damaged: the bad characters are marked"
    return text.replace("\r\n", "\n").replace("\r", "\n"), ""


def prose(text: str) -> tuple[Page, ...]:
    """Plain text is one page, whose lines are counted."""
    return (Page(text, line=1),) if text.strip() else ()


def markdown(text: str, *, counted: bool = True) -> tuple[Page, ...]:
    """A page for each heading; its place is the way of headings to it.

    `counted`: the lines are those of a file.
    """
    lines = text.split("\n")
    cuts, way, fenced = [(0, "")], dict[int, str](), False
    for number, line in enumerate(lines):
        fenced ^= bool(_FENCE.match(line))
        found = None if fenced else _HEADING.match(line)
        if found is not None:
            level = len(found[1])
            way = {k: v for k, v in way.items() if k < level} | {level: found[2][:80]}
            cuts.append((number, " > ".join(way.values())))
    pages = []
    for (start, place), (end, _) in pairwise([*cuts, (len(lines), "")]):
        body = "\n".join(lines[start:end])
        if body.strip():
            pages.append(Page(body, place, start + 1 if counted else 0))
    return tuple(pages)


def table(text: str, tabbed: bool) -> tuple[Page, ...]:  # noqa: FBT001 - one of two kinds
    """A table of text. One whose cells hold newlines is told by rows, without lines."""
    sample = text[: 64 << 10]
    mark = "\t" if tabbed else max(_DELIMITERS, key=sample.split("\n", 1)[0].count)
    csv.field_size_limit(1 << 20)
    rows = ["\t".join(map(flat, row)) for row in csv.reader(text.split("\n"), delimiter=mark)]
    while rows and not rows[-1]:
        rows.pop()
    return (Page("\n".join(rows), line=1, shape="rows"),) if rows else ()


def flat(cell: object) -> str:
    """The text of a cell, on one line."""
    return " ".join(str(cell).split()) if cell is not None else ""


def notebook(text: str) -> tuple[Page, ...]:
    """The cells of a Jupyter notebook, with what they printed. Raises: Unread."""
    try:
        found = json.loads(text)
        cells = found["cells"] if "cells" in found else found["worksheets"][0]["cells"]
        made = [Page(cell_text(cell), f"cell {n}") for n, cell in enumerate(cells, 1)]
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as e:
        raise Unread("a notebook that can't be read: it is damaged") from e
    return tuple(p for p in made if p.text.strip())


def cell_text(cell: dict[str, object]) -> str:
    """Source and outputs of one cell."""
    parts = [joined(cell.get("source", cell.get("input", "")))]
    outputs = cell.get("outputs")
    for output in outputs if isinstance(outputs, list) else ():
        data = output.get("data", {}).get("text/plain", output.get("text", ""))
        parts.append(joined(data)[:4000])
    return "\n".join(p for p in parts if p)


def joined(value: object) -> str:
    """Notebooks keep texts as strings or lists of lines."""
    return "".join(map(str, value)) if isinstance(value, list) else str(value)


class _Words(HTMLParser):
    """The words of a web page, without what surrounds its content."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - the parser's
        if tag in SILENT:
            self._silent += 1
        if tag in BLOCKS:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in SILENT:
            self._silent = max(0, self._silent - 1)
        if tag in BLOCKS:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.parts.append(" ".join(data.split()) + " " if data.strip() else "")


def web(text: str) -> tuple[Page, ...]:
    """A web page by the standard library."""
    words = _Words()
    words.feed(text)
    words.close()
    lines = (line.strip() for line in "".join(words.parts).split("\n"))
    body = "\n".join(_spaced(lines))
    return (Page(body),) if body.strip() else ()


def _spaced(lines: Iterator[str]) -> Iterator[str]:
    empty = True
    for line in lines:
        if line or not empty:
            yield line
        empty = not line


def read_text(raw: bytes, ending: str) -> Read:
    """A file of text, by its ending. Raises: Unread."""
    text, note = text_of(raw)
    if ending in ("md", "markdown", "rst", "qmd"):
        return Read("markdown", markdown(text), note)
    if ending in ("csv", "tsv", "tab"):
        try:
            return Read("table", table(text, ending != "csv"), note)
        except csv.Error:
            return Read("text", prose(text), note)
    if ending == "ipynb":
        return Read("notebook", notebook(text), note)
    return Read("text", prose(text), note)
