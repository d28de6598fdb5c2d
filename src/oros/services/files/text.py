"""Tells text from binary, finds its encoding, and cuts a file in pages that split no character."""

import codecs
import os
from dataclasses import dataclass

SAMPLE = 8192
"""Bytes at a file's start that decide what it is."""
MIN_PAGE, MAX_PAGE = 16, 1 << 20

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", "png"),
    (0, b"\xff\xd8\xff", "jpeg"),
    (0, b"GIF8", "gif"),
    (8, b"WEBP", "webp"),
    (8, b"WAVE", "wav"),
    (4, b"ftyp", "mp4"),
    (0, b"ID3", "mp3"),
    (0, b"OggS", "ogg"),
    (0, b"fLaC", "flac"),
    (0, b"\x1aE\xdf\xa3", "matroska"),
    (0, b"%PDF-", "pdf"),
    (0, b"\x1f\x8b", "gzip"),
    (0, b"PK\x03\x04", "zip"),
    (0, b"BZh", "bzip2"),
    (0, b"\xfd7zXZ\0", "xz"),
    (0, b"\x28\xb5\x2f\xfd", "zstd"),
    (0, b"7z\xbc\xaf\x27\x1c", "7z"),
    (257, b"ustar", "tar"),
    (0, b"\x7fELF", "elf"),
    (0, b"\0asm", "wasm"),
    (0, b"SQLite format 3\0", "sqlite"),
    (0, b"PAR1", "parquet"),
    (0, b"ARROW1", "arrow"),
    (0, b"\x89HDF", "hdf5"),
    (0, b"\x93NUMPY", "npy"),
    (0, b"GGUF", "gguf"),
)
# Control characters that text files hold: tab, newlines, form feed, backspace, escape.
_CONTROL = bytes(c for c in range(32) if c not in b"\t\n\r\f\b\x1b\0")
_CONTROL_SHARE = 0.05  # random bytes have 0.10


@dataclass(frozen=True, slots=True)
class Nature:
    """What a file is: text in an `encoding`, or binary (encoding "") of a `kind`."""

    kind: str
    encoding: str = ""


def sniff(sample: bytes) -> Nature:
    """Judge a file by its first bytes. "data" is binary of no known kind."""
    for bom, encoding in _BOMS:
        # FF FE 00 00 begins UTF-32, which nobody writes files in: binary.
        if sample.startswith(bom) and not sample.startswith(codecs.BOM_UTF32_LE):
            return Nature("text", encoding)
    if sample.startswith(b"%PDF-"):
        return Nature("pdf")
    if b"\0" not in sample:
        controls = len(sample) - len(sample.translate(None, _CONTROL))
        if controls <= len(sample) * _CONTROL_SHARE:
            return Nature("text", "utf-8")
    known = next((kind for at, mark, kind in _MAGIC if sample.startswith(mark, at)), "")
    if not known and (encoding := _bare_utf16(sample)):
        return Nature("text", encoding)
    return Nature(known or "data")


def _bare_utf16(sample: bytes) -> str:
    """UTF-16 without a mark: western text has a zero in every second byte."""
    half = len(sample) // 2
    if half < 4:
        return ""
    even, odd = sample[::2].count(0) / half, sample[1::2].count(0) / half
    if odd > 0.4 and even < 0.05:
        return "utf-16-le"
    return "utf-16-be" if even > 0.4 and odd < 0.05 else ""


def decode(raw: bytes, encoding: str) -> tuple[str, str]:
    """Decode whole characters; never fails. Returns the text and how it was read.

    Bytes that are no UTF-8 are Latin-1, unless other characters in them are good UTF-8: then
    the bad ones are marked with U+FFFD. A mark of the encoding at the start is left away.
    """
    if encoding == "utf-8":
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError:
            if raw.decode("utf-8", "ignore").isascii():
                text, encoding = raw.decode("latin-1"), "latin-1"
            else:
                text, encoding = raw.decode("utf-8", "replace"), "utf-8, damaged"
    else:
        text = raw.decode(encoding, "replace")
    return text.removeprefix("\ufeff").replace("\0", "␀"), encoding


@dataclass(frozen=True, slots=True)
class Page:
    """Text of the bytes `start` to `next` of a file; `next` is None at its end."""

    text: str
    encoding: str
    start: int
    next: int | None


def page(fd: int, size: int, encoding: str, offset: int, limit: int) -> Page:
    """Read about `limit` bytes from `offset`, moved down to the borders of characters.

    The pages of a file that is read with each `next` as the offset hold each byte once.
    """
    limit = min(max(limit, MIN_PAGE), MAX_PAGE)
    offset = min(offset, size)
    first = max(0, offset - 4) & ~1
    raw = os.pread(fd, limit + 16, first)
    start = _border(raw, offset - first, encoding)
    stop = min(start + limit, len(raw))
    if stop < len(raw):
        stop = _border(raw, stop, encoding)
    text, how = decode(raw[start:stop], encoding)
    end = first + stop
    return Page(text, how, first + start, end if stop > start and end < size else None)


def _border(raw: bytes, at: int, encoding: str) -> int:
    """The start of the character that byte `at` is in; `at` itself if the bytes are no text."""
    if at >= len(raw):
        return at
    if encoding != "utf-8":
        at &= ~1
        high = raw[at + 1 : at + 2] if encoding == "utf-16-le" else raw[at : at + 1]
        is_second = bool(high) and 0xDC <= high[0] <= 0xDF
        return at - 2 if is_second and at >= 2 else at
    for back in range(min(4, at + 1)):
        if raw[at - back] & 0xC0 != 0x80:
            return at - back
    return at
