"""USearch: an HNSW index in memory, saved by hand. It has no filter: 1,000 are found and sifted."""

import time
from pathlib import Path

import numpy as np
from usearch.index import Index
from vectors import DIMS, UPDATES, Data, ask, told


def run(place: Path, data: Data) -> None:
    start = time.perf_counter()
    index = Index(ndim=DIMS, metric="cos")
    for at in range(0, len(data.vectors), 1000):
        part = data.vectors[at : at + 1000]
        index.add(np.arange(at, at + len(part)), part, threads=2)
    index.save(str(place / "rows.usearch"))
    insert = time.perf_counter() - start

    def search(n: int) -> list[int]:
        keys = index.search(data.queries[n], 1000, threads=1).keys
        return [int(i) for i in keys[data.labels[keys] == data.asked[n]][:10]]

    filtered = ask(data, search, data.truth)
    start = time.perf_counter()
    for i in range(UPDATES):
        index.remove(i)
    index.add(np.arange(UPDATES), data.vectors[:UPDATES], threads=2)
    index.save(str(place / "rows.usearch"))
    told(place, insert=insert, filtered=filtered, update=time.perf_counter() - start)
