"""LanceDB: a flat table, filtered before the search."""

import time
from pathlib import Path

import lancedb
import pyarrow as pa
from vectors import DIMS, UPDATES, Data, ask, told


def run(place: Path, data: Data) -> None:
    start = time.perf_counter()
    shape = pa.schema(
        [("id", pa.int64()), ("label", pa.int64()), ("vector", pa.list_(pa.float32(), DIMS))]
    )
    table = lancedb.connect(str(place)).create_table("rows", schema=shape)

    def rows(ids: range) -> list[dict]:
        return [{"id": i, "label": int(data.labels[i]), "vector": data.vectors[i]} for i in ids]

    for at in range(0, len(data.vectors), 1000):
        table.add(rows(range(at, min(at + 1000, len(data.vectors)))))
    insert = time.perf_counter() - start

    def search(n: int) -> list[int]:
        query = table.search(data.queries[n]).where(f"label = {data.asked[n]}", prefilter=True)
        return [r["id"] for r in query.limit(10).select(["id"]).to_list()]

    filtered = ask(data, search, data.truth)
    start = time.perf_counter()
    changed = table.merge_insert("id").when_matched_update_all().when_not_matched_insert_all()
    changed.execute(rows(range(UPDATES)))
    told(place, insert=insert, filtered=filtered, update=time.perf_counter() - start)
