"""What is not there yet is waited for: room on the disk, a folder, the store's own file."""

import asyncio

import apsw
import pytest

from oros.abi.errors import NoSpace
from oros.services.index.marks import Mark, read_mark


class Hurried:
    """A clock whose waits are short; each is told."""

    def __init__(self) -> None:
        self.waited: list[float] = []

    def wall(self) -> float:
        return 1.0

    def monotonic(self) -> float:
        return 1.0

    async def sleep(self, seconds: float) -> None:
        self.waited.append(seconds)
        await asyncio.sleep(0.01 if seconds < 100 else 3600)


def until_ready(house, meanwhile) -> list[float]:
    clock = house.indexer._clock = Hurried()

    async def main() -> None:
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            task = group.create_task(house.indexer.keep())
            while house.indexer.status()["state"] != "ready":
                meanwhile()
                await asyncio.sleep(0.01)
            task.cancel()

    asyncio.run(main())
    return clock.waited


def test_a_full_disk_is_waited_out(house):
    """The store's file may not grow: real NoSpace, nothing half-written; then it may."""
    for n in range(40):
        (house.top / f"{n:02}.txt").write_text(f"file {n} " + f"word{n} " * 2000)
    db = house.store._writer
    ((pages,),) = db.execute("PRAGMA page_count")
    db.execute(f"PRAGMA max_page_count={pages + 120}")
    with pytest.raises(NoSpace):
        house.index()
    done = {source for source, *_ in house.rows()}
    assert 0 < len(done) < 40
    seen = list[str]()

    def meanwhile() -> None:
        status = house.indexer.status()
        if status["state"] == "waiting":
            seen.append(status["why"])
            db.execute("PRAGMA max_page_count=1000000")

    until_ready(house, meanwhile)
    assert seen
    assert len({source for source, *_ in house.rows()}) == 40


def test_a_folder_that_comes_back(house):
    (house.top / "a.txt").write_text("alpha")
    away = house.top.with_name("away")
    house.top.rename(away)

    def meanwhile() -> None:
        if house.indexer.status()["state"] == "waiting" and away.exists():
            assert "gone" in house.indexer.status()["why"]
            away.rename(house.top)

    waited = until_ready(house, meanwhile)
    assert 5.0 in waited
    assert house.rows() == [("a.txt", "line 1", "alpha")]


def test_a_damaged_index_of_the_store_is_made_anew(house):
    (house.top / "a.txt").write_text("the wombat digs")
    house.index()
    house.end()
    db = apsw.Connection(str(house.home / "memory.db"))
    db.execute("DELETE FROM words_data WHERE id > 10")
    db.close()
    house.begin()
    house.index()
    assert house.search("wombat")[0]["path"] == "a.txt"
    assert house.reader.runs == 0


def test_marks_of_another_version_or_damaged_are_read_anew(house):
    (house.top / "a.txt").write_text("alpha")
    house.index()
    for bad in ("", "rubbish", "[0,1,2,3]", '[1,"2",3,4,"","","","","",0]', "[1]"):
        house.store.put(house.indexer.scope, "a.txt", [], bad)
        house.again()
        house.index()
        assert house.rows() == [("a.txt", "line 1", "alpha")]
    assert read_mark(Mark(1, 2, 3, "h").text()) == Mark(1, 2, 3, "h")


def test_what_failed_for_want_of_a_library_is_tried_again(house, monkeypatch):
    (house.top / "a.pdf").write_text("no pdf")
    house.index()
    assert house.reader.runs == 1
    house.again()
    house.index()
    assert house.reader.runs == 0
    monkeypatch.setattr(type(house.reader), "reads", lambda *_: "more")
    house.again()
    house.index()
    assert house.reader.runs == 1
