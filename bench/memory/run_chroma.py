"""Chroma: a collection on disk, filtered by metadata."""

import time
from pathlib import Path

import chromadb
from vectors import UPDATES, Data, ask, told


def run(place: Path, data: Data) -> None:
    start = time.perf_counter()
    quiet = chromadb.config.Settings(anonymized_telemetry=False)
    client = chromadb.PersistentClient(str(place), settings=quiet)
    rows = client.create_collection("rows", embedding_function=None)

    def put(ids: range) -> None:
        rows.upsert(
            ids=[str(i) for i in ids],
            embeddings=data.vectors[ids.start : ids.stop],
            metadatas=[{"label": int(data.labels[i])} for i in ids],
        )

    for at in range(0, len(data.vectors), 1000):
        put(range(at, min(at + 1000, len(data.vectors))))
    insert = time.perf_counter() - start

    def search(n: int) -> list[int]:
        found = rows.query(
            query_embeddings=data.queries[n : n + 1],
            n_results=10,
            where={"label": int(data.asked[n])},
            include=[],
        )
        return [int(i) for i in found["ids"][0]]

    filtered = ask(data, search, data.truth)
    start = time.perf_counter()
    put(range(UPDATES))
    told(place, insert=insert, filtered=filtered, update=time.perf_counter() - start)
