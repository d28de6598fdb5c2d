"""The store of memory: one file, where a row, its words and its vector come and go in one commit.

Rows belong to a scope (`user`, `app:NAME`, `process:PID`, `files:MOUNT`) and in it to a source; the
rows of a source are neighbours in their order. A search names the scopes that it may see and finds
nothing else. All here blocks: call it from a thread, or by `live.Memory`.
"""

from collections.abc import Callable, Sequence

import apsw

from oros.abi.errors import Invalid, NotFound
from oros.abi.labels import Label
from oros.services.memory import retrieve
from oros.services.memory.file import File
from oros.services.memory.rows import Found, Hit, Kept, Put, Row, Vector
from oros.services.memory.table import (
    COLUMNS,
    NAMED,
    RETIRED,
    after,
    assign,
    befores,
    beside,
    by_words,
    fresh,
    insert,
    kept,
    load,
    old_rows,
    scope_id,
    scope_ids,
)
from oros.services.memory.vectors import SHIFT, span


class Store(File):
    """The rows of one machine."""

    # ---- writing -------------------------------------------------------------------------------

    def put(self, scope: str, source: str, rows: Sequence[Row], mark: str = "") -> list[int]:
        """The rows of a source are these and no others; their ids, in order. See `put_all`."""
        return self.put_all(scope, [Put(source, rows, mark)])[0]

    def put_all(self, scope: str, puts: Sequence[Put]) -> list[list[int]]:
        """The rows of some sources; for each their ids, in order. All or nothing.

        A row that was there (same text, label and kind) keeps its id, its vector and its time, and
        expires when the new one would.
        """
        with self._write() as db:
            at = scope_id(db, scope)
            return [self._put(db, at, put) for put in puts]

    def _put(self, db: apsw.Connection, at: int, put: Put) -> list[int]:
        old = old_rows(db, at, put.source)
        ids, new = assign(db, at, old, put.rows)
        was = befores((i, text) for i, text, *_ in old)
        now = befores(zip(ids, (r.text for r in put.rows), strict=True))
        gone = [i for i in was if i not in now]
        moved = [i for i in ids if i in was and was[i] != now[i]]
        given = self._meant(db, old_rows(db, at, put.like)) if put.like else {}
        self._unindex(db, [*gone, *moved])
        self._erase(db, [*gone, *(i for (i,) in db.execute(RETIRED, (at, put.source)))])
        for n, (i, row) in enumerate(zip(ids, put.rows, strict=True)):
            if i in new:
                insert(db, i, put.source, n, row)
            else:
                there = (n, row.place, row.expires, i)
                db.execute("UPDATE row SET ord=?, place=?, expires=? WHERE id=?", there)
        self._index(db, [*new, *moved])
        keys = ((i, (now[i], r.text)) for i, r in zip(ids, put.rows, strict=True) if i in new)
        self._give(db, [(i, given[key]) for i, key in keys if key in given])
        db.execute("INSERT OR REPLACE INTO source VALUES(?,?,?)", (at, put.source, put.mark))
        return ids

    def add(self, scope: str, source: str, row: Row) -> int:
        """Keep one row more: at the end of its source, or at `row.ord`. Its id.

        Raises: NotFound, Invalid for a row to supersede that is not there, or another scope's.
        """
        with self._write() as db:
            at = scope_id(db, scope)
            if row.supersedes is not None:
                if row.supersedes >> SHIFT != at:
                    raise Invalid("a row supersedes only rows of its own scope")
                self._retire(db, row.supersedes)
            db.execute("INSERT OR IGNORE INTO source VALUES(?,?,'')", (at, source))
            place = row.ord
            if place is None:
                ((last,),) = db.execute(
                    "SELECT max(ord) FROM row WHERE scope=? AND source=? AND live=1", (at, source)
                )
                place = 0 if last is None else last + 1
            (new,) = fresh(db, at, 1)
            behind = after(db, at, source, place)
            self._unindex(db, behind)
            insert(db, new, source, place, row)
            self._index(db, [new, *behind])
        return new

    def correct(self, row: int, text: str, label: Label, at: float) -> int:
        """Another text in the place of a row, which is kept but not found again; the new id.

        Raises: NotFound.
        """
        kept = self.get(row)
        old = kept.row
        new = Row(text, old.place, old.ord, old.kind, label, old.by, at, old.expires, row)
        return self.add(kept.scope, kept.source, new)

    def forget(self, *ids: int) -> int:
        """Rows, and what they superseded, are gone from every table; how many. See `compact`."""
        with self._write() as db:
            return self._forget(db, ids)

    def drop(self, scope: str, source: str) -> int:
        """A source is gone with all its rows; how many."""
        with self._write() as db:
            at = scope_id(db, scope)
            found = db.execute("SELECT id FROM row WHERE scope=? AND source=?", (at, source))
            count = self._forget(db, [i for (i,) in found])
            db.execute("DELETE FROM source WHERE scope=? AND name=?", (at, source))
        return count

    def drop_scope(self, scope: str) -> int:
        """A scope is gone with all its rows; how many."""
        with self._write() as db:
            at = scope_id(db, scope)
            found = db.execute("SELECT id FROM row WHERE id BETWEEN ? AND ?", span(at))
            count = self._forget(db, [i for (i,) in found])
            db.execute("DELETE FROM source WHERE scope=?", (at,))
        return count

    def rename(self, scope: str, old: str, new: str) -> int:
        """A source, or a folder of sources, has another name now; how many sources.

        What was under the new names is gone. Rows keep their ids and vectors.
        """
        with self._write() as db:
            at = scope_id(db, scope)
            names = [
                n
                for (n,) in db.execute("SELECT name FROM source WHERE scope=?", (at,))
                if n == old or n.startswith(old + "/")
            ]
            for name in names:
                target = new + name[len(old) :]
                if target == name:
                    continue
                over = db.execute("SELECT id FROM row WHERE scope=? AND source=?", (at, target))
                self._forget(db, [i for (i,) in over])
                values = (target, at, name)
                db.execute("UPDATE OR REPLACE source SET name=? WHERE scope=? AND name=?", values)
                db.execute("UPDATE row SET source=? WHERE scope=? AND source=?", values)
        return len(names)

    def until(self, ids: Sequence[int], when: float | None) -> int:
        """Rows expire then (seconds since 1970), or never; how many."""
        with self._write() as db:
            before = db.total_changes()
            db.executemany("UPDATE row SET expires=? WHERE id=?", [(when, i) for i in ids])
            return db.total_changes() - before

    def expire(self, now: float) -> int:
        """Forget what has expired; how many rows."""
        with self._write() as db:
            found = db.execute("SELECT id FROM row WHERE expires<=?", (now,))
            return self._forget(db, [i for (i,) in found])

    # ---- reading -------------------------------------------------------------------------------

    def get(self, row: int, now: float = 0.0) -> Kept:
        """A row, also a superseded one. Raises: NotFound."""
        with self._read() as db:
            for found in db.execute(
                f"{NAMED} WHERE row.id=? AND (expires IS NULL OR expires>?)",
                (row, now),
            ):
                return kept(found[:-1], found[-1])
        raise NotFound(f"there is no row {row} in memory", "it may be forgotten")

    def rows(self, scope: str, source: str | None = None, now: float = 0.0) -> list[Kept]:
        """The rows of a scope or of one source, in order; not what was superseded."""
        with self._read() as db:
            found = db.execute(
                f"SELECT {COLUMNS} FROM row WHERE live=1"  # noqa: S608 - names of our own
                " AND scope=(SELECT id FROM scope WHERE name=?)"
                " AND (?2 IS NULL OR source=?2) AND (expires IS NULL OR expires>?3)"
                " ORDER BY source, ord, row.id",
                (scope, source, now),
            )
            return [kept(f, scope) for f in found]

    def marks(self, scope: str) -> dict[str, str]:
        """The sources of a scope with their marks."""
        with self._read() as db:
            found = db.execute(
                "SELECT source.name, mark FROM source JOIN scope ON scope.id=source.scope"
                " WHERE scope.name=? ORDER BY source.name",
                (scope,),
            )
            return dict(found)

    def scopes(self) -> dict[str, int]:
        """All scopes that have rows, with their numbers of rows."""
        with self._read() as db:
            return dict(
                db.execute(
                    "SELECT name, (SELECT count(*) FROM row"
                    " WHERE row.scope=scope.id AND live=1) AS n FROM scope WHERE n>0 ORDER BY name"
                )
            )

    def search(
        self,
        scopes: Sequence[str],
        query: str,
        vector: Vector | None = None,
        *,
        tokens: int = 1000,
        limit: int | None = None,
        now: float = 0.0,
        only: Callable[[Kept], bool] | None = None,
    ) -> Found:
        """Rows of these scopes that answer a query, best first, as many as `tokens` hold.

        `vector` is the query's; without one, words alone decide. `only`: which of them may be
        shown. No query is wrong.
        """
        return self._mended(
            lambda: self._chosen(self._ranked(scopes, query, vector), now, only, tokens, limit)
        )

    def _ranked(self, scopes: Sequence[str], query: str, vector: Vector | None) -> dict[int, float]:
        """Ids with their scores, best first."""
        with self._read() as db:
            parts = scope_ids(db, scopes)
            words = retrieve.terms(query)
            views = [
                (retrieve.BOTH, by_words(db, parts, retrieve.match(words))),
                (retrieve.OWN, by_words(db, parts, retrieve.match(words, "text"))),
            ]
            if vector is not None:
                views.append((retrieve.MEANING, self._by_meaning(db, parts, vector)))
            scores = retrieve.fuse(views)
            return dict(retrieve.lend(scores, beside(db, retrieve.best(scores))))

    def _chosen(
        self,
        ranked: dict[int, float],
        now: float,
        only: Callable[[Kept], bool] | None,
        budget: int,
        limit: int | None,
    ) -> Found:
        """The rows of a ranking that may be shown and fit."""
        with self._read() as db:
            shown = (k for k in load(db, ranked, now) if only is None or only(k))
            sized = ((k, self._count(k.row.text)) for k in shown)
            fits = list(retrieve.fill(sized, budget, limit))
        hits = tuple(Hit(k, ranked[k.id]) for k, _ in fits)
        return Found(hits, len(hits) < len(ranked), sum(size for _, size in fits))

    def _by_meaning(self, db: apsw.Connection, parts: dict[int, str], query: Vector) -> list[int]:
        return retrieve.near_enough(
            x for p in parts for x in self._vectors.nearest(db, p, query, retrieve.DEPTH)
        )
