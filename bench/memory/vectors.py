"""The vectors of the bench: clustered, with labels that say nothing of the clusters."""

import json
import os
import resource
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

DIMS, LABELS, QUERIES, K, UPDATES = 384, 100, 200, 10, 1000


class Data:
    """Vectors, labels, queries, and what is nearest with the label of each query."""

    def __init__(self, rows: int, seed: int = 3) -> None:
        chance = np.random.default_rng(seed)
        centres = chance.normal(size=(rows // 200 + 1, DIMS)).astype("f4")
        self.vectors = centres[chance.integers(0, len(centres), rows)]
        self.vectors += 0.7 * chance.normal(size=(rows, DIMS)).astype("f4")
        self.vectors /= np.linalg.norm(self.vectors, axis=1, keepdims=True)
        self.labels = chance.integers(0, LABELS, rows)
        picks = chance.integers(0, rows, QUERIES)
        self.queries = self.vectors[picks] + 0.03 * chance.normal(size=(QUERIES, DIMS)).astype("f4")
        self.queries /= np.linalg.norm(self.queries, axis=1, keepdims=True)
        self.asked = chance.integers(0, LABELS, QUERIES)
        self.truth = [
            self.nearest(q, self.labels == a) for q, a in zip(self.queries, self.asked, strict=True)
        ]
        self.truth_all = [self.nearest(q) for q in self.queries]

    def nearest(self, query: np.ndarray, among: np.ndarray | None = None) -> set[int]:
        scores = self.vectors @ query
        if among is not None:
            scores = np.where(among, scores, -2)
        return {int(i) for i in np.argpartition(-scores, K)[:K]}


def ask(data: Data, search: Callable[[int], list[int]], truth: list[set[int]]) -> dict[str, float]:
    """Times in milliseconds and recall of all queries."""
    search(0)
    cpu, wall, right = [], [], 0
    for n in range(QUERIES):
        c, w = time.process_time(), time.perf_counter()
        found = search(n)
        cpu.append(time.process_time() - c)
        wall.append(time.perf_counter() - w)
        right += len(set(found[:K]) & truth[n])
    middle = QUERIES // 2
    return {
        "cpu": sorted(cpu)[middle] * 1e3,
        "wall": sorted(wall)[middle] * 1e3,
        "recall": right / (K * QUERIES),
    }


def told(place: Path, **figures: object) -> None:
    """Print the figures, with the memory of this process and the room on disk."""
    room = sum(
        os.path.getsize(os.path.join(at, f)) for at, _, files in os.walk(place) for f in files
    )
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    now = int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6
    print(json.dumps({**figures, "disk": room / 1e6, "peak": rss, "rss": now}))
