"""Pictures of text: read where something here can see, else one line says what is missing."""

import importlib.util
from pathlib import Path

import pytest
from tests.services.index import samples

from oros.abi.labels import Integrity, Label
from oros.services.files import marks
from oros.services.index.inside import scans
from oros.services.index.inside.page import Page, Read, Unread

needs_files = pytest.mark.skipif(
    importlib.util.find_spec("kreuzberg") is None, reason="needs the extra `files`"
)
WEB = Label(Integrity.THIRD, None, frozenset({"web:x.example"}))
sees = scans._languages() or importlib.util.find_spec("rapidocr")


def picture(path: Path, text: str) -> None:
    from PIL import Image, ImageDraw, ImageFont

    made = Image.new("RGB", (900, 160), "white")
    font = ImageFont.load_default(size=44)
    ImageDraw.Draw(made).text((30, 50), text, fill="black", font=font)
    made.save(path)


def scanned(path: Path, pictures: list[Path]) -> None:
    import fpdf

    made = fpdf.FPDF()
    for found in pictures:
        made.add_page()
        made.image(str(found), x=10, y=20, w=180)
    made.output(str(path))


@needs_files
@pytest.mark.skipif(not sees, reason="needs the extra `ocr` or tesseract")
def test_a_picture_and_a_scan_are_read(house, tmp_path):
    picture(house.top / "a.png", "Invoice 48213")
    marks.put(house.top / "a.png", WEB)
    picture(tmp_path / "b.png", "Total 1995 EUR")
    scanned(house.top / "b.pdf", [tmp_path / "b.png"])
    status = house.index()
    assert status["failed"] == 0, status
    (hit,) = house.search("48213", limit=1)
    assert (hit["path"], hit["place"]) == ("a.png", "picture")
    (hit,) = house.search("1995", limit=1)
    assert (hit["path"], hit["place"]) == ("b.pdf", "page 1")
    rows = house.store.rows(house.indexer.scope)
    assert {k.row.label.integrity for k in rows} == {0}
    assert all(("web:x.example" in k.row.label.origins) == (k.source == "a.png") for k in rows)
    assert "web:x.example" in house.label("48213").origins


@needs_files
@pytest.mark.skipif(bool(sees), reason="there is something here that can see")
def test_without_ocr_one_line_says_so(house, tmp_path):
    for n in range(7):
        picture(house.top / f"{n}.png", str(n))
    scanned(house.top / "b.pdf", [house.top / "1.png"])
    status = house.index()
    assert status["failures"] == [f"0.png and 6 others: {scans.NEEDS}"]
    assert status["notes"] == [f"b.pdf: 1 of 1 pages hold no text: {scans.NEEDS}"]


@needs_files
def test_only_the_first_pages_of_a_long_scan(tmp_path, monkeypatch):
    """The eyes are replaced for their speed; pages are drawn for real."""
    path = tmp_path / "long.pdf"
    samples.pdf(path, ["drawn"] * 30)
    seen = list[Path]()
    monkeypatch.setattr(scans, "_seen", lambda shot: seen.append(shot) or "words")
    blank = list(range(2, 31))
    found = scans.pages(path, Read("pdf", (Page("text", "page 1"),)), blank, 30)
    assert [p.place for p in found.pages] == [f"page {n}" for n in range(1, scans.MOST + 2)]
    assert found.note == "29 of 30 pages are scans: only the first 20 were looked at"
    assert len(seen) == scans.MOST

    def blind(shot: Path) -> str:
        raise Unread(scans.NEEDS)

    monkeypatch.setattr(scans, "_seen", blind)
    found = scans.pages(path, Read("pdf"), blank, 30)
    assert found.note == f"29 of 30 pages hold no text: {scans.NEEDS}"
