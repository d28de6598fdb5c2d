"""Copies of files under names of ours, for the worker to read: with their hashes, and no other's.

The copy is what is hashed and what is read, so a file that changes meanwhile is never half old.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from oros.services.files.text import SAMPLE, sniff
from oros.services.index.inside import speech

BLOCK = 1 << 20


@dataclass(slots=True)
class Stage:
    """A folder of copies."""

    folder: Path
    hashes: dict[str, str] = field(default_factory=dict)

    def take(self, fd: int, ending: str, most: int) -> str:
        """Copy an open file; its name here. Raises: OSError; ValueError over `most` bytes."""
        name = f"{len(self.hashes)}.{ending}" if ending else str(len(self.hashes))
        with (self.folder / name).open("wb") as copy:
            self.hashes[name] = digest(fd, ending, most, copy.write)
        return name


def digest(
    fd: int, ending: str, most: int, also: Callable[[bytes], object] = lambda _: None
) -> str:
    """The hash of an open file, and its ending; `also` gets what is hashed.

    Raises: OSError; ValueError over `most` bytes.
    """
    found, size = hashlib.blake2b(digest_size=16), 0
    while block := os.pread(fd, BLOCK, size):
        size += len(block)
        if size > most:
            raise ValueError(f"over {most} bytes")
        found.update(block)
        also(block)
    return f"{found.hexdigest()}.{ending}"


@contextmanager
def staged(above: Path) -> Iterator[Stage]:
    """A stage below `above`; gone at the end, as are those that a killed machine left."""
    above.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=above))
    try:
        yield Stage(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep(above: Path) -> None:
    """Remove what a killed machine left; call it before the first stage."""
    for left in above.glob("*-*") if above.is_dir() else ():
        shutil.rmtree(left, ignore_errors=True)


def called(path: str, fd: int) -> str:
    """The ending by which an open file is read: its own, or that of the sound that it holds."""
    ending, kind = ending_of(path), sniff(os.pread(fd, SAMPLE, 0)).kind
    return kind if kind in speech.KINDS and ending not in speech.ENDINGS else ending


def ending_of(path: str) -> str:
    """A file's ending as the worker needs it: a few plain letters, or ""."""
    _, dot, ending = path.rpartition("/")[2].rpartition(".")
    ending = ending.lower()
    return ending if dot and ending.isascii() and ending.isalnum() and len(ending) <= 12 else ""
