"""Documents by kreuzberg: PDF, Office, mail, e-books, archives; web pages by trafilatura.

Both are of the extra `files`. What they lack is added: the slides of a presentation, the cells of a
sheet. They parse what anybody may have made, which is why this runs in the sandbox only.
"""

import re
import zipfile
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from oros.services.index.inside.page import Page, Read, Unread
from oros.services.index.inside.plain import flat, markdown, text_of, web

_SHEETS = """xlsx xlsm xls xlsb ods xltx"""
SHEETS = frozenset(_SHEETS.split())
_SLIDES = """pptx pptm ppsx potx"""
SLIDES = frozenset(_SLIDES.split())
_OTHERS = """docx doc dotx docm odt rtf epub eml msg fb2 odp ppt pst
zip tar gz tgz bz2 7z"""
OTHERS = frozenset(_OTHERS.split())
ARCHIVES = frozenset({"zip", "tar", "gz", "tgz", "bz2", "7z"})
MAX_PART = 64 << 20
"""Bytes of one part of a zipped document that are read here."""
_CELL = re.compile(rb'<c [^>]*?r="([A-Z]{1,3})(\d{1,7})"[^>]*?(/?)>')
_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
NEEDS = "it needs the extra `files`: pip install 'oros[files]'"


def extract(path: Path, mime: str | None = None) -> Any:
    """What kreuzberg makes of a file. Raises: Unread, with one line."""
    try:
        from kreuzberg import ExtractionConfig, PageConfig, extract_file_sync
        from kreuzberg.exceptions import KreuzbergError
    except ImportError as e:
        raise Unread(NEEDS) from e
    pages = PageConfig(extract_pages=True)
    config = ExtractionConfig(pages=pages, use_cache=False, output_format="markdown")
    try:
        return extract_file_sync(path, mime_type=mime, config=config)
    except KreuzbergError as e:
        raise Unread(why(str(e), path)) from e
    except (ValueError, RuntimeError, OSError) as e:
        raise Unread(why(str(e), path)) from e


def why(said: str, path: Path) -> str:
    """A parser's complaint as one line that a person understands."""
    low = said.lower()
    if "password" in low or "encrypted" in low or locked(path):
        return "it is locked with a password"
    if "bomb" in low or "security limit" in low or "exceeds limit" in low:
        return "it would unpack to far more than it is: left alone"
    if path.stat().st_size == 0:
        return "it is empty"
    reason = said.split("\n", 1)[0].rpartition(": ")[2].strip()[:120]
    return f"it is damaged, or not what its name says ({reason})"


def locked(path: Path) -> bool:
    """Whether an archive's entries, or an Office file as a whole, are encrypted."""
    with path.open("rb") as file:
        head = file.read(8)
    if head == b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1":  # a compound file: encrypted OOXML is one
        return "EncryptedPackage".encode("utf-16-le") in path.read_bytes()
    try:
        with zipfile.ZipFile(path) as archive:
            return any(item.flag_bits & 1 for item in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return False


def pdf(path: Path) -> tuple[Read, list[int], int]:
    """A PDF by pages; the numbers of those that hold no text; how many there are."""
    found = extract(path, "application/pdf")
    texts = [(int(p["page_number"]), str(p["content"] or "")) for p in found.pages or ()]
    texts = texts or [(1, found.content)]
    full = tuple(Page(lines(text), f"page {n}") for n, text in texts if text.strip())
    return Read("pdf", full), [n for n, text in texts if not text.strip()], len(texts)


def lines(text: str) -> str:
    """Text with one kind of newline."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def sheet(path: Path, ending: str) -> Read:
    """A workbook, a page for each sheet, with the cell that it starts at."""
    found = extract(path)
    meta = found.metadata if isinstance(found.metadata, dict) else {}
    names = [str(n) for n in meta.get("sheet_names") or ()]
    corners = list(_corners(path)) if ending in ("xlsx", "xlsm", "xltx") else []
    pages = []
    for n, grid in enumerate(found.tables or ()):
        at = int(getattr(grid, "page_number", 0) or n + 1) - 1
        name = names[at] if 0 <= at < len(names) else f"Sheet{at + 1}"
        corner = corners[at] if 0 <= at < len(corners) else "A1"
        rows = ("\t".join(map(flat, row)) for row in grid.cells)
        pages.append(Page("\n".join(rows), f"{name}!{corner}", shape="cells"))
    if not pages and found.content.strip():
        pages = [Page(lines(found.content))]
    return Read("sheet", tuple(pages))


def _corners(path: Path) -> Iterator[str]:
    """The first cell of each sheet: the least column and row of those that hold something."""
    for body in _parts(path, "xl/worksheets/sheet"):
        cells = [(m[1], int(m[2])) for m in _CELL.finditer(body) if not m[3]]
        first = min((c for c, _ in cells), key=lambda c: (len(c), c), default=b"A")
        yield f"{first.decode()}{min((r for _, r in cells), default=1)}"


def _parts(path: Path, prefix: str) -> Iterator[bytes]:
    """Numbered parts of an Office file, in order; one that is too large is empty."""
    number = re.compile(re.escape(prefix) + r"(\d{1,5})\.xml")
    with zipfile.ZipFile(path) as archive:
        found = [(int(m[1]), i) for i in archive.infolist() if (m := number.fullmatch(i.filename))]
        for _, item in sorted(found, key=lambda f: f[0]):
            with archive.open(item) as part:
                body = part.read(MAX_PART + 1)
            yield body if len(body) <= MAX_PART else b""


def slides(path: Path) -> Read:
    """A presentation by slides, with the notes of the speaker."""
    found = extract(path)  # it checks the archive; and its text is a help if ours fails
    try:
        bodies, notes = (
            [list(_paragraphs(b)) for b in _parts(path, f"ppt/{kind}")]
            for kind in ("slides/slide", "notesSlides/notesSlide")
        )
    except (zipfile.BadZipFile, ElementTree.ParseError, OSError, ValueError):
        return Read("slides", markdown(lines(found.content), counted=False))
    none: list[str] = []
    same = notes if len(notes) == len(bodies) else []
    texts = ["\n".join([*b, *n]) for b, n in zip_longest(bodies, same, fillvalue=none)]
    pages = (Page(text, f"slide {n}") for n, text in enumerate(texts, 1) if text.strip())
    return Read("slides", tuple(pages))


def _paragraphs(body: bytes) -> Iterator[str]:
    for node in ElementTree.fromstring(body).iter(f"{_A}p") if body else ():  # noqa: S314 - expat refuses bombs, and we are in the sandbox
        if text := "".join(t.text or "" for t in node.iter(f"{_A}t")).strip():
            yield text


def other(path: Path, ending: str) -> Read:
    """Any other document, by its headings."""
    if ending in ARCHIVES and locked(path):
        raise Unread("it is locked with a password")
    found = extract(path)
    text = lines(found.content or "")
    if ending in ARCHIVES:
        return Read("archive", (Page(text, "contents"),) if text.strip() else ())
    if ending in ("eml", "msg"):
        return Read("mail", (Page(text.replace("**", ""), "message"),))
    return Read("document", markdown(text, counted=False))


def site(path: Path, raw: bytes) -> Read:
    """A web page: its main content, without what stands around it."""
    text, note = text_of(raw)
    body: str | None = None
    try:
        import trafilatura

        body = trafilatura.extract(text, output_format="markdown", include_tables=True)
    except ImportError:
        pass
    except (ValueError, TypeError, AttributeError, RecursionError):
        body = None  # it stumbles over some damaged pages
    if body and body.strip():
        return Read("web", markdown(body, counted=False), note)
    try:
        return Read("web", markdown(lines(extract(path).content), counted=False), note)
    except Unread:
        return Read("web", web(text), note)
