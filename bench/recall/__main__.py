"""python -m bench.recall [--data locomo10.json]: evidence among what memory finds, by method.

Without --data, conversations of our own making, which are small and easy. LoCoMo's data is under
CC BY-NC 4.0 and not part of this repository: give its path. All methods use the product's own
store, views and ranking code. Vectors are kept under bench/.out. Exit code 1 if a bar is missed.
"""

import argparse
import asyncio
import hashlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.recall.made import made
from bench.recall.talks import Question, Talk, read, talk
from oros.abi.errors import OrosError
from oros.drivers.clock.wall import WallClock
from oros.drivers.embed.minilm.driver import MiniLM
from oros.sdk.address import home_of
from oros.services.memory import retrieve
from oros.services.memory.live import Memory
from oros.services.memory.rows import Row, Vector, tokens
from oros.services.memory.store import Store
from oros.services.memory.table import by_words, load, scope_ids
from oros.services.weights.catalog import MINILM
from oros.services.weights.pull import pull_all

OUT = Path(__file__).resolve().parent.parent / ".out"
TOPS = (5, 10, 20)
BUDGETS = (256, 512, 1000, 2000, 4000)
MANY = 10_000
BARS = {"ours": (0.62, 0.72, 0.80), "ours, no model": (None, 0.69, None)}
"""Of r@5, r@10 and the evidence in 1,000 tokens, on LoCoMo."""

Ranking = Callable[[Store, str, str, Vector | None], list[int]]


def words_of(column: str) -> Ranking:
    def ranked(store: Store, scope: str, query: str, _: Vector | None) -> list[int]:
        with store._read() as db:
            match = retrieve.match(retrieve.terms(query), column)
            return by_words(db, scope_ids(db, [scope]), match)

    return ranked


def meaning(store: Store, scope: str, _: str, vector: Vector | None) -> list[int]:
    with store._read() as db:
        (part,) = scope_ids(db, [scope])
        return [i for i, _ in store._vectors.nearest(db, part, vector, retrieve.DEPTH)]


def textbook(store: Store, scope: str, query: str, vector: Vector | None) -> list[int]:
    views = [words_of("text")(store, scope, query, None), meaning(store, scope, query, vector)]
    scores = retrieve.fuse([(1.0, v) for v in views], 60.0)
    return sorted(scores, key=lambda i: (-scores[i], i))


def ours(store: Store, scope: str, query: str, vector: Vector | None) -> list[int]:
    return list(store._ranked([scope], query, vector))


def no_model(store: Store, scope: str, query: str, _: Vector | None) -> list[int]:
    return list(store._ranked([scope], query, None))


METHODS: dict[str, tuple[Ranking, bool]] = {
    "BM25, turn": (words_of("text"), False),
    "BM25, turn before + turn": (words_of(""), False),
    "ours, no model": (no_model, False),
    "dense (MiniLM)": (meaning, True),
    "RRF k=60, BM25 + dense": (textbook, True),
    "ours": (ours, True),
}


def fill(store: Store, talks: list[Talk]) -> dict[tuple[int, int, int], int]:
    """Keep the turns, if they are not yet; the id of each (talk, session, number)."""
    found = {}
    for n, one in enumerate(talks):
        for s, turns in enumerate(one.sessions):
            ids = store.put(f"app:talk{n}", f"{s:03}", [Row(t, kind="note") for t in turns])
            found |= {(n, s, i): row for i, row in enumerate(ids)}
    return found


def measured(
    store: Store, ranked: list[int], wanted: set[int], cost: dict[int, int]
) -> list[float]:
    """Parts of the evidence among the first rows, and inside budgets of tokens."""
    figures = [len(wanted & set(ranked[:top])) / len(wanted) for top in TOPS]
    new = [i for i in ranked if i not in cost]
    with store._read() as db:
        cost |= {k.id: tokens(k.row.text) for k in load(db, new, 0.0)}
    for budget in BUDGETS:
        got = {i for i, _ in retrieve.fill([(i, cost[i]) for i in ranked], budget)}
        figures.append(len(wanted & got) / len(wanted))
    return figures


def table(rows: dict[str, list[list[float]]], title: str) -> dict[str, list[float]]:
    """Print the means."""
    print(f"\n{title}\n")
    heads = [f"r@{t}" for t in TOPS] + [f"{b} tokens" for b in BUDGETS]
    print("| method | " + " | ".join(heads) + " |\n|" + "---|" * (len(heads) + 1))
    means = {name: [statistics.mean(c) for c in zip(*f, strict=True)] for name, f in rows.items()}
    for name, found in means.items():
        print(f"| {name} | " + " | ".join(f"{x:.3f}" for x in found) + " |")
    return means


async def vectors(embedder: MiniLM | None, questions: list[Question]) -> list[Vector | None]:
    if embedder is None:
        return [None] * len(questions)
    return [(await embedder.embed([q.text], query=True))[0] for q in questions]


def quality(store: Store, talks: list[Talk], asked: list[tuple[int, Question, Vector | None]]):
    """The tables: all, and each half."""
    ids = fill(store, talks)
    half = (len(talks) + 1) // 2
    cost: dict[int, int] = {}
    rows: dict[str, list[tuple[int, int, list[float]]]] = {}
    for name, (method, needs) in METHODS.items():
        if needs and asked[0][2] is None:
            continue
        for n, q, vector in asked:
            ranked = method(store, f"app:talk{n}", q.text, vector)
            wanted = {ids[n, s, i] for s, i in q.evidence}
            figures = measured(store, ranked, wanted, cost)
            rows.setdefault(name, []).append((n, q.category, figures))
    means = table({k: [f for *_, f in v] for k, v in rows.items()}, "All questions")
    table(
        {k: [f for n, _, f in v if n < half] for k, v in rows.items()},
        f"Talks 1-{half}, the half that settings are chosen on",
    )
    rest = {k: [f for n, _, f in v if n >= half] for k, v in rows.items()}
    table(rest, f"Talks {half + 1}-{len(talks)}, the half that settings are checked on")
    return means


async def latency(embedder: MiniLM | None, talks: list[Talk], questions: list[Question]) -> float:
    """Seconds of a search over many rows in one scope, the query's vector included; the median."""
    turns = [t for one in talks for s in one.sessions for t in s]
    texts = [f"{turns[n % len(turns)]} ({n})" for n in range(MANY)]
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(Path(folder) / "memory.db")
        for at in range(0, MANY, 100):
            store.put("user", f"{at:06}", [Row(t) for t in texts[at : at + 100]])
        memory = Memory(store, WallClock(), embedder)
        if embedder is not None:
            known = dict(zip(turns, await embedder.embed(turns), strict=True))
            while waiting := store.pending(1000):
                done = [(p, known[p[2].rpartition(" (")[0]]) for p in waiting]
                store.embedded(embedder.name, done)
        took = []
        for q in questions[:300]:
            start = time.perf_counter()
            await memory.search(["user"], q.text)
            took.append(time.perf_counter() - start)
        store.close()
    took.sort()
    p50, p95 = took[len(took) // 2], took[int(len(took) * 0.95)]
    with_it = "with" if embedder else "without"
    print(f"\nsearch over {MANY} rows, {with_it} the model: p50 {p50 * 1e3:.1f} ms, ", end="")
    print(f"p95 {p95 * 1e3:.1f} ms")
    return p50


async def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.recall")
    parser.add_argument("--data", type=Path, help="locomo10.json; else a set of our own making")
    parser.add_argument("--no-model", action="store_true", help="words alone")
    options = parser.parse_args()
    talks = read(options.data) if options.data else [talk(x) for x in made()]
    embedder = None
    if not options.no_model:
        try:
            embedder = MiniLM(*await pull_all(MINILM, home_of() / "models", lambda _: None))
            await embedder.embed(["ready"])
        except OrosError as e:
            print(f"no model: {e}", file=sys.stderr)
            embedder = None
    key = hashlib.sha256(json.dumps([t.sessions for t in talks]).encode()).hexdigest()[:12]
    OUT.mkdir(parents=True, exist_ok=True)
    store = Store.open(OUT / f"recall-{key}.db")
    fill(store, talks)
    start = time.perf_counter()
    waiting = len(store.pending(10**6))
    await Memory(store, WallClock(), embedder).settle()
    asked = [(n, q) for n, one in enumerate(talks) for q in one.questions]
    turns = sum(store.scopes().values())
    print(f"{len(talks)} talks, {turns} turns, {len(asked)} questions")
    if embedder and waiting:
        rate = waiting / (time.perf_counter() - start)
        print(f"{waiting} rows embedded, {rate:.0f} a second (two texts a row)")
    found = await vectors(embedder, [q for _, q in asked])
    means = quality(store, talks, [(n, q, v) for (n, q), v in zip(asked, found, strict=True)])
    store.close()
    p50 = await latency(embedder, talks, [q for _, q in asked])
    if embedder:
        await latency(None, talks, [q for _, q in asked])
        await embedder.close()
    missed = [] if p50 < 0.05 else ["p50 < 50 ms"]
    if options.data:
        for name, bars in BARS.items():
            figures = means.get(name, [1.0] * 5)
            got = (figures[0], figures[1], figures[len(TOPS) + 2])
            missed += [
                f"{name}: {g:.3f} < {b}" for g, b in zip(got, bars, strict=True) if b and g < b
            ]
    print("\n" + ("missed: " + "; ".join(missed) if missed else "all bars are reached"))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
