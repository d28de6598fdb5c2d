"""Documents of any folder as text: what `read` shows of a PDF, a sheet, a mail, an e-book."""

import asyncio
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from oros.abi.errors import OrosError
from oros.services.index.cache import Cache
from oros.services.index.extract import Answer, Reader
from oros.services.index.inside.page import Page
from oros.services.index.stage import Stage, digest, ending_of, staged, sweep
from oros.services.threads import threaded

MAX_DOCUMENT = 256 << 20
PLAIN = frozenset({"text", "code", "markdown", "table"})
"""Kinds whose text is the file itself."""


class Documents:
    """The one way from files to their pages: cached by content, else read in the sandbox.

    There are two workers at most: one for whoever indexes, one for a document that somebody reads.
    """

    def __init__(self, reader: Reader, home: Path) -> None:
        """`home`: a private folder for copies and the cache."""
        self.reader = reader
        self.place = home / "stage"
        self.cache = Cache(home / "documents.db")
        self._bulk, self._single = asyncio.Lock(), asyncio.Lock()
        sweep(self.place)

    def close(self) -> None:
        """Let go of the cache."""
        self.cache.close()

    async def read(
        self, stage: Stage, names: Sequence[str], *, bulk: bool = True
    ) -> dict[str, Answer]:
        """The pages of staged files, of one at least; call it again for the rest.

        Raises: NotEnforced, DeviceFailed of the sandbox.
        """
        found = dict[str, Answer]()
        for name in names:
            known = await threaded(partial(self.known, stage.hashes[name]))
            if known is not None:
                found[name] = known
        if missing := [n for n in names if n not in found]:
            first = {stage.hashes[n]: n for n in reversed(missing)}  # equal ones are read once
            async with self._bulk if bulk else self._single:
                read = await self.reader.read(stage.folder, [*first.values()][::-1])
            kept = [(self._key(key), read[n]) for key, n in first.items() if n in read]
            await threaded(lambda: self.cache.put(kept))
            alike = {n: first[stage.hashes[n]] for n in missing}
            new = {n: read[a] for n, a in alike.items() if a in read}
            found |= new
        return found

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
            answer = await self._one(ending_of(path), fd)
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
        value["next"] = end if end < len(raw) else None
        return value | ({"note": answer.note} if answer.note else {}), raw[start:end].decode()

    async def _one(self, ending: str, fd: int) -> Answer:
        """An open document. Raises: ValueError if it is too large; what `read` raises."""
        key = await threaded(lambda: digest(fd, ending, MAX_DOCUMENT))
        known = await threaded(lambda: self.known(key))
        if known is not None:
            return known
        with staged(self.place) as stage:
            name = await threaded(lambda: stage.take(fd, ending, MAX_DOCUMENT))
            return (await self.read(stage, [name], bulk=False))[name]

    def _key(self, key: str) -> str:
        return f"{key}|{self.reader.version}"


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
