"""Folders with an index, as processes see them: over their own changes; begun and dropped."""

import asyncio
from contextlib import suppress

import pytest
from tests.services.index.conftest import Shelf

from oros.abi.ids import PERSON, Pid
from oros.abi.labels import USER
from oros.abi.ports import Caller
from oros.drivers.clock.wall import WallClock
from oros.services.index.indexes import IndexedSpace, Indexes
from oros.services.layers.workspaces import Workspaces

ME = Caller(Pid(7), "n:7:1", USER, since=4e9)


@pytest.fixture
def made(house):
    (house.top / "zoo.txt").write_text("the zebra counts its stripes\n")
    indexes = Indexes(house.memory, house.documents, Shelf(), WallClock())
    spaces = Workspaces(Shelf(), house.home / "layers")
    return house, indexes, spaces


def played(indexes, story) -> None:
    """The indexes are kept while a story goes on."""

    async def main() -> None:
        keeping = asyncio.ensure_future(indexes.keep())
        await asyncio.sleep(0)
        try:
            async with asyncio.timeout(60):
                await story()
        finally:
            keeping.cancel()
            with suppress(asyncio.CancelledError):
                await keeping

    asyncio.run(main())


async def ready(indexes, name: str) -> dict:
    for _ in range(1200):
        found = indexes.status(name)
        if found["state"] == "ready" and not found["left"]:
            return found
        await asyncio.sleep(0.05)
    raise AssertionError(found)


def paths(outcome) -> list[str]:
    return [h["path"] for h in outcome.value["hits"]]


def test_own_changes_are_found_by_who_made_them(made) -> None:
    house, indexes, spaces = made

    async def story() -> None:
        space = spaces.reviewed(house.top)
        server = IndexedSpace(space, indexes.open("zoo", house.top))
        assert (await ready(indexes, "zoo"))["done"] == 1
        assert paths(await server.search(ME, "", "how many stripes", 5)) == ["zoo.txt"]
        await server.write(ME, "new.txt", b"an okapi has stripes\n")
        assert paths(await server.search(ME, "", "okapi", 5)) == ["new.txt"]
        for other in (Caller(Pid(8), "n:8:1", USER), Caller(PERSON, "", USER)):
            assert "new.txt" not in paths(await server.search(other, "", "okapi", 5))

    played(indexes, story)


def test_one_that_is_dropped_leaves_no_row(made) -> None:
    house, indexes, _ = made

    async def story() -> None:
        indexes.open("zoo", house.top)
        await ready(indexes, "zoo")
        assert house.store.scopes()["files:/home/zoo"] == 1
        await indexes.drop("zoo")
        assert "files:/home/zoo" not in house.store.scopes()
        assert indexes.status("zoo") is None

    played(indexes, story)


def test_the_same_name_for_another_folder_is_another_index(made, tmp_path) -> None:
    house, indexes, _ = made
    other = tmp_path / "other"
    other.mkdir()
    (other / "sea.txt").write_text("the orca hums\n")

    async def story() -> None:
        first = indexes.open("zoo", house.top)
        await ready(indexes, "zoo")
        assert indexes.open("zoo", house.top) is first
        second = indexes.open("zoo", other)
        await ready(indexes, "zoo")
        assert paths(await second.search(ME, "", "what does the orca do", 5)) == ["sea.txt"]
        assert {k.source for k in house.store.rows("files:/home/zoo")} == {"sea.txt"}

    played(indexes, story)
