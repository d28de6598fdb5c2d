"""Memory on the loop: rows at once, vectors when the embedder comes to it."""

import asyncio
import struct

import pytest
from tests.waits import until

from oros.abi.errors import NotFound, Unreachable
from oros.abi.labels import THIRD, USER
from oros.drivers.clock.wall import WallClock
from oros.services.memory import live
from oros.services.memory.live import AT_ONCE, Memory
from oros.services.memory.rows import Put, Row
from oros.services.memory.store import Store

SENSES = {"dog": 0, "puppy": 0, "bank": 1, "money": 1, "sea": 2, "ocean": 2}


class Senses:
    """An embedder that knows six words; it can fail."""

    dims = 4

    def __init__(self, name: str = "senses") -> None:
        self.name = name
        self.seen: list[str] = []
        self.broken = False

    async def embed(self, texts, *, query=False) -> list[bytes]:
        await asyncio.sleep(0)
        if self.broken:
            raise Unreachable("nobody answers")
        self.seen += texts
        found = []
        for text in texts:
            v = [0.0, 0.0, 0.0, 0.01]
            for word in text.lower().split():
                if word in SENSES:
                    v[SENSES[word]] += 1.0
            size = sum(x * x for x in v) ** 0.5
            found.append(struct.pack("<4f", *(x / size for x in v)))
        return found

    async def close(self) -> None:
        pass


def run(tmp_path, check, embedder=None) -> None:
    async def main() -> None:
        store = Store.open(tmp_path / "memory.db")
        try:
            await check(Memory(store, WallClock(), embedder), store)
        finally:
            store.close()

    asyncio.run(main())


def test_few_rows_are_found_by_meaning_at_once(tmp_path) -> None:
    pytest.importorskip("sqlite_vec", reason="the extra `memory` is not installed")

    async def check(memory, store) -> None:
        await memory.put("user", "a", [Row("my puppy"), Row("the ocean")])
        await memory.add("user", "b", Row("the money"))
        assert store.pending() == []
        assert (await memory.search(["user"], "bank")).hits[0].kept.row.text == "the money"
        assert (await memory.search(["user"], "dog")).hits[0].kept.row.text == "my puppy"

    run(tmp_path, check, Senses())


def test_many_rows_are_embedded_by_keep_and_again_for_another_model(tmp_path) -> None:
    async def check(memory, store) -> None:
        rows = [Row(f"sea {n}") for n in range(AT_ONCE + 60)]
        await memory.put("user", "a", rows)
        assert len(store.pending(1000)) == len(rows)
        assert (await memory.search(["user"], "sea", limit=3)).hits  # by words meanwhile
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            task = group.create_task(memory.keep())
            await until(lambda: not store.pending())
            task.cancel()
        other = Memory(store, WallClock(), Senses("other"))
        assert len(store.pending(1000)) == len(rows)
        await other.settle()
        assert store.pending() == []

    run(tmp_path, check, Senses())


def test_a_broken_embedder_delays_vectors_only(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(live, "LATER", 0.01)

    async def check(memory, store) -> None:
        senses.broken = True
        await memory.add("user", "a", Row("the ocean"))
        assert (await memory.search(["user"], "ocean")).hits
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            task = group.create_task(memory.keep())
            await asyncio.sleep(0.05)
            assert store.pending()
            senses.broken = False
            await until(lambda: not store.pending())
            task.cancel()

    senses = Senses()
    run(tmp_path, check, senses)


def test_without_an_embedder_and_what_is_forgotten_is_written_over(tmp_path) -> None:
    async def check(memory, store) -> None:
        new = await memory.add("user", "a", Row("the zyxwvut ocean", label=USER))
        newer = await memory.correct(new, "the zyxwvut sea", THIRD)
        assert (await memory.get(newer)).row.supersedes == new
        assert [k.id for k in await memory.rows("user")] == [newer]
        assert await memory.rename("user", "a", "b") == 1
        assert await memory.marks("user") == {"b": ""}
        assert await memory.forget(newer) == 1
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            task = group.create_task(memory.keep())
            await until(lambda: not memory._forgotten)
            task.cancel()
        with pytest.raises(NotFound):
            await memory.get(new)
        await memory.add("app:x", "a", Row("one"))
        assert await memory.drop("app:x") == 1

    run(tmp_path, check)
    for path in tmp_path.iterdir():
        assert b"zyxwvut" not in path.read_bytes()


def test_rows_of_a_source_like_another_take_its_vectors_over(tmp_path) -> None:
    async def check(memory, store) -> None:
        rows = [Row(f"sea {n}") for n in range(20)]
        await memory.put("files:x", "a", rows)
        await memory.settle()
        senses.seen.clear()
        changed = [*rows[:10], Row("a bank"), *rows[10:]]
        await memory.put_all("files:x", [Put("b", rows, like="a"), Put("c", changed, like="a")])
        assert {text for _, _, text in store.pending()} == {"a bank", "sea 10"}
        await memory.settle()
        assert set(senses.seen) == {"a bank", "sea 9\na bank", "sea 10", "a bank\nsea 10"}
        made = vectors(store, "a")
        again = [Row(r.text, label=USER) for r in rows]  # the same words, under another label
        await memory.put_all("files:x", [Put("a", again, like="a")])
        assert (store.pending(), vectors(store, "a")) == ([], made)
        await memory.drop("files:x", "a")
        assert vectors(store, "b") == made
        assert len(made) == 20

    def vectors(store, source: str) -> list[bytes]:
        asked = "SELECT data FROM vector WHERE id=?"
        kept = store.rows("files:x", source)
        return [store._writer.execute(asked, (k.id,)).fetchone()[0] for k in kept]

    senses = Senses()
    run(tmp_path, check, senses)
