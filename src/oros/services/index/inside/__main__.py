"""`python -m oros.services.index.inside`: files named on stdin in, lines of JSON about them out.

Each file is announced before it is opened: when a parser takes the process down, the reader knows
which file did it. What libraries print goes to stderr.
"""

import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from oros.services.index.inside import code, office, plain, scans, speech
from oros.services.index.inside.page import Page, Read, Unread

IN = Path("/in")
MAX_TEXT = 8 << 20
"""Characters of one file, and of all answers of one process, after which it stops."""
MAX_PAGES = 20_000
LONG = 60.0
"""Seconds after which a worker takes no more files: the next one does."""


def read(path: Path, ending: str) -> Read:
    """A file as pages. Raises: Unread."""
    with path.open("rb") as file:
        head = file.read(5)
    if ending == "pdf" or head == b"%PDF-":
        found, blank, total = office.pdf(path)
        return scans.pages(path, found, blank, total)
    if ending in office.SHEETS:
        return office.sheet(path, ending)
    if ending in office.SLIDES:
        return office.slides(path)
    if ending in office.OTHERS:
        return office.other(path, ending)
    if ending in scans.ENDINGS:
        return scans.picture(path)
    if ending in speech.ENDINGS:
        return speech.heard(path)
    with path.open("rb") as file:
        raw = file.read(MAX_TEXT + 4)
    note = f"only its first {MAX_TEXT >> 20} MB" if len(raw) > MAX_TEXT else ""
    found = _text(path, ending, raw[:MAX_TEXT])
    return Read(found.kind, found.pages, "; ".join(n for n in (found.note, note) if n))


def _text(path: Path, ending: str, raw: bytes) -> Read:
    if ending in ("html", "htm", "xhtml"):
        return office.site(path, raw)
    if ending in ("py", "pyi", "pyw") or ending in code.ENDINGS:
        text, note = plain.text_of(raw)
        cut = code.python if ending.startswith("py") else code.blocks
        return Read("code", cut(text), note)
    return plain.read_text(raw, ending)


def bounded(found: Read) -> Read:
    """Cut to what one file may say."""
    left, kept = MAX_TEXT, list[Page]()
    for page in found.pages[:MAX_PAGES]:
        text = page.text[:left].encode("utf-8", "replace").decode()
        left -= len(page.text)
        kept.append(Page(text, page.place[:200], page.line, page.shape))
        if left <= 0:
            break
    short = len(kept) < len(found.pages) or left < 0
    more = f"only the first {MAX_TEXT >> 20} MB of its text" if short else ""
    note = "; ".join(n for n in (found.note, more) if n)
    return replace(found, pages=tuple(kept), note=note)


def answer(name: str) -> dict[str, Any]:
    """One file's answer."""
    path = IN / name
    try:
        return {"file": name, **bounded(read(path, path.suffix[1:])).plain()}
    except Unread as e:
        return {"file": name, "error": str(e)}
    except MemoryError:
        return {"file": name, "error": "it takes too much memory"}
    except Exception as e:  # noqa: BLE001 - a border: parsers raise anything, and one file is one line
        return {"file": name, "error": f"it can't be read ({type(e).__name__})"}


def main() -> None:
    """Answer until the names or the room are used up."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    room, began = MAX_TEXT, time.perf_counter()
    for name in json.load(sys.stdin):
        out.write(json.dumps({"begin": name}) + "\n")
        out.flush()
        line = json.dumps(answer(name), ensure_ascii=False) + "\n"
        out.write(line)
        out.flush()
        room -= len(line)
        if room <= 0 or time.perf_counter() - began > LONG:
            return


if __name__ == "__main__":
    main()
