"""Races are decided by what is in the folder: once, whatever cuts a commit short."""

import asyncio
import json
import threading
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from oros.abi.errors import AccessDenied, Exists
from oros.abi.ids import Pid
from oros.abi.labels import USER
from oros.abi.ports import Caller
from oros.kernel.process import Process, State, Table
from oros.services.layers.workspaces import Request, Workspaces
from oros.services.proc import ProcServer
from oros.services.races import Races

PERSON = Caller(0, "p", USER)


class Shelf(dict):
    """Settings in memory; `watch` is called, where it is written, before each word."""

    watch: Callable[[], object] = staticmethod(lambda: None)
    get_setting = dict.get

    def put_setting(self, key: str, value: str) -> None:
        self.watch()
        self[key] = value


class Course:
    """Copies 3, 4 and 5 of a race, each with a file of its own that waits."""

    def __init__(self, folder) -> None:
        (folder / "work").mkdir()
        self.work, self.ended = folder / "work", []
        self.shelf = Shelf()
        self.spaces = Workspaces(self.shelf, folder / "layers")
        self.rows = [Process(Pid(n), race=Pid(3), state=State.READY) for n in (3, 5, 4)]
        table = Table()
        for row in self.rows:
            table.add(row)
        machine = SimpleNamespace(table=table, done={}, find=table.__getitem__)
        self.races = Races(machine, self.spaces.won, self.call)
        self.proc = ProcServer(machine, self.spaces, self.races)

    async def call(self, name, args) -> None:
        assert (name, args["signal"]) == ("kill", "LOST")
        self.ended.append((args["pid"], args["text"]))
        next(r for r in self.rows if r.pid == args["pid"]).state = State.ZOMBIE

    async def write(self, pid: int, name: str) -> None:
        who = Caller(pid, f"n:{pid}:1", USER, since=1.0)
        await self.spaces.space(self.work).write(who, name, b"text", review=True)

    async def act(self, pid: int, who: Caller = PERSON, **words):
        return (await self.proc.write(who, f"{pid}/layers", json.dumps(words).encode())).value


def play(folder, story) -> Course:
    async def main() -> Course:
        course = Course(folder)
        for pid in (3, 4, 5):
            await course.write(pid, f"of{pid}")
        await story(course)
        return course

    return asyncio.run(main())


def test_of_two_commits_at_once_one_wins(tmp_path) -> None:
    async def story(course: Course) -> None:
        acts = [course.act(pid, do="commit") for pid in (5, 4)]
        won, late = await asyncio.gather(*acts, return_exceptions=True)
        assert won == {"done": ["of5"], "waits": {}, "lost": [3, 4]}
        assert isinstance(late, Exists)

    course = play(tmp_path, story)
    assert course.ended == [(3, "process 5 was committed"), (4, "process 5 was committed")]
    assert [p.name for p in course.work.iterdir()] == ["of5"]


def test_who_goes_away_in_the_middle_of_a_commit_has_chosen(tmp_path) -> None:
    async def story(course: Course) -> None:
        loop, begun, gone = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

        def watch() -> None:
            loop.call_soon_threadsafe(begun.set)
            assert gone.wait(30)

        course.shelf.watch = watch
        task = asyncio.ensure_future(course.act(4, do="commit"))
        await begun.wait()
        task.cancel()
        loop.call_soon(gone.set)
        await asyncio.wait([task])
        assert task.cancelled()
        assert (course.work / "of4").exists()

    assert [pid for pid, _ in play(tmp_path, story).ended] == [3, 5]


def test_what_a_crash_left_is_finished_by_the_next_start_or_commit(tmp_path) -> None:
    async def story(course: Course) -> None:
        await course.spaces.act(PERSON, Pid(4), Request("commit"))
        assert course.ended == []
        with pytest.raises(Exists):
            await course.act(5, do="commit")
        assert [pid for pid, _ in course.ended] == [3, 5]
        await course.races.settle()
        assert len(course.ended) == 2

    play(tmp_path, story)


def test_one_that_wins_beside_another_goes_on(tmp_path) -> None:
    """Both were wanted: neither the next commit nor the next start ends one of them."""

    async def story(course: Course) -> None:
        assert (await course.act(4, do="commit"))["lost"] == [3, 5]
        for row in course.rows:
            row.state = State.READY
        assert (await course.act(5, do="commit", force=True))["lost"] == [3]
        await course.races.settle()

    assert [pid for pid, _ in play(tmp_path, story).ended] == [3, 5, 3]


def test_what_was_undone_is_not_done_again_over_another_choice(tmp_path) -> None:
    async def story(course: Course) -> None:
        await course.act(4, do="commit")
        await course.act(4, do="undo")
        assert (await course.act(5, do="commit"))["lost"] == [4]
        with pytest.raises(Exists):
            await course.act(4, do="redo")
        await course.act(5, do="undo")
        assert [c["paths"] for c in (await course.act(4, do="redo"))["done"]] == [["of4"]]

    play(tmp_path, story)


def test_what_is_made_for_a_copy_is_that_copys(tmp_path) -> None:
    async def story(course: Course) -> None:
        child = Process(Pid(8), ppid=Pid(4), state=State.ZOMBIE)
        course.races._m.table.add(child)
        await course.write(8, "of8")
        assert (await course.act(8, do="commit"))["lost"] == [3, 5]
        with pytest.raises(Exists, match="process 5 lost its race: process 8 was committed") as e:
            await course.act(5, do="commit")
        assert "oros undo 8 --to 0 first" in e.value.hint
        assert (await course.act(4, do="commit"))["done"] == ["of4"]
        course.races._m.table.add(Process(Pid(9), ppid=Pid(5), state=State.ZOMBIE))
        await course.write(9, "of9")
        with pytest.raises(Exists):
            await course.act(9, do="commit")

    assert [pid for pid, _ in play(tmp_path, story).ended] == [3, 5]


def test_a_commit_that_brings_nothing_decides_nothing(tmp_path) -> None:
    async def story(course: Course) -> None:
        (course.work / "of4").write_text("mine")
        assert (await course.act(4, do="commit"))["lost"] == []
        with pytest.raises(AccessDenied):
            await course.act(5, Caller(5, "n:5:2", USER), do="commit")
        assert (await course.act(5, do="commit"))["lost"] == [3, 4]

    play(tmp_path, story)
