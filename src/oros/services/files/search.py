"""Finds lines that hold a text, any case, in the text files of a folder; bounded work.

A plain scan: no index, no pattern language. Reads at most 256 MB and 50,000 files.
"""

import codecs
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from threading import Event
from typing import Any

from oros.services.files.names import show
from oros.services.files.resolve import Root
from oros.services.files.text import SAMPLE, sniff
from oros.services.files.walk import walk

MAX_FILES = 50_000
MAX_BYTES = 256 << 20
MAX_LINE = 1 << 20
SHOWN = 200
"""Characters of a line that a hit shows."""

_BLOCK = 1 << 20


@dataclass(slots=True)
class Hunt:
    """A search that goes on in a thread; `hits` may be read at any time, `halt` ends it."""

    query: str
    limit: int
    hits: list[dict[str, Any]] = field(default_factory=list)
    more: bool = False
    halt: Event = field(default_factory=Event)
    budget: int = MAX_BYTES

    def through(self, root: Root, top: str, *, is_file: bool) -> None:
        """Search a folder, or one file. Raises: OSError if `top` can't be opened."""
        if is_file:
            self._file(root, top)
            return
        for count, entry in enumerate(walk(root, top)):
            if self.more or self.halt.is_set():
                return
            if count >= MAX_FILES:
                self.more = True
                return
            if entry.kind == "file":
                try:
                    self._file(root, entry.path)
                except OSError:
                    continue  # gone, or not ours to read: like a file that is not there

    def _file(self, root: Root, path: str) -> None:
        with root.opened(path, os.O_RDONLY | os.O_NONBLOCK) as fd:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                return
            encoding = sniff(os.pread(fd, SAMPLE, 0)).encoding
            if encoding:
                self._lines(fd, encoding, path)

    def _lines(self, fd: int, encoding: str, path: str) -> None:
        needle = self.query.casefold()
        number = 0
        for block in self._blocks(fd, encoding):
            lines = block.split("\n")
            if needle in block.casefold():
                for at, line in enumerate(lines, number + 1):
                    if (column := line.casefold().find(needle)) >= 0:
                        if len(self.hits) >= self.limit:
                            self.more = True
                            return
                        text = _around(line, column, len(needle))
                        self.hits.append({"path": show(path), "line": at, "text": text})
            number += len(lines)

    def _blocks(self, fd: int, encoding: str) -> Iterator[str]:
        """Yield whole lines, about a megabyte at a time, without the last newline.

        A line longer than `MAX_LINE` is broken there, so the numbers after it are too high.
        """
        decoder = codecs.getincrementaldecoder(encoding)("replace")
        rest = ""
        while not self.halt.is_set():
            raw = os.read(fd, min(_BLOCK, self.budget))
            self.budget -= len(raw)
            rest += decoder.decode(raw, final=not raw)
            if not raw:
                self.more = self.more or self.budget <= 0
                if rest:
                    yield rest
                return
            whole, newline, tail = rest.rpartition("\n")
            if newline or len(rest) > MAX_LINE:
                yield whole if newline else rest
                rest = tail if newline else ""


def _around(line: str, column: int, width: int) -> str:
    """Cut a long line around the hit. Folding may move the column by a few characters."""
    line = line.removeprefix("\ufeff").rstrip("\r").replace("\0", "␀")
    if len(line) <= SHOWN:
        return line.strip()
    start = max(0, min(column - (SHOWN - width) // 2, len(line) - SHOWN))
    left, right = "…" if start else "", "…" if start + SHOWN < len(line) else ""
    return left + line[start : start + SHOWN].strip() + right
