"""A folder of the host as a mount: read, write, list, search, stat, remove, all beneath it.

Text of others is in here, so every outcome carries a label (see labels.py). Links are read through
while they stay inside, never written through. Knows no rights of mounts, no undo and no layers.
Long work is done in threads; a call that is cancelled returns when its thread has ended.
"""

import asyncio
import os
import stat
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, TypeVar

from oros.abi.errors import AccessDenied, Invalid
from oros.abi.labels import NOTHING, Label
from oros.abi.message import Json, TextPart
from oros.abi.ports import Caller
from oros.abi.syscalls import Outcome
from oros.services.files.entry import Entry, kind_of
from oros.services.files.faults import explained
from oros.services.files.labels import Known, Labels, Settings
from oros.services.files.look import look
from oros.services.files.names import show, spell
from oros.services.files.replace import protect, replace
from oros.services.files.resolve import Root, clean
from oros.services.files.search import Hunt
from oros.services.files.text import SAMPLE, page, sniff
from oros.services.files.walk import walk

INLINE = 64 << 10
"""Bytes that are read without a thread: less than a thread costs."""
MAX_LOOKS = 64
"""Files of a listing whose beginning is shown."""
SEARCH_SECONDS = 10.0
_KINDS = """pdf zip data gzip bzip2 7z tar png jpeg webp wav mp3 ogg flac mp4 matroska"""
DOCUMENTS = frozenset(_KINDS.split())
"""Kinds of binary files that may be documents; `data` is what old Office files are."""

_READ = os.O_RDONLY | os.O_NONBLOCK  # a fifo must not make us wait; fstat finds it out
T = TypeVar("T")


class Texts(Protocol):
    """What makes text of documents."""

    async def page(
        self, path: str, fd: int, offset: int, limit: int
    ) -> tuple[dict[str, Any], str] | None:
        """Values and a piece of the text of an open document; None if it is none."""


class Folder:
    """A FileServer over `root`, a folder of the host; `settings` keep the labels of its files."""

    def __init__(self, root: Path, settings: Settings, texts: Texts | None = None) -> None:
        """Make it. With `texts`, documents are read as text. Raises: NotFound, AccessDenied."""
        self._root = Root(root)
        self._labels: Known = Labels(settings, self._root.path)
        self._texts = texts

    @classmethod
    def on(cls, root: Root, labels: Known, texts: Texts | None = None) -> "Folder":
        """The same over a root that is there already."""
        found = cls.__new__(cls)
        found._root, found._labels, found._texts = root, labels, texts  # noqa: SLF001 - another way to make one
        return found

    async def read(self, who: Caller, path: str, offset: int, limit: int) -> Outcome:
        """A page of a text file or of a document's text; of other files `{"kind", "size"}`.

        Text that is not UTF-8 says so in `encoding`; a document has its kind in `document`, sizes
        in bytes of its text, or says `why` it can't be read.
        Raises: NotFound, AccessDenied, Invalid.
        """
        if offset < 0 or limit <= 0:
            raise Invalid("offset must be 0 or more, limit at least 1")
        path = self.spelled(path)

        def work() -> tuple[str, os.stat_result, dict[str, Any], str]:
            at = self._root.reach(path)
            with self._root.opened(at, _READ) as fd:
                status = self._regular(fd, path)
                return at, status, *_read(fd, status.st_size, offset, limit)

        with explained(path):
            at, status, value, text = await _threaded(work) if limit > INLINE else work()
        if self._texts is not None and value.get("kind") in DOCUMENTS:
            value, text = await self._document(self._texts, at, value, offset, limit)
        parts = (TextPart(text),) if "kind" not in value else ()
        label = who.label | self._labels.of(at, status)
        return Outcome({"path": show(path), **value}, parts, label=label)

    async def _document(
        self, texts: Texts, at: str, value: dict[str, Any], offset: int, limit: int
    ) -> tuple[dict[str, Any], str]:
        with explained(at), self._root.opened(at, _READ) as fd:
            self._regular(fd, at)
            found = await texts.page(at, fd, offset, limit)
        if found is None or "why" in found[0]:
            return value | (found[0] if found is not None else {}), ""
        return found

    def spelled(self, path: str) -> str:
        """The path as it is on disk: as given, else as a listing escapes it."""
        path = clean(path)
        with explained(path):
            self._root.look(path)
        if "\\" in path and self._root.found(path) is None:
            other = clean(spell(path))
            if self._root.found(other) is not None:
                return other
        return path

    async def write(self, who: Caller, path: str, data: bytes) -> Outcome:
        """Make or replace a file; missing folders are made. It takes the caller's label.

        Raises: AccessDenied, Invalid, NoSpace, NotFound (the folder itself is gone).
        """
        path = self.spelled(path)
        if not path:
            raise Invalid("a folder can't be written", "name a file in it")
        self._labels.expect(path, who.label)
        with explained(path):
            status = await _threaded(lambda: replace(self._root, path, data, who.label))
        self._labels.keep(path, status, who.label)
        return Outcome({"path": show(path), "size": len(data)}, label=who.label)

    async def list(self, who: Caller, path: str, depth: int, head: int, limit: int) -> Outcome:
        """Entries in pre-order, sorted. Folders of version control are shown, not entered.

        With `head`, the first 64 files also show how they begin (see look.py).
        """
        if depth < 1 or limit < 1 or head < 0:
            raise Invalid("depth and limit must be at least 1, head 0 or more")
        path = self.spelled(path)
        with explained(path):
            at = self._root.reach(path)
            entries = await _threaded(lambda: self._entries(at, depth, head, limit))
        value = {"entries": entries[:limit], "more": len(entries) > limit}
        return Outcome(value, label=who.label | self._labels.within(at))

    async def search(self, who: Caller, path: str, query: str, limit: int) -> Outcome:
        """Lines that hold `query`. `more` also when the work's bounds were reached."""
        if not query.strip() or limit < 1:
            raise Invalid("the query is empty, or the limit below 1")
        path = self.spelled(path)
        hunt = Hunt(query, limit)

        def work() -> str:
            at = self._root.reach(path)
            is_file = stat.S_ISREG(self._root.lstat(at).st_mode)
            hunt.through(self._root, at, is_file=is_file)
            return at

        with explained(path):
            try:
                async with asyncio.timeout(SEARCH_SECONDS):
                    at = await _threaded(work, hunt.halt.set)
            except TimeoutError:
                at, hunt.more = "", True
        value = {"hits": hunt.hits, "more": hunt.more}
        label = who.label | self._labels.within(at)
        return Outcome(value, label=label | self.label_of({h["path"] for h in hunt.hits}))

    def label_of(self, paths: Iterable[str]) -> Label:
        """The join of the labels of files, as listings name them."""
        label = NOTHING
        for path in map(self.spelled, paths):
            if (status := self._root.found(path)) is not None:
                label |= self._labels.of(path, status)
        return label

    async def stat(self, who: Caller, path: str) -> Outcome:
        """`{"path", "kind", "size", "time", "label"}`; `time` in seconds since 1970.

        A link is not followed: `to` says where it points.
        """
        path = self.spelled(path)
        with explained(path):
            at = self._reach_parent(path)
            status = self._root.lstat(at)
            entry = self._described(Entry(at, kind_of(status.st_mode), status))
        label = self._labels.of(at, status)
        value = {**entry, "path": show(path), "time": status.st_mtime, "label": _plain(label)}
        return Outcome(value, label=who.label | label)

    async def remove(self, who: Caller, path: str) -> Outcome:
        """Remove a file, a link (not what it points to) or an empty folder."""
        path = self.spelled(path)
        if not path:
            raise AccessDenied("a mounted folder can't be removed", "remove what is in it")
        with explained(path), self._root.parent(path) as (folder, name):
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                os.rmdir(name, dir_fd=folder)
            else:
                if stat.S_ISREG(status.st_mode):
                    protect(status, path)
                os.unlink(name, dir_fd=folder)
        self._labels.drop(path)
        return Outcome({"path": show(path)}, label=who.label)

    def _reach_parent(self, path: str) -> str:
        above, _, name = path.rpartition("/")
        reached = self._root.reach(above) if above else ""
        return f"{reached}/{name}" if reached else name

    def _regular(self, fd: int, path: str) -> os.stat_result:
        status = os.fstat(fd)
        kind = kind_of(status.st_mode)
        if kind == "dir":
            raise Invalid(f"{show(path) or 'this'} is a folder", "use list")
        if kind != "file":
            raise AccessDenied(
                f"{show(path)} is no ordinary file but a {kind}", "it can't be read here"
            )
        return status

    def _entries(self, at: str, depth: int, head: int, limit: int) -> Sequence[Json]:
        status = self._root.lstat(at)
        kind = kind_of(status.st_mode)
        if kind != "dir":
            found = [Entry(at, kind, status)]
        else:
            found = list(islice(walk(self._root, at, depth=depth), limit + 1))
        looks = MAX_LOOKS if head else 0
        entries = []
        for entry in found:
            shown = self._described(entry)
            if looks and entry.kind == "file":
                looks -= 1
                shown |= self._look(entry.path, head)
            entries.append(shown)
        return entries

    def _described(self, entry: Entry) -> dict[str, Any]:
        value: dict[str, Any] = {"path": show(entry.path), "kind": entry.kind, "size": 0}
        try:
            if entry.kind == "file":
                value["size"] = (entry.stat or self._root.lstat(entry.path)).st_size
            elif entry.kind == "link":
                with self._root.parent(entry.path) as (folder, name):
                    value["to"] = show(os.readlink(name, dir_fd=folder))
        except OSError:
            value["kind"] = "gone"  # between the listing and now
        return value

    def _look(self, path: str, head: int) -> dict[str, Any]:
        try:
            with self._root.opened(path, _READ) as fd:
                status = os.fstat(fd)
                return look(fd, path, status.st_size, head) if stat.S_ISREG(status.st_mode) else {}
        except OSError:
            return {}  # gone or not ours to read: the entry says enough


def _read(fd: int, size: int, offset: int, limit: int) -> tuple[dict[str, Any], str]:
    nature = sniff(os.pread(fd, SAMPLE, 0))
    if not nature.encoding:
        return {"size": size, "offset": 0, "next": None, "kind": nature.kind}, ""
    part = page(fd, size, nature.encoding, offset, limit)
    value: dict[str, Any] = {"size": size, "offset": part.start, "next": part.next}
    if part.encoding != "utf-8":
        value["encoding"] = part.encoding
    return value, part.text


def _plain(label: Label) -> dict[str, Any]:
    return {
        "integrity": label.integrity.name.lower(),
        "readers": None if label.readers is None else sorted(label.readers),
        "origins": sorted(label.origins),
    }


async def _threaded(work: Callable[[], T], halt: Callable[[], None] = lambda: None) -> T:
    """Do `work` in a thread. When cancelled, `halt` it and wait: nothing happens afterwards."""
    done = asyncio.get_running_loop().run_in_executor(None, work)
    try:
        return await asyncio.shield(done)
    except asyncio.CancelledError:
        halt()
        await asyncio.wait([done])
        raise
