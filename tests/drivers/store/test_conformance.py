"""What every store promises, on each make of it."""

import asyncio

import pytest

from oros.abi import chain
from oros.abi.errors import NotFound, OrosError
from oros.abi.ports import ProcessRow
from oros.drivers.store.sqlite import SqliteStore
from oros.sdk.testing.memory import Disk, MemoryStore


@pytest.fixture(params=["sqlite", "memory"])
def boot(request, tmp_path):
    """Opens the store; again, the same store as after a restart."""
    disk = Disk()
    if request.param == "sqlite":
        return lambda: SqliteStore.open(tmp_path / "j.db")
    return lambda: MemoryStore(disk)


def rows(pid: int, first: int, count: int, prev: bytes = b"") -> list:
    made = []
    for seq in range(first, first + count):
        made.append(chain.seal(pid, seq, float(seq), "parked", b'{"on":"timer"}', b"[]", prev))
        prev = made[-1].hash
    return made


def test_what_is_acknowledged_is_there_in_order_after_a_restart(boot) -> None:
    async def main() -> None:
        store, made = boot(), rows(1, 1, 60)
        waits = [store.append([r], [ProcessRow(1, r.seq, True, b"{}")]) for r in made]
        await waits[-1]
        assert all(w.done() for w in waits)
        await store.close()
        again = boot()
        assert again.events(1) == made
        chain.verify(again.events(1))
        assert again.events(1, 10, 13) == made[10:13]
        assert again.processes() == [(ProcessRow(1, 60, True, b"{}"), 60)]
        await again.close()

    asyncio.run(main())


def test_an_append_is_whole_or_not_there_and_a_failure_is_the_last_word(boot) -> None:
    async def main() -> None:
        store, made = boot(), rows(1, 1, 3)
        await store.append(made[:2])
        with pytest.raises(OrosError):
            await store.append([made[2], made[0]])
        assert store.events(1) == made[:2]
        with pytest.raises(OrosError):
            await store.append(rows(2, 1, 1))
        assert store.events(2) == []

    asyncio.run(main())


def test_blobs_by_their_hash_and_settings_by_name(boot) -> None:
    async def main() -> None:
        store = boot()
        name = store.put_blob(b"large")
        assert store.put_blob(b"large") == name
        assert store.get_blob(name) == b"large"
        with pytest.raises(NotFound):
            store.get_blob("0" * 64)
        assert store.get_setting("x") is None
        store.put_setting("x", "1")
        store.put_setting("x", "2")
        assert store.get_setting("x") == "2"
        await store.close()

    asyncio.run(main())
