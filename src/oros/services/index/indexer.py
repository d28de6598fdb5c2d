"""Keeps the index of one folder true: its files' rows in memory, followed as the files change.

What is known of a file is kept with its rows in one commit (marks.py): a machine that is killed
reads nothing twice but the files that it had in hand. Knows no processes and no rights.
"""

import asyncio
import errno
import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from oros.abi.errors import NoSpace, OrosError
from oros.abi.labels import Label
from oros.abi.ports import Clock
from oros.services.files.labels import Known
from oros.services.files.names import show, spell
from oros.services.files.resolve import Root
from oros.services.files.text import SAMPLE, sniff
from oros.services.index import watch
from oros.services.index.chunks import pieces
from oros.services.index.documents import MAX_DOCUMENT, Documents
from oros.services.index.extract import Answer
from oros.services.index.inside import office, scans, speech
from oros.services.index.marks import Mark, hidden, mark_of, read_mark
from oros.services.index.scan import scan
from oros.services.index.stage import Stage, called, ending_of, staged
from oros.services.memory.live import Memory
from oros.services.memory.rows import Put, Row
from oros.services.threads import threaded

MAX_TEXT = 64 << 20
COMMIT = 16
"""Files whose rows come into the store in one commit, at most."""
BATCH, BATCH_BYTES = 64, 64 << 20
"""Files, and bytes of files, that one worker is given at most (one file may be larger)."""
FEW = 4
"""Recordings that are taken in hand before it is looked whether something else has changed."""
ANEW = 600.0
"""Seconds between two looks at the whole folder when the system gives notice of changes."""
SETTLE = 2.0
LOOK = 15.0
"""The same when it gives none."""
PATIENCE = 5.0, 60.0
"""Seconds until it goes on after an error: at first, and at most."""
READ = frozenset({"text", "pdf"}) | speech.KINDS
FULL = (errno.ENOSPC, errno.EDQUOT)
SHOWN = 100
"""Lines of failures in the status; all are counted."""
ALIKE = 5
"""Files with one line each for the same reason; more share one."""
SLOW = scans.ENDINGS, speech.ENDINGS
"""What takes seconds a file, and what takes minutes."""
DOCUMENTS = office.SHEETS | office.SLIDES | office.OTHERS | {"pdf"}.union(*SLOW)


@dataclass(slots=True)
class File:
    """A file in hand: its copy's name on the stage, or why it has none."""

    path: str
    mark: Mark
    label: Label
    name: str = ""


Kept = tuple[File, Sequence[Row], str]
"""A file with its rows, and the source whose content is the same, "" for none."""


class Indexer:
    """The index of one folder, in a scope of memory whose sources are paths as they are shown."""

    def __init__(
        self, root: Root, scope: str, memory: Memory, documents: Documents, clock: Clock,
        labels: Known,
    ) -> None:  # fmt: skip
        self.root = root
        self.scope = scope
        self._memory = memory
        self._documents = documents
        self._clock = clock
        self._labels = labels
        self._marks: dict[str, Mark] | None = None
        self._alike = dict[str, str]()
        self._dirty: set[str] = {""}
        self._wake = asyncio.Event()
        self._state, self._why, self._current = "new", "", ""
        self._new = self._left = self._bytes = self.extracted = 0
        self._seconds = 0.0

    # ---- what it does --------------------------------------------------------------------------

    async def keep(self) -> None:
        """Index, then follow the changes, until cancelled. Errors are waited out."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._following())
            patience = PATIENCE[0]
            while True:
                self._wake.clear()
                tops = self._dirty
                try:
                    await self.once(tops)
                except OrosError as e:
                    self._dirty |= tops
                    self._state, self._why = "waiting", e.why
                    await self._clock.sleep(patience)
                    patience = min(2 * patience, PATIENCE[1])
                    continue
                patience = PATIENCE[0]
                await self._wake.wait()

    async def once(self, tops: Iterable[str] = ("",)) -> None:
        """Make the index true beneath some paths, all by default.

        When only recordings are left and something else changes, it ends before them: `keep` begins
        anew, so that what is quick never waits for hours of sound.
        Raises: NotFound (the folder is gone; its rows stay), NoSpace, Corrupt of the store,
        NotEnforced, DeviceFailed of the sandbox. What was done until then is kept.
        """
        began, tops = self._clock.monotonic(), set(tops)
        self._dirty = set()
        try:
            marks = await self._known()
            self._state, self._why = "looking", ""
            reader = self._documents.reader.version
            seen = await threaded(lambda: scan(self.root, marks, reader, tops))
            self._state, self._left = "indexing", len(seen.todo)
            self._new = sum(p not in marks for p in seen.todo)
            self._alike = {m.hash: p for p, m in marks.items() if m.hash}
            whole = await self._all(sorted(seen.todo, key=slowness))
            for path in sorted(seen.gone):
                await self._memory.drop(self.scope, show(path))
                marks.pop(path, None)
            if whole:
                self._state, self._new = "ready", 0
            else:
                self._dirty |= tops
        except BaseException:
            self._dirty |= tops
            raise
        finally:
            self._current = ""
            self._seconds += self._clock.monotonic() - began

    def touch(self, paths: Iterable[str]) -> None:
        """Something changed there: look soon."""
        if new := {p for p in paths if not hidden(p)}:
            self._dirty |= new
            self._wake.set()

    def status(self) -> dict[str, Any]:
        """How far it is.

        `state`: new, looking, indexing, ready, or waiting (with `why`). `failed` counts files that
        could not be read, `failures` has lines for them, 100 at most, `notes` for what was read
        in part; `total`, `done` files, `bytes`, `rows`, `seconds` of work, `current` file.
        """
        marks = self._marks or {}
        failed = [(p, m.error) for p, m in marks.items() if m.error]
        notes = [(p, m.note) for p, m in marks.items() if m.note and not m.error]
        value = {
            "state": self._state, "total": len(marks) + self._new, "left": self._left,
            "done": len(marks) - len(failed), "failed": len(failed), "bytes": self._bytes,
            "rows": sum(m.rows for m in marks.values()), "seconds": round(self._seconds, 3),
            "current": show(self._current), "extracted": self.extracted,
            "failures": told(failed)[:SHOWN],
            "notes": told(notes)[:SHOWN],
        }  # fmt: skip
        return value | ({"why": self._why} if self._why else {})

    def marks(self) -> dict[str, Mark]:
        """What is known of each file, by its path."""
        return dict(self._marks or {})

    # ---- how -----------------------------------------------------------------------------------

    async def _known(self) -> dict[str, Mark]:
        if self._marks is None:
            kept = await self._memory.marks(self.scope)
            read = {spelled(name): read_mark(text) for name, text in kept.items()}
            # One of another version counts as never read: but it is known, so that it can go.
            self._marks = {p: m or Mark(-1, -1, -1) for p, m in read.items()}
        return self._marks

    async def _following(self) -> None:
        """Have what changes looked at."""
        notices = watch.can_watch()
        while True:
            if notices:
                try:
                    async with asyncio.TaskGroup() as group:
                        task = group.create_task(watch.watch(self.root.path, self.touch))
                        await self._clock.sleep(SETTLE)
                        self.touch([""])  # what changed before the notices began
                        await self._clock.sleep(ANEW)
                        task.cancel()
                except* (OSError, RuntimeError):  # no folder, or no more watches: look instead
                    await self._clock.sleep(LOOK)
            else:
                await self._clock.sleep(LOOK)
            self.touch([""])

    async def _all(self, todo: Sequence[str]) -> bool:
        """Read files, the slow ones last; whether all were read before something else changed."""
        left = [p for p in todo if slowness(p) == len(SLOW)]
        quick = todo[: len(todo) - len(left)]
        for at in range(0, len(quick), BATCH):
            await self._batch(quick[at : at + BATCH])
        while left:
            await self._batch(left[:FEW])
            left = left[FEW:]
            if self._dirty and left:
                return False
        return True

    async def _batch(self, paths: Sequence[str]) -> None:
        """Read some files, in groups that a worker may see together."""
        pending = list(paths)
        while pending:
            with staged(self._documents.place) as stage:
                took = await threaded(partial(self._take, stage, pending))
                pending = pending[len(took) :]
                files = [f for f in took if f is not None]
                self._left = max(0, self._left - (len(took) - len(files)))
                fresh = [f for f in files if not await self._settled(f)]
                for group in grouped(fresh):
                    await self._read(group, stage)

    async def _read(self, files: Sequence[File], stage: Stage) -> None:
        """Have files read that a worker may see together, and keep what it found."""
        while files:
            self._current = files[0].path
            answers = await self._documents.read(stage, [f.name for f in files])
            self.extracted += len(answers)
            done = [f for f in files if f.name in answers]
            for part in [done[n : n + COMMIT] for n in range(0, len(done), COMMIT)]:
                await self._put(await threaded(partial(self._cut, part, stage, answers)))
            files = [f for f in files if f.name not in answers]

    def _take(self, stage: Stage, paths: Sequence[str]) -> list[File | None]:
        """Copy files to the stage, until it is full; None for one that is gone."""
        size, took = 0, list[File | None]()
        for path in paths:
            status = self.root.found(path)
            regular = status is not None and stat.S_ISREG(status.st_mode)
            file = self._copied(stage, path, status) if status is not None and regular else None
            took.append(file)
            size += file.mark.size if file is not None and file.name else 0
            if size > BATCH_BYTES:
                break
        return took

    def _copied(self, stage: Stage, path: str, status: os.stat_result) -> File | None:
        ending, file = ending_of(path), File(path, mark_of(status), self._labels.of(path, status))
        most = MAX_DOCUMENT if ending in DOCUMENTS else MAX_TEXT
        if status.st_size > most:
            return self._refused(file, f"it is larger than {most >> 20} MB")
        try:
            with self.root.opened(path, os.O_RDONLY | os.O_NONBLOCK) as fd:
                kind = kind_of(fd, ending)
                if kind not in READ and ending not in DOCUMENTS:
                    return replace(file, mark=file.mark._replace(kind=kind))
                file.name = stage.take(fd, called(path, fd), most)
        except FileNotFoundError:
            return None
        except ValueError:
            return self._refused(file, "it grows faster than it can be read")
        except OSError as e:
            if e.errno in FULL:
                raise NoSpace("no space is left to read files", "free some space") from e
            # No reader in its mark: it is tried again at each look.
            why = f"it can't be opened: {e.strerror}"
            return replace(file, mark=file.mark._replace(error=why))
        file.mark = file.mark._replace(hash=stage.hashes[file.name])
        return file

    def _refused(self, file: File, why: str) -> File:
        mark = file.mark._replace(error=why, reader=self._documents.reader.version)
        return replace(file, mark=mark, name="")

    async def _settled(self, file: File) -> bool:
        """Whether a file needs no reading: it can't be, or its content is known.

        It was only touched then, or moved or copied: the rows are there, with another label.
        """
        if not file.name:
            await self._put([(file, (), "")])
            return True
        marks = await self._known()
        source = self._alike.get(file.mark.hash, "")
        was = marks.get(source)
        if was is None or (was.error and was.reader != self._documents.reader.version):
            return False
        kept = await self._memory.rows(self.scope, show(source))
        if len(kept) != was.rows:
            return False
        now = file.mark
        file.mark = was._replace(size=now.size, mtime=now.mtime, inode=now.inode)
        rows = [replace(k.row, label=file.label) for k in kept]
        await self._put([(file, rows, show(source))])
        return True

    def _cut(
        self, files: Sequence[File], stage: Stage, answers: Mapping[str, Answer]
    ) -> list[Kept]:
        """Rows and marks of files that were read."""
        return [(f, self._rows(f, stage, answers[f.name]), "") for f in files]

    def _rows(self, file: File, stage: Stage, answer: Answer) -> list[Row]:
        mark = file.mark._replace(hash=stage.hashes[file.name])
        if isinstance(answer, str):
            if answer.startswith("no text but "):
                file.mark = mark._replace(kind=answer.removeprefix("no text but "))
            else:
                reader = self._documents.reader.version
                file.mark = mark._replace(error=answer, reader=reader)
            return []
        file.mark = mark._replace(kind=answer.kind, note=answer.note)
        now, label = self._clock.wall(), file.label
        return [
            Row(p.text, p.place, n, "file", label, at=now)
            for n, p in enumerate(pieces(answer.pages))
        ]

    async def _put(self, found: Sequence[Kept]) -> None:
        """Keep rows and marks, all in one commit."""
        marks, puts = await self._known(), list[Put]()
        for file, rows, like in found:
            file.mark = file.mark._replace(rows=len(rows))
            if rows or marks.get(file.path) != file.mark:
                puts.append(Put(show(file.path), rows, file.mark.text(), like))
        if puts:
            await self._memory.put_all(self.scope, puts)
        for file, *_ in found:
            self._new -= file.path not in marks
            marks[file.path] = file.mark
            self._alike[file.mark.hash] = file.path
            self._bytes += file.mark.size
        self._left = max(0, self._left - len(found))


def slowness(path: str) -> int:
    """How long a file takes: 0 for most, more for those that come later."""
    return sum(n for n, endings in enumerate(SLOW, 1) if ending_of(path) in endings)


def kind_of(fd: int, ending: str) -> str:
    """Text, pdf, empty, or what a file is that is not read; by its first bytes."""
    head = os.pread(fd, SAMPLE, 0)
    if not head and ending not in DOCUMENTS:
        return "empty"
    nature = sniff(head)
    return "text" if nature.encoding else nature.kind


def told(found: Sequence[tuple[str, str]]) -> list[str]:
    """Lines for files and reasons: many files with the same reason share one."""
    by = dict[str, list[str]]()
    for path, why in found:
        by.setdefault(why, []).append(show(path))
    lines = list[str]()
    for why, paths in by.items():
        if len(paths) <= ALIKE:
            lines += [f"{path}: {why}" for path in paths]
        else:
            lines.append(f"{paths[0]} and {len(paths) - 1} others: {why}")
    return lines


def grouped(files: Sequence[File]) -> list[list[File]]:
    """Files that one worker may hold at once: those that the same people may read."""
    groups = dict[frozenset[str] | None, list[File]]()
    for file in files:
        groups.setdefault(file.label.readers, []).append(file)
    return list(groups.values())


def spelled(name: str) -> str:
    """The path of a source."""
    return spell(name) if "\\" in name else name
