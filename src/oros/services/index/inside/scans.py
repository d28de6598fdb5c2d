"""Pictures and scanned pages to text: by tesseract's data if the machine has it, else RapidOCR."""

import os
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from oros.services.index.inside.page import Page, Read, Unread

_ENDINGS = """png jpg jpeg tif tiff bmp webp gif"""
ENDINGS = frozenset(_ENDINGS.split())
MOST = 20
"""Pages of one document that are looked at; each takes seconds."""
DPI = 150
NEEDS = "a picture of text needs tesseract, or pip install 'oros[ocr]'"
_DATA = "/usr/share/tesseract-ocr/*/tessdata", "/usr/share/tessdata"


def tessdata() -> tuple[str, str]:
    """The folder of the tesseract data here, and its languages; "" without any."""
    for pattern in _DATA:
        for folder in sorted(Path("/").glob(pattern.lstrip("/"))):
            found = sorted(p.stem for p in folder.glob("*.traineddata") if p.stem != "osd")
            if found:
                return str(folder), "+".join(found[:4])
    return "", ""


@cache
def _languages() -> str:
    """The languages that are looked for, "" where there is no tesseract data."""
    folder, found = tessdata()
    if found:
        os.environ["TESSDATA_PREFIX"] = folder
    return found


@cache
def _rapid() -> Any:
    try:
        from rapidocr import RapidOCR
    except ImportError as e:
        raise Unread(NEEDS) from e
    return RapidOCR(params={"Global.log_level": "error"})


def _seen(path: Path, mime: str | None = None) -> str:
    """The text in a picture. Raises: Unread."""
    if _languages():
        from kreuzberg import ExtractionConfig, OcrConfig, extract_file_sync
        from kreuzberg.exceptions import KreuzbergError

        ocr = OcrConfig(backend="tesseract", language=_languages())
        try:
            config = ExtractionConfig(ocr=ocr, use_cache=False)
            return extract_file_sync(path, mime_type=mime, config=config).content
        except (KreuzbergError, ImportError, ValueError, RuntimeError, OSError) as e:
            raise Unread("the picture can't be read: it is damaged") from e
    engine = _rapid()
    try:
        found = engine(str(path))
    except Exception as e:  # its loaders raise errors of their own, and plain ones
        raise Unread(f"the picture can't be read ({type(e).__name__})") from e
    return "\n".join(found.txts or ())


def picture(path: Path) -> Read:
    """The text of a picture. Raises: Unread when nothing here can see it."""
    text = _seen(path)
    return Read("picture", (Page(text, "picture"),) if text.strip() else ())


def pages(path: Path, read: Read, blank: list[int], total: int) -> Read:
    """A PDF with the text of its scanned pages, the first `MOST` of them."""
    if not blank:
        return read
    made, note = list(read.pages), ""
    few = blank[:MOST]
    try:
        from kreuzberg import render_pdf_page

        with tempfile.TemporaryDirectory() as folder:
            shot = Path(folder) / "page.png"
            for number in few:
                shot.write_bytes(render_pdf_page(path, number - 1, dpi=DPI))
                if text := _seen(shot).strip():
                    made.append(Page(text, f"page {number}"))
    except Unread as e:
        note = f"{len(blank)} of {total} pages hold no text: {e}"
    else:
        if len(blank) > MOST:
            note = f"{len(blank)} of {total} pages are scans: only the first {MOST} were looked at"
    made.sort(key=lambda p: int(p.place.rpartition(" ")[2]))
    return Read(read.kind, tuple(made), note)
