"""The store of memory: text, words and vectors, by its own calls."""

import time
from pathlib import Path

from vectors import LABELS, UPDATES, Data, ask, told

from oros.services.memory.rows import Row
from oros.services.memory.store import Store
from oros.services.memory.table import scope_ids


def filled(place: Path, data: Data, scopes: int) -> tuple[Store, dict[int, int], list[str]]:
    """Rows with text and vectors, in the order they come; ids to numbers, names of scopes."""
    store = Store.open(place / "memory.db")
    store.use("bench")
    names = [f"app:{n}" for n in range(scopes)]
    numbers: dict[int, int] = {}
    order = sorted(range(len(data.vectors)), key=lambda i: (i // 10_000, data.labels[i]))
    groups: dict[tuple[int, int], list[int]] = {}
    for i in order:
        groups.setdefault((i // 10_000, data.labels[i] % scopes), []).append(i)
    for (part, label), members in groups.items():
        rows = [Row(f"note {i} of part {part}, label {label}") for i in members]
        ids = store.put(names[label], f"part{part}", rows)
        numbers |= dict(zip(ids, members, strict=True))
        pairs = store.pending(len(ids), ids)
        store.embedded("bench", [(p, data.vectors[numbers[p[0]]].tobytes()) for p in pairs])
    return store, numbers, names


def run(place: Path, data: Data) -> None:
    start = time.perf_counter()
    store, numbers, names = filled(place, data, LABELS)
    insert = time.perf_counter() - start
    with store._read() as db:
        parts = list(scope_ids(db, names))

        def search(n: int) -> list[int]:
            query = data.queries[n].tobytes()
            found = store._vectors.nearest(db, parts[data.asked[n]], query, 10)
            return [numbers[i] for i, _ in found]

        filtered = ask(data, search, data.truth)

    def whole(n: int) -> list[int]:
        scope = names[data.asked[n]]
        store.search([scope], f"note {n} label", data.queries[n].tobytes(), limit=10)
        return []

    hybrid = ask(data, whole, data.truth)
    start = time.perf_counter()
    ids = list(numbers)[:UPDATES]
    pairs = [
        (i, *row)
        for i in ids
        for row in store._writer.execute("SELECT before, text FROM seen WHERE id=?", (i,))
    ]
    store.embedded("bench", [(p, data.vectors[0].tobytes()) for p in pairs])
    update = time.perf_counter() - start
    store.compact()
    store.close()
    told(place, insert=insert, filtered=filtered, hybrid=hybrid, update=update)


def run_one(place: Path, data: Data) -> None:
    """All rows in one scope: picked by bits, ordered by their vectors."""
    store, numbers, (name,) = filled(place, data, 1)
    with store._read() as db:
        (part,) = scope_ids(db, [name])

        def search(n: int) -> list[int]:
            found = store._vectors.nearest(db, part, data.queries[n].tobytes(), 10)
            return [numbers[i] for i, _ in found]

        start = time.perf_counter()
        search(0)
        first = time.perf_counter() - start
        every = ask(data, search, data.truth_all)
    store.close()
    told(place, first=first, filtered=every)
