"""A folder with documents as a process sees it: pages of text by `read`, hits by `search`."""

import importlib.util

import pytest
from tests.services.index import samples

from oros.abi.labels import Integrity

needs_files = pytest.mark.skipif(
    importlib.util.find_spec("kreuzberg") is None, reason="needs the extra `files`"
)


@needs_files
def test_a_document_is_read_in_pages_that_lose_nothing(house):
    samples.pdf(house.top / "a.pdf", [f"page number {n} says ä{n}" for n in range(1, 6)])
    whole = house.read("a.pdf")
    text = whole.parts[0].text
    assert text.startswith("[page 1]\npage number 1 says ä1")
    assert whole.value["document"] == "pdf"
    assert whole.value["size"] == len(text.encode())
    assert whole.label.integrity is Integrity.THIRD
    assert any(o.endswith("a.pdf") for o in whole.label.origins)
    at, pieces = 0, []
    while at is not None:
        part = house.read("a.pdf", at, 17)
        pieces.append(part.parts[0].text)
        at = part.value["next"]
    assert "".join(pieces) == text
    assert house.reader.runs == 1  # the rest came from the cache


@needs_files
def test_what_is_no_document_or_broken_says_so(house):
    samples.pdf(house.top / "locked.pdf", ["hidden"], password="x")
    (house.top / "data.bin").write_bytes(bytes(range(256)) * 20)
    (house.top / "a.txt").write_text("plain")
    locked = house.read("locked.pdf")
    assert locked.value["kind"] == "pdf"
    assert locked.value["why"] == "it is locked with a password"
    assert not locked.parts
    data = house.read("data.bin")
    assert (data.value["kind"], data.parts) == ("data", ())
    assert "why" not in data.value
    assert house.read("a.txt").parts[0].text == "plain"


@needs_files
def test_search_joins_lines_cells_and_rows(house):
    (house.top / "deep").mkdir()
    (house.top / "a.txt").write_text("nothing\nhoney is sweet\n")
    samples.xlsx(house.top / "deep/b.xlsx", {"S": [["food", "price"], ["honey", 5]]})
    samples.docx(house.top / "c.docx", [("Bees", ["Bees make sweet food from flowers."])])
    before = house.search("honey")
    assert [(h["path"], h["place"]) for h in before] == [("a.txt", "line 2")]
    house.index()
    hits = house.search("honey")
    assert [(h["path"], h["place"]) for h in hits[:2]] == [
        ("a.txt", "line 2"), ("deep/b.xlsx", "S!A2"),
    ]  # fmt: skip
    assert [h["path"] for h in house.search("honey", path="deep")] == ["deep/b.xlsx", "deep/b.xlsx"]
    ranked = house.search("who makes food from flowers")
    assert (ranked[0]["path"], ranked[0]["place"]) == ("c.docx", "Bees")
    assert [h["score"] for h in hits] == sorted((h["score"] for h in hits), reverse=True)
    assert len(house.search("honey food sweet", limit=2)) == 2


def test_an_index_that_is_not_ready_says_so(house):
    import asyncio

    from oros.abi.labels import USER
    from oros.abi.ports import Caller

    who = Caller(7, "k", USER)
    value = asyncio.run(house.folder.search(who, "", "x", 5)).value
    assert value["index"].startswith("new")
    house.index()
    assert "index" not in asyncio.run(house.folder.search(who, "", "x", 5)).value
