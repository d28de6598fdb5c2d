"""The file of memory with its two indexes, kept true to the rows in every commit, mended when not.

One connection writes, one reads what was committed. Here is what all changes of rows are made of;
the changes themselves are in store.py.
"""

import json
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self, TypeVar

import apsw

from oros.abi.errors import Corrupt, NotFound
from oros.drivers.store.sqlite import explained, take_lock, whole
from oros.services.memory.rows import Count, Pair, Vector, tokens
from oros.services.memory.schema import connect, open_file, salvage
from oros.services.memory.table import CHAIN, EMPTY, PLACE, after, befores
from oros.services.memory.vectors import Vectors

T = TypeVar("T")
OURS = "SELECT 1 FROM setting WHERE name='embedder' AND value=?"


class File:
    """An open file of memory."""

    def __init__(self, path: Path, writer: apsw.Connection, lock: int, count: Count) -> None:
        self._path = path
        self._lock = lock
        self._count = count
        self._writer = writer
        self._writing = threading.Lock()
        self._damaged = False
        self._reader = connect(path, apsw.SQLITE_OPEN_READONLY)
        self._reading = threading.Lock()
        self._index_vectors()

    @classmethod
    def open(cls, path: Path, count: Count = tokens) -> Self:
        """Open or make the file; a damaged index is made anew. `count`: tokens of a text.

        Raises: Busy (another machine has it), AccessDenied, Corrupt (with a hint), Newer, NoSpace.
        """
        lock = take_lock(path)
        try:
            return cls(path, open_file(path), lock, count)
        except BaseException:
            os.close(lock)
            raise

    def close(self) -> None:
        """Let go of the file."""
        with self._writing, self._reading:
            self._reader.close()
            self._writer.close()
            os.close(self._lock)

    def _index_vectors(self) -> None:
        with explained(self._writer, self._path), whole(self._writer):
            self._vectors = Vectors(self._writer)
            self._vectors.make(self._writer)

    @contextmanager
    def _write(self) -> Iterator[apsw.Connection]:
        """One transaction. Raises: NoSpace, Corrupt, DeviceFailed; then nothing was changed.

        Where an index turns out to be damaged, the next transaction finds it made anew.
        """
        if self._damaged:
            self._damaged = False
            self.mend()
        try:
            with self._writing, explained(self._writer, self._path):
                try:
                    with whole(self._writer):
                        yield self._writer
                    self._vectors.committed()
                finally:
                    self._vectors.undone()
        except Corrupt:
            self._damaged = True
            raise

    @contextmanager
    def _read(self) -> Iterator[apsw.Connection]:
        with self._reading, explained(self._reader, self._path):
            yield self._reader

    def _mended(self, work: Callable[[], T]) -> T:
        """Do it; where an index turns out to be damaged, make the indexes anew and do it again."""
        try:
            return work()
        except Corrupt:
            self.mend()
            return work()

    # ---- indexes -------------------------------------------------------------------------------

    def _unindex(self, db: apsw.Connection, ids: Iterable[int]) -> None:
        """Take rows out of the index of words: before they, or those before them, change."""
        db.executemany("DELETE FROM words WHERE rowid=?", [(i,) for i in ids])

    def _index(self, db: apsw.Connection, ids: Iterable[int]) -> None:
        """Put rows into the index of words, as they are now, and have them embedded."""
        found = [(i,) for i in ids]
        db.executemany(
            "INSERT INTO words(rowid,before,text) SELECT id,before,text FROM seen WHERE id=?", found
        )
        db.executemany("INSERT OR IGNORE INTO pending VALUES(?)", found)

    def _erase(self, db: apsw.Connection, ids: Sequence[int]) -> None:
        """Rows that are in no index of words any more."""
        self._vectors.drop(db, ids)
        found = [(i,) for i in ids]
        db.executemany("DELETE FROM pending WHERE id=?", found)
        db.executemany("DELETE FROM row WHERE id=?", found)

    def _retire(self, db: apsw.Connection, row: int) -> None:
        """A row is kept but not found any more. Raises: NotFound."""
        for scope, source, place in db.execute(
            "SELECT scope,source,ord FROM row WHERE id=? AND live=1", (row,)
        ):
            behind = after(db, scope, source, place)
            self._unindex(db, [row, *behind])
            self._vectors.drop(db, [row])
            db.execute("DELETE FROM pending WHERE id=?", (row,))
            db.execute("UPDATE row SET live=0 WHERE id=?", (row,))
            self._index(db, behind)
            return
        raise NotFound(f"there is no row {row} in memory", "it may be forgotten or corrected")

    def _forget(self, db: apsw.Connection, ids: Iterable[int]) -> int:
        gone = list(dict.fromkeys(i for row in ids for (i,) in db.execute(CHAIN, (row,))))
        rows = [f for i in gone for f in db.execute(PLACE, (i,))]
        live = [i for i, *_, alive in rows if alive]
        behind = {b for _, *place, alive in rows if alive for b in after(db, *place)}
        behind -= set(gone)
        self._unindex(db, [*live, *behind])
        self._erase(db, gone)
        # What stood before a row that stays may have been several that go.
        self._index(db, behind)
        for scope, source in {(scope, source) for _, scope, source, *_ in rows}:
            db.execute(EMPTY, (scope, source))
        return len(live)

    def use(self, embedder: str) -> None:
        """Name the model of the vectors; when it is another one, all rows wait to be embedded."""
        with self._write() as db:
            if list(db.execute(OURS, (embedder,))):
                return
            db.execute("INSERT OR REPLACE INTO setting VALUES('embedder',?)", (embedder,))
            self._vectors.clear(db)
            db.execute("INSERT OR IGNORE INTO pending SELECT id FROM row WHERE live=1")

    def pending(self, limit: int = 64, only: Sequence[int] | None = None) -> list[Pair]:
        """Rows that wait to be embedded: all, or those of some ids."""
        with self._read() as db:
            if only is None:
                found = db.execute("SELECT id FROM pending LIMIT ?", (limit,))
            else:
                here = json.dumps([int(i) for i in only[:limit]])
                text = "SELECT id FROM pending WHERE id IN (SELECT value FROM json_each(?))"
                found = db.execute(text, (here,))
            text = "SELECT id,before,text FROM seen WHERE id=?"
            return [pair for (i,) in list(found) for pair in db.execute(text, (i,))]

    def embedded(self, embedder: str, done: Sequence[tuple[Pair, Vector]]) -> int:
        """Keep vectors of rows that are still as they were embedded; how many those are."""
        with self._write() as db:
            if not list(db.execute(OURS, (embedder,))):
                return 0
            same = "SELECT 1 FROM seen WHERE id=? AND before=? AND text=?"
            found = [(pair[0], v) for pair, v in done if list(db.execute(same, pair))]
            self._give(db, found)
        return len(found)

    def _meant(
        self, db: apsw.Connection, rows: Sequence[tuple[int, str, str, str]]
    ) -> dict[tuple[str, str], Vector]:
        """The vectors of a source's rows, by the text before each and its own."""
        before = befores((i, text) for i, text, *_ in rows)
        return {
            (before[i], text): data
            for i, text, *_ in rows
            for (data,) in db.execute("SELECT data FROM vector WHERE id=?", (i,))
        }

    def _give(self, db: apsw.Connection, found: Sequence[tuple[int, Vector]]) -> None:
        """Rows have these vectors, and wait for none."""
        self._vectors.put(db, found)
        db.executemany("DELETE FROM pending WHERE id=?", [(i,) for i, _ in found])

    def rebuild(self) -> None:
        """Make both indexes anew from the rows."""
        with self._write() as db:
            db.execute("INSERT INTO words(words) VALUES('rebuild')")
            self._vectors.remake(db)

    def compact(self) -> None:
        """Write the file anew, so that what was forgotten is not in its bytes. Raises: NoSpace."""
        with self._writing, self._reading, explained(self._writer, self._path):
            self._writer.execute("INSERT INTO words(words) VALUES('optimize')")
            self._writer.execute("VACUUM")
            self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def mend(self) -> None:
        """Make a new file of the rows, with new indexes. Raises: Corrupt if rows are damaged."""
        with self._writing, self._reading:
            self._reader.close()
            self._writer.close()
            salvage(self._path)
            self._writer = open_file(self._path)
            self._reader = connect(self._path, apsw.SQLITE_OPEN_READONLY)
            self._index_vectors()
