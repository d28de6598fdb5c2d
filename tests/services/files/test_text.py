import os
import tempfile
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oros.services.files.text import MIN_PAGE, Nature, decode, page, sniff

ENCODINGS = ["utf-8", "utf-16-le", "utf-16-be"]


def pages(raw: bytes, encoding: str, limit: int, start: int = 0):
    with tempfile.TemporaryFile() as file:
        file.write(raw)
        file.flush()
        at: int | None = start
        while at is not None:
            found = page(file.fileno(), len(raw), encoding, at, limit)
            yield found
            at = found.next


@given(st.text(max_size=300), st.sampled_from(ENCODINGS), st.integers(MIN_PAGE, 60))
@settings(deadline=None, max_examples=150)
def test_pages_split_no_character_and_lose_none(text, encoding, limit) -> None:
    text = text.removeprefix("\ufeff").replace("\0", "")
    raw = text.encode(encoding, "surrogatepass" if encoding != "utf-8" else "strict")
    found = list(pages(raw, encoding, limit))
    assert all(p.encoding == encoding for p in found)
    assert "".join(p.text for p in found).replace("\ufeff", "") == text.replace("\ufeff", "")


@given(st.binary(max_size=400), st.integers(1, 60), st.integers(0, 400))
@settings(deadline=None, max_examples=150)
def test_pages_of_any_bytes_tile_the_file(raw, limit, start) -> None:
    found = list(pages(raw, "utf-8", limit, start))
    assert max(0, min(start, len(raw)) - found[0].start) <= 3
    for one, other in pairwise(found):
        assert one.next == other.start
        assert other.start > one.start
    assert found[-1].next is None


@pytest.mark.parametrize(
    ("raw", "kind"),
    [(b"", "text"), (b"hello\n", "text"), ("é".encode(), "text"), (b"caf\xe9", "text"),
     (b"\x1b[31mred\x1b[0m\n", "text"), (b"\xef\xbb\xbfhi", "text"),
     ("hé".encode("utf-16"), "text"), ("hello there".encode("utf-16-le"), "text"),
     ("hello there".encode("utf-16-be"), "text"), (b"\x89PNG\r\n\x1a\n\0\0", "png"),
     (b"%PDF-1.7\nabc", "pdf"), (b"\x1f\x8b\x08\0\0", "gzip"), (b"\x7fELF\2\1\1\0", "elf"),
     (b"SQLite format 3\0", "sqlite"), (b"PK\x03\x04\x14\0", "zip"), (b"\0" * 20, "data"),
     (bytes(range(1, 32)) * 3, "data"), (b"BZh is a text", "text"), (b"RIFF\0\0\0\0WEBP", "webp")],
)  # fmt: skip
def test_kinds(raw, kind) -> None:
    assert sniff(raw).kind == kind


def test_random_bytes_are_no_text() -> None:
    assert all(not sniff(os.urandom(2000)).encoding for _ in range(50))


def test_encodings() -> None:
    assert sniff("hé".encode("utf-16")) == Nature("text", "utf-16-le")
    assert decode("\ufeffhé".encode(), "utf-8") == ("hé", "utf-8")
    assert decode(b"caf\xe9", "utf-8") == ("café", "latin-1")
    assert decode("日本".encode() + b"\xff", "utf-8") == ("日本�", "utf-8, damaged")
    assert decode(b"a\0b", "utf-8") == ("a␀b", "utf-8")
