"""Documents of any folder as text: what `read` shows of a PDF, a sheet, a mail, an e-book."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from oros.abi.errors import OrosError
from oros.services.index.cache import Cache
from oros.services.index.extract import BRIEF, HEARING, Answer, Reader, sounds
from oros.services.index.inside.page import Page, Read
from oros.services.index.inside.speech import SILENT, Ear, clock
from oros.services.index.stage import Stage, called, digest, staged, sweep
from oros.services.threads import threaded

MAX_DOCUMENT = 256 << 20
LEAST = 1.0
"""Seconds that a recording is heard on each time, at least."""
PLAIN = frozenset({"text", "code", "markdown", "table"})
"""Kinds whose text is the file itself."""


class Documents:
    """The one way from files to their pages: cached by content, else read in the sandbox.

    There are two workers at most, one for whoever indexes, one for a document that somebody reads;
    and as many for recordings, which take minutes.
    """

    def __init__(self, reader: Reader, home: Path) -> None:
        """`home`: a private folder for copies and the cache."""
        self.reader = reader
        self.place = home / "stage"
        self.cache = Cache(home / "documents.db")
        self._locks = [[asyncio.Lock() for _ in range(2)] for _ in range(2)]
        sweep(self.place)

    def close(self) -> None:
        """Let go of the cache."""
        self.cache.close()

    async def read(
        self, stage: Stage, names: Sequence[str], *, bulk: bool = True
    ) -> dict[str, Answer]:
        """The pages of staged files, of one at least; call it again for the rest.

        With `bulk` recordings are heard to their end; without it, some of one for a reader.
        Raises: NotEnforced, DeviceFailed of the sandbox.
        """
        found = dict[str, Answer]()
        for name in names:
            known = await threaded(partial(self.known, stage.hashes[name]))
            if known is not None and not unfinished(known):
                found[name] = known
        if missing := [n for n in names if n not in found]:
            missing = [n for n in missing if not sounds(n)] or missing
            first = {stage.hashes[n]: n for n in reversed(missing)}  # equal ones are read once
            todo = [*first.values()][::-1]
            read = await self._read(stage, todo, {}, bulk=bulk)
            while bulk and read and all(map(unfinished, read.values())):
                read = await self._read(stage, todo, read, bulk=bulk)
            alike = {n: first[stage.hashes[n]] for n in missing}
            new = {n: read[a] for n, a in alike.items() if a in read}
            found |= {n: a for n, a in new.items() if not (bulk and unfinished(a))}
        return found

    async def _read(
        self, stage: Stage, names: Sequence[str], had: Mapping[str, Answer], *, bulk: bool
    ) -> dict[str, Answer]:
        """One turn of a worker; recordings go on from what was had, or is known, of them."""
        async with self._locks[bulk][sounds(names[0])]:
            begun = dict[str, Read]()
            for name in names if sounds(names[0]) else ():
                got = had.get(name) or await threaded(partial(self.known, stage.hashes[name]))
                if isinstance(got, Read):
                    begun[name] = got
            ear = Ear(HEARING if bulk else BRIEF, {n: a.upto for n, a in begun.items()})
            read = await self.reader.read(stage.folder, names, ear)
        read |= {n: joined(a, read[n]) for n, a in begun.items() if n in read}
        kept = [(self._key(stage.hashes[n]), a) for n, a in read.items()]
        await threaded(lambda: self.cache.put(kept))
        return read

    def known(self, key: str) -> Answer | None:
        """What the cache has of a content, by the hash of its stage; it blocks."""
        return self.cache.get(self._key(key))

    async def page(
        self, path: str, fd: int, offset: int, limit: int
    ) -> tuple[dict[str, Any], str] | None:
        """Some of the text of an open document, in bytes of its UTF-8.

        Returns: `{"document", "size", "offset", "next", "note"?}` and the text; with `{"why"}`
        alone when it can't be read; None if it is no document.
        """
        try:
            answer = await self._one(called(path, fd), fd, offset)
        except ValueError:
            answer = f"it is larger than {MAX_DOCUMENT >> 20} MB"
        except OrosError as e:
            answer = e.why
        if isinstance(answer, str):
            return ({"why": answer}, "") if not answer.startswith("no text but ") else None
        raw = whole(answer.pages).encode("utf-8", "replace")
        start = border(raw, min(offset, len(raw)))
        end = border(raw, min(start + max(limit, 16), len(raw)))
        value: dict[str, Any] = {"document": answer.kind, "size": len(raw), "offset": start}
        value["next"] = end if end < len(raw) or unfinished(answer) else None
        heard = f"heard to {clock(answer.upto)}: read on for the rest" if answer.upto else ""
        note = "; ".join(n for n in (answer.note, heard) if n)
        return value | ({"note": note} if note else {}), raw[start:end].decode()

    async def _one(self, ending: str, fd: int, offset: int) -> Answer:
        """An open document, as far as `offset` needs it.

        Raises: ValueError if it is too large; what `read` raises.
        """
        key = await threaded(lambda: digest(fd, ending, MAX_DOCUMENT))
        known = await threaded(lambda: self.known(key))
        if known is not None and not (unfinished(known) and offset >= size(known)):
            return known
        with staged(self.place) as stage:
            name = await threaded(lambda: stage.take(fd, ending, MAX_DOCUMENT))
            return (await self.read(stage, [name], bulk=False))[name]

    def _key(self, key: str) -> str:
        return f"{key}|{self.reader.reads(key.rpartition('.')[2])}"


def unfinished(answer: Answer) -> bool:
    """Whether there is more in a recording than was heard."""
    return isinstance(answer, Read) and answer.upto > 0


def joined(had: Read, new: Answer) -> Read:
    """A recording that was heard on, from `had.upto`."""
    if isinstance(new, str):
        return replace(had, upto=0.0, note=f"only its first {clock(had.upto)} were heard: {new}")
    pages = (*had.pages, *new.pages)
    notes = dict.fromkeys(n for r in (had, new) for n in r.note.split("; ") if n)
    if pages:
        notes.pop(SILENT, None)
    upto = new.upto if new.upto > had.upto + LEAST else 0.0  # no end without a step on
    return Read(new.kind, pages, "; ".join(notes), upto)


def size(answer: Answer) -> int:
    """Bytes of a document as one text."""
    return len(whole(answer.pages).encode()) if isinstance(answer, Read) else 0


def whole(pages: Sequence[Page]) -> str:
    """A document as one text; each page under its name."""
    return "\n\n".join(
        f"[{p.place}]\n{p.text}" if p.place and p.shape != "rows" else p.text for p in pages
    )


def border(raw: bytes, at: int) -> int:
    """The start of the character that a byte of UTF-8 is in."""
    while 0 < at < len(raw) and raw[at] & 0xC0 == 0x80:
        at -= 1
    return at
