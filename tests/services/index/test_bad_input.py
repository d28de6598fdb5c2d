"""Files that are broken, hostile or huge: one clear line each, and the others are indexed."""

import importlib.util
import os
import random

import pytest
from tests.services.index import samples

needs_files = pytest.mark.skipif(
    importlib.util.find_spec("kreuzberg") is None, reason="needs the extra `files`"
)


def failures(status: dict) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in status["failures"])


@needs_files
def test_locked_damaged_and_bombs_have_a_line_each(house):
    top = house.top
    samples.pdf(top / "locked.pdf", ["hidden"], password="secret")
    samples.archive(top / "locked.zip", {"a.txt": b"hidden"}, locked=True)
    encrypted = "EncryptedPackage".encode("utf-16-le")
    (top / "locked.docx").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600 + encrypted)
    samples.pdf(top / "whole.pdf", ["a good page"] * 3)
    (top / "cut.pdf").write_bytes((top / "whole.pdf").read_bytes()[:900])
    samples.docx(top / "whole.docx", [("H", ["a good paragraph"])])
    (top / "cut.docx").write_bytes((top / "whole.docx").read_bytes()[:9000])
    samples.archive(top / "bomb.zip", {"zeros": b"\0" * (256 << 20)})
    (top / "random.xlsx").write_bytes(random.Random(1).randbytes(4000))
    (top / "zero.pdf").touch()
    status = house.index()
    assert status["state"] == "ready"
    found = failures(status)
    for name in ("locked.pdf", "locked.zip", "locked.docx"):
        assert found.pop(name) == "it is locked with a password"
    assert "unpack to far more" in found.pop("bomb.zip")
    assert found.pop("zero.pdf") == "it is empty"
    for name in ("cut.pdf", "cut.docx", "random.xlsx"):
        assert found.pop(name).startswith("it is damaged, or not what its name says")
    assert not found
    assert {source for source, *_ in house.rows()} == {"whole.pdf", "whole.docx"}
    ran = house.reader.runs
    house.again()
    again = house.index()
    assert failures(again) == failures(status)
    assert (house.reader.runs, ran) == (0, 1)  # one worker read them all, and none again


@needs_files
def test_wrong_endings(house):
    top = house.top
    samples.pdf(top / "really-a-pdf.txt", ["the text of a pdf"])
    (top / "really-text.pdf").write_text("only text")
    (top / "picture.txt").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)))
    (top / "no-python.py").write_text("def broken(:\n    it is not\n")
    status = house.index()
    assert list(failures(status)) == ["really-text.pdf"]
    assert {source for source, *_ in house.rows()} == {"really-a-pdf.txt", "no-python.py"}


def test_huge_and_empty_files_are_not_read(house):
    for name in ("sparse.txt", "sparse.pdf"):
        with (house.top / name).open("wb") as file:
            file.truncate(2 << 30)
    (house.top / "empty.txt").touch()
    (house.top / "empty.md").write_text("\n\n")
    found = failures(house.index())
    assert found == {
        "sparse.txt": "it is larger than 64 MB",
        "sparse.pdf": "it is larger than 256 MB",
    }
    assert house.rows() == []


def test_broken_encodings(house):
    (house.top / "latin.txt").write_bytes("Käse für alle".encode("latin-1"))
    (house.top / "utf16.txt").write_bytes("Größe zählt".encode("utf-16"))
    (house.top / "damaged.txt").write_bytes("größe ".encode() + b"\xff\xfe " + b"rest")
    status = house.index()
    assert status["failed"] == 0, status
    texts = {source: text for source, _, text in house.rows()}
    assert texts["latin.txt"] == "Käse für alle"
    assert texts["utf16.txt"] == "Größe zählt"
    assert texts["damaged.txt"].startswith("größe \ufffd")
    assert status["notes"] == [
        "damaged.txt: its encoding is damaged: the bad characters are marked"
    ]


def test_a_text_that_is_too_long_is_indexed_in_part(house):
    with (house.top / "long.log").open("w") as file:
        for n in range(170_000):
            file.write(f"entry {n} of a log that has no end, as it is said of logs\n")
    status = house.index()
    assert status["notes"] == ["long.log: only its first 8 MB"]
    assert house.search("entry 4 of a log")[0]["line"] == 5


def test_deep_nesting_and_long_lines(house):
    (house.top / "deep.py").write_text("(" * 100_000 + ")" * 100_000)
    (house.top / "deep.ipynb").write_text("[" * 200_000)
    (house.top / "line.txt").write_text("word " * 100_000)
    (house.top / "cells.csv").write_text('"' * 99_999 + "\n" + "," * 50_000)
    status = house.index()
    assert list(failures(status)) == ["deep.ipynb"]
    assert all(len(text) < 4000 for *_, text in house.rows())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open every file")
def test_a_file_that_is_not_ours_is_named(house):
    (house.top / "closed.txt").write_text("closed")
    (house.top / "closed.txt").chmod(0)
    assert "can't be opened" in failures(house.index())["closed.txt"]


@needs_files
def test_five_hundred_pages_without_text(house):
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]>>"
    objects = [b"<</Type/Catalog/Pages 2 0 R>>"]
    kids = b" ".join(b"%d 0 R" % (n + 3) for n in range(500))
    objects += [b"<</Type/Pages/Count 500/Kids[" + kids + b"]>>", *([page] * 500)]
    body, places = b"%PDF-1.4\n", []
    for n, text in enumerate(objects, 1):
        places.append(len(body))
        body += b"%d 0 obj\n" % n + text + b"\nendobj\n"
    start = len(body)
    body += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    body += b"".join(b"%010d 00000 n \n" % at for at in places)
    body += b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, start)
    (house.top / "scan.pdf").write_bytes(body)
    status = house.index()
    assert status["failed"] == 0, status
    (note,) = status["notes"]
    assert note.startswith("scan.pdf: 500 of 500 pages")
