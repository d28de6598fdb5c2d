"""The statements of memory: rows to and from the tables, ids, neighbours, the views of a search."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apsw

from oros.services.memory import retrieve
from oros.services.memory.rows import Kept, Row, label_of, label_text
from oros.services.memory.vectors import SHIFT, span

COLUMNS = "row.id,source,place,ord,kind,label,pid,seq,at,expires,supersedes,text"
NAMED = f"SELECT {COLUMNS}, scope.name FROM row JOIN scope ON scope.id=row.scope"  # noqa: S608 - ours
INSERT = """INSERT INTO
row(id,scope,source,ord,live,place,text,kind,label,pid,seq,at,expires,supersedes)
VALUES(?,?,?,?,1,?,?,?,?,?,?,?,?,?)"""
RETIRED = "SELECT id FROM row WHERE scope=? AND source=? AND live=0"
PLACE = "SELECT id,scope,source,ord,live FROM row WHERE id=?"
CHAIN = """WITH RECURSIVE chain(id) AS (SELECT ? UNION
SELECT supersedes FROM row JOIN chain ON row.id=chain.id WHERE supersedes IS NOT NULL)
SELECT id FROM chain"""
EMPTY = """DELETE FROM source WHERE scope=? AND name=? AND mark='' AND NOT EXISTS(
SELECT 1 FROM row WHERE row.scope=source.scope AND row.source=source.name)"""
HERE = "SELECT scope,source,ord,id FROM row WHERE id=?"
ABOVE = """SELECT id FROM row WHERE scope=? AND source=? AND live=1 AND (ord,id)<(?,?)
ORDER BY ord DESC, id DESC LIMIT ?"""
BELOW = """SELECT id FROM row WHERE scope=? AND source=? AND live=1 AND (ord,id)>(?,?)
ORDER BY ord, id LIMIT ?"""


def scope_id(db: apsw.Connection, name: str) -> int:
    """The number of a scope, made if it is new."""
    for (found,) in db.execute("SELECT id FROM scope WHERE name=?", (name,)):
        return int(found)
    db.execute("INSERT INTO scope(name,last) VALUES(?,0)", (name,))
    return db.last_insert_rowid()


def scope_ids(db: apsw.Connection, names: Iterable[str]) -> dict[int, str]:
    """The numbers of those scopes that there are, with their names."""
    found = (db.execute("SELECT id, name FROM scope WHERE name=?", (n,)) for n in names)
    return {i: name for rows in found for i, name in rows}


def fresh(db: apsw.Connection, scope: int, count: int) -> list[int]:
    """So many ids that no row of the scope ever had, rising."""
    ((last,),) = db.execute(
        "UPDATE scope SET last=last+? WHERE id=? RETURNING last", (count, scope)
    )
    return [(scope << SHIFT) + n for n in range(last - count + 1, last + 1)]


def insert(db: apsw.Connection, new: int, source: str, place: int, row: Row) -> None:
    """Write a row."""
    label = label_text(row.label)
    head = (new, new >> SHIFT, source, place, row.place, row.text, row.kind, label)
    db.execute(INSERT, (*head, *row.by, row.at, row.expires, row.supersedes))


def kept(found: Sequence[Any], scope: str) -> Kept:
    """A row as it was read by COLUMNS. Raises: Corrupt."""
    new, source, place, order, kind, label, pid, seq, at, expires, supersedes, text = found
    row = Row(text, place, order, kind, label_of(label), (pid, seq), at, expires, supersedes)
    return Kept(new, scope, source, row)


def old_rows(db: apsw.Connection, scope: int, source: str) -> list[tuple[int, str, str, str]]:
    """Id, text, label and kind of the rows of a source, in order."""
    return list(
        db.execute(
            "SELECT id,text,label,kind FROM row WHERE scope=? AND source=? AND live=1"
            " ORDER BY ord, id",
            (scope, source),
        )
    )


def assign(
    db: apsw.Connection, scope: int, old: Sequence[tuple[int, str, str, str]], rows: Sequence[Row]
) -> tuple[list[int], set[int]]:
    """Ids for the rows that a source shall have: of equal old ones, else new; and the new ones."""
    there: dict[tuple[str, str, str], list[int]] = {}
    for row, *key in reversed(old):
        there.setdefault((key[0], key[1], key[2]), []).append(row)
    keys = [(r.text, label_text(r.label), r.kind) for r in rows]
    ids = [there[k].pop() if there.get(k) else 0 for k in keys]
    new = fresh(db, scope, ids.count(0))
    left = iter(new)
    return [i or next(left) for i in ids], set(new)


def befores(rows: Iterable[tuple[int, str]]) -> dict[int, str]:
    """For each row of a source, in order, the text before it."""
    found, last = {}, ""
    for row, text in rows:
        found[row], last = last, text
    return found


def after(db: apsw.Connection, scope: int, source: str, place: int) -> list[int]:
    """The rows that have what stands at a place before them."""
    found = db.execute(
        "SELECT id FROM row WHERE scope=?1 AND source=?2 AND live=1 AND ord="
        "(SELECT min(ord) FROM row WHERE scope=?1 AND source=?2 AND live=1 AND ord>?3)",
        (scope, source, place),
    )
    return [i for (i,) in found]


def beside(db: apsw.Connection, rows: Iterable[int]) -> dict[int, list[tuple[int, int]]]:
    """The rows near each in its source, with how far they are."""
    far = len(retrieve.LENT)
    return {
        row: [
            (i, n)
            for side in (ABOVE, BELOW)
            for n, (i,) in enumerate(db.execute(side, (*here, far)), 1)
        ]
        for row in rows
        for here in list(db.execute(HERE, (row,)))
    }


def by_words(db: apsw.Connection, scopes: Iterable[int], expression: str) -> list[int]:
    """Rows of scopes that match an expression, best first, by BM25."""
    found: list[tuple[float, int]] = []
    if expression:
        for scope in scopes:
            found += db.execute(
                "SELECT rank, rowid FROM words WHERE words MATCH ? AND rowid BETWEEN ? AND ?"
                " ORDER BY rank LIMIT ?",
                (expression, *span(scope), retrieve.DEPTH),
            )
    return [i for _, i in sorted(found)[: retrieve.DEPTH]]


def load(db: apsw.Connection, ids: Iterable[int], now: float) -> Iterator[Kept]:
    """Rows that have not expired, in the order of `ids`."""
    for i in ids:
        for found in db.execute(
            f"{NAMED} WHERE row.id=? AND live=1 AND (expires IS NULL OR expires>?)",
            (i, now),
        ):
            yield kept(found[:-1], found[-1])
