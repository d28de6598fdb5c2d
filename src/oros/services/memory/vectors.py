"""Rows by meaning: exact search inside one scope, over an index that is made of the vectors.

An approximate index behind a filter loses rows without a word, so there is none. In a scope of many
rows a copy in memory, one bit a dimension, picks candidates; their true vectors order them.
Without sqlite-vec there is no search by meaning, and no error.
"""

import importlib
import threading
from collections.abc import Sequence
from typing import Any

import apsw

from oros.abi.errors import Corrupt
from oros.services.memory.rows import Vector
from oros.services.memory.schema import knows_vectors

CHUNK = 64
"""Vectors that the index keeps together: a scope takes at least so much room. Small ones are filled
five times as fast as the library's 1024, and searched as fast."""
MANY = 50_000
"""Rows that a scope has ever had from which on candidates are picked by their bits."""
CANDIDATES = 200
SHADOWS = "SELECT name FROM sqlite_master WHERE type='table' AND name GLOB 'near_*'"
SHIFT = 32
"""A row's id is its scope's id and a number: ids of a scope are one range."""


REFILL = "INSERT INTO near(rowid,scope,data) SELECT id, id>>32, data FROM vector ORDER BY id"


def span(scope: int) -> tuple[int, int]:
    """The first and the last id that rows of a scope can have."""
    return scope << SHIFT, ((scope + 1) << SHIFT) - 1


class Vectors:
    """The vectors of a store; what changes them is called inside the store's own transactions."""

    def __init__(self, db: apsw.Connection) -> None:
        self._indexed = knows_vectors(db)
        self._bits: dict[int, Bits] = {}
        self._touched: set[int] = set()
        self._guard = threading.Lock()
        if self._indexed or not exists(db):
            return
        # It can't be kept true without its library: empty, it holds nothing that is forgotten.
        for (name,) in list(db.execute(SHADOWS)):
            db.execute(f"DELETE FROM {name}")  # noqa: S608 - names of the library's own
        db.execute("INSERT OR REPLACE INTO setting VALUES('near', 'stale')")

    def make(self, db: apsw.Connection) -> None:
        """Have an index that holds all vectors; a right one is left as it is."""
        stale = list(db.execute("SELECT 1 FROM setting WHERE name='near' AND value='stale'"))
        if self._indexed and (stale or not exists(db)):
            self.remake(db)

    def remake(self, db: apsw.Connection) -> None:
        """Make the index anew from the vectors."""
        with self._guard:
            self._bits.clear()
        if not self._indexed:
            return
        db.execute("DROP TABLE IF EXISTS near")
        db.execute("DELETE FROM setting WHERE name='near'")
        for (size,) in list(db.execute("SELECT length(data) FROM vector LIMIT 1")):
            db.execute(table(size // 4))
            db.execute(REFILL)

    def put(self, db: apsw.Connection, found: Sequence[tuple[int, Vector]]) -> None:
        """Keep vectors under the ids of their rows; older ones are replaced."""
        if not found:
            return
        self.drop(db, [i for i, _ in found])
        db.executemany("INSERT INTO vector(id,data) VALUES(?,?)", found)
        if self._indexed:
            db.execute(table(len(found[0][1]) // 4))
            db.executemany(
                "INSERT INTO near(rowid,scope,data) VALUES(?,?,?)",
                [(i, i >> SHIFT, data) for i, data in found],
            )
        self._touched.update(i for i, _ in found)

    def drop(self, db: apsw.Connection, ids: Sequence[int]) -> None:
        """Forget the vectors of rows; the index keeps no bytes of them."""
        there = [
            (i, n)
            for i in ids
            for (n,) in db.execute("SELECT length(data) FROM vector WHERE id=?", (i,))
        ]
        if not there:
            return
        if self._indexed:
            db.executemany(
                "UPDATE near SET data=? WHERE rowid=?", [(bytes(n), i) for i, n in there]
            )
            db.executemany("DELETE FROM near WHERE rowid=?", [(i,) for i, _ in there])
        db.executemany("DELETE FROM vector WHERE id=?", [(i,) for i, _ in there])
        self._touched.update(ids)

    def clear(self, db: apsw.Connection) -> None:
        """Forget all vectors: they are another model's."""
        db.execute("DELETE FROM vector")
        self.remake(db)

    def nearest(
        self, db: apsw.Connection, scope: int, query: Vector, k: int
    ) -> list[tuple[int, float]]:
        """Ids of a scope's rows with their cosines, nearest first. Reads only."""
        if not self._indexed or not exists(db):
            return []
        ((most,),) = db.execute("SELECT last FROM scope WHERE id=?", (scope,))
        if most > MANY and (bits := self._bits_of(db, scope)) is not None:
            return bits.nearest(db, query, k)
        asked = "SELECT rowid, distance FROM near WHERE scope=? AND data MATCH ? AND k=?"
        try:
            found = list(db.execute(asked, (scope, query, k)))
        except apsw.SQLError as e:
            raise Corrupt(f"the index of vectors: {e}", "it is made anew") from e
        return [(row, 1 - distance * distance / 2) for row, distance in found]

    def committed(self) -> None:
        """What was changed is there for readers now: bits that they hold are out of date."""
        with self._guard:
            for i in self._touched:
                if bits := self._bits.get(i >> SHIFT):
                    bits.changed.add(i)
            self._touched.clear()

    def undone(self) -> None:
        """What was changed, and not committed, is as it was."""
        self._touched.clear()

    def _bits_of(self, db: apsw.Connection, scope: int) -> "Bits | None":
        """The bits of a scope, as the vectors are now; None without numpy."""
        try:
            importlib.import_module("numpy")
        except ImportError:
            return None
        with self._guard:
            found = self._bits.get(scope)
            if found is None:
                found = self._bits[scope] = Bits()
                found.fill(db, scope)
            found.refresh(db)
            return found


def exists(db: apsw.Connection) -> bool:
    """Whether there is an index."""
    return bool(list(db.execute("SELECT 1 FROM sqlite_master WHERE name='near'")))


def table(dims: int) -> str:
    """The index of vectors of so many dimensions."""
    return (
        "CREATE VIRTUAL TABLE IF NOT EXISTS near USING vec0("
        f"scope INTEGER PARTITION KEY, data float[{dims}], chunk_size={CHUNK})"
    )


class Bits:
    """One scope's vectors, one bit a dimension, in memory: 48 bytes for 384 dimensions."""

    def __init__(self) -> None:
        self.changed: set[int] = set()
        self._ids: Any = None
        self._bits: Any = None

    def fill(self, db: apsw.Connection, scope: int) -> None:
        """Read all of a scope."""
        import numpy as np

        ids: list[int] = []
        parts = []
        for i, data in db.execute(
            "SELECT id, data FROM vector WHERE id BETWEEN ? AND ?", span(scope)
        ):
            ids.append(i)
            parts.append(np.packbits(np.frombuffer(data, "<f4") > 0))
        self._ids = np.array(ids, np.int64)
        self._bits = np.stack(parts) if parts else np.zeros((0, 0), np.uint8)

    def refresh(self, db: apsw.Connection) -> None:
        """Take over what was changed since."""
        import numpy as np

        if not self.changed:
            return
        stays = ~np.isin(self._ids, np.fromiter(self.changed, np.int64))
        new = [
            (i, np.packbits(np.frombuffer(data, "<f4") > 0))
            for i in self.changed
            for (data,) in db.execute("SELECT data FROM vector WHERE id=?", (i,))
        ]
        parts = [(self._ids[stays], self._bits[stays])]
        if new:
            parts.append((np.array([i for i, _ in new], np.int64), np.stack([b for _, b in new])))
        filled = [p for p in parts if len(p[0])] or parts[:1]
        self._ids = np.concatenate([ids for ids, _ in filled])
        self._bits = np.concatenate([bits for _, bits in filled])
        self.changed.clear()

    def nearest(self, db: apsw.Connection, query: Vector, k: int) -> list[tuple[int, float]]:
        """The nearest by bits, ordered by their true vectors."""
        import numpy as np

        asked = np.frombuffer(query, "<f4")
        ids, bits = self._ids, self._bits
        if not len(ids):
            return []
        far = np.bitwise_count(bits ^ np.packbits(asked > 0)).sum(1, dtype=np.int32)
        most = min(max(CANDIDATES, 2 * k), len(ids))
        found = []
        for place in np.argpartition(far, most - 1)[:most]:
            row = int(ids[place])
            for (data,) in db.execute("SELECT data FROM vector WHERE id=?", (row,)):
                found.append((row, float(np.frombuffer(data, "<f4") @ asked)))
        return sorted(found, key=lambda x: (-x[1], x[0]))[:k]
