"""Python that remembers from one `run` to the next, over a folder that is as it should be."""

import asyncio
import contextlib
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.open_files import descriptors
from tests.services.run.conftest import Shelf
from tests.waits import until

from oros.abi.errors import NotEnforced
from oros.abi.labels import USER
from oros.abi.message import FilePart, ImagePart
from oros.abi.ports import Caller
from oros.boot.devices import packages
from oros.drivers.sandbox.zygote.warm import Zygote
from oros.services.layers.workspaces import Workspaces
from oros.services.run import cells as module
from oros.services.run.cells import Cells
from oros.services.run.device import Means, RunDevice
from oros.services.run.earlier import Earlier


@dataclass
class Bench:
    """A process and what runs its Python."""

    device: RunDevice
    cells: Cells
    spaces: Workspaces
    shelf: Shelf
    work: Path
    calls: int = 0
    pid: int = 7

    def caller(self) -> Caller:
        self.calls += 1
        return Caller(self.pid, f"n:{self.pid}:{self.calls}", USER, since=4e9)

    async def outcome(self, source: str, **args):
        return await self.device.perform(self.caller(), {"python": source, **args})

    async def run(self, source: str, **args) -> dict:
        return (await self.outcome(source, **args)).value

    async def values(self, *sources: str) -> list:
        return [(await self.run(s)).get("value") for s in sources]


@pytest.fixture
def bench(bwrap, shelf, work, tmp_path):
    """Do something with a bench: all is closed after it."""

    def play(act, **more):
        async def go():
            spaces = Workspaces(shelf, tmp_path / "layers")

            async def make() -> Zygote:
                return Zygote(await bwrap.walls(), packages())

            known = {"make": make, "past": lambda _: [], "alive": lambda _: True, **more}
            cells = Cells(**known)
            means = Means(bwrap, bwrap.python, cells, packages())
            device = RunDevice(means, spaces.space(work), shelf)
            try:
                return await act(Bench(device, cells, spaces, shelf, work))
            finally:
                await cells.close()

        return asyncio.run(go())

    return play


def test_what_one_run_defines_the_next_one_knows(bench) -> None:
    async def act(b: Bench):
        return [await b.run(s) for s in ("x = 20\ndef f(y): return x + y", "f(22)", "print(x)")]

    first, second, third = bench(act)
    assert (first["cell"], second["cell"], third["cell"]) == (1, 2, 3)
    assert (first["exit"], second["value"], third["out"]) == (0, "42", "20\n")
    assert "note" not in first | second | third


def test_each_process_has_its_own(bench) -> None:
    async def act(b: Bench):
        await b.run("x = 1")
        b.pid = 8
        return await b.run("x")

    assert bench(act)["error"].endswith("NameError: name 'x' is not defined")


def test_stdin_and_fresh_are_programs_of_their_own(bench) -> None:
    async def act(b: Bench):
        await b.run("x = 1")
        fresh = await b.run("print('x' in globals())", fresh=True)
        given = await b.run("print(input(), 'x' in globals())", stdin="hello")
        return fresh, given, await b.run("x")

    fresh, given, after = bench(act)
    assert fresh["out"] == "False\n"
    assert given["out"] == "hello False\n"
    assert "cell" not in fresh | given
    assert after["value"] == "1"


def test_its_changes_are_layers_and_it_sees_the_users(bench, work) -> None:
    """Between two calls the folder changes in every way that it can."""

    async def act(b: Bench):
        one = await b.run("open('mine', 'w').write('1')")
        (work / "theirs").write_text("the user's")
        await b.device._space.write(b.caller(), "called", b"by a call")
        seen = await b.run("import os; sorted(os.listdir()), open('called').read()")
        two = await b.run("os.remove('theirs'); os.rename('mine', 'moved')")
        stack = b.device._space.stack(b.pid)
        stack.undo(stack.changes[-1])
        return one, seen, two, await b.run("sorted(os.listdir())")

    one, seen, two, after = bench(act)
    assert [c["path"] for c in one["changed"]] == ["/work/mine"]
    assert seen["value"] == "(['called', 'mine', 'theirs'], 'by a call')"
    assert "layer" not in seen
    assert {c["change"] for c in two["changed"]} == {"removed", "renamed"}
    assert after["value"] == "['called', 'mine', 'theirs']"
    assert (work / "theirs").read_text() == "the user's"


def test_changes_that_wait_are_seen_and_not_in_the_folder(bench, work) -> None:
    async def act(b: Bench):
        b.device._review = True
        await b.run("open('a', 'w').write('1')")
        await b.run("open('a', 'a').write('2'); open('b', 'w')")
        return await b.run("import os; sorted(os.listdir()), open('a').read()")

    assert bench(act)["value"] == "(['a', 'b'], '12')"
    assert list(work.iterdir()) == []


@pytest.mark.parametrize(
    ("source", "exit_code", "error"),
    [
        ("a = 1\n1/0", 1, "cell1.py line 2: 1/0\nZeroDivisionError: division by zero"),
        ("a = 1; import sys; sys.exit('no more')", 1, "no more"),
        ("a = 1; exit(3)", 3, None),
    ],
)
def test_an_error_is_told_as_a_programs_and_what_it_knew_stays(
    bench, source, exit_code, error
) -> None:
    async def act(b: Bench):
        return await b.run(source), await b.run("a")

    failed, after = bench(act)
    assert failed["exit"] == exit_code
    assert failed.get("error") == error
    assert (after["value"], after["cell"]) == ("1", 2)


def test_a_cell_out_of_time_is_stopped_and_what_it_knew_stays(bench) -> None:
    async def act(b: Bench):
        slow = await b.run("a = 1\nwhile True: pass", timeout=0.5)
        return slow, await b.run("a")

    slow, after = bench(act)
    assert (slow["ended"], slow["exit"], slow["signal"]) == ("time", None, None)
    assert "too long" in slow["error"]
    assert after["value"] == "1"


def test_one_that_dies_is_told_and_so_is_what_is_lost(bench) -> None:
    async def act(b: Bench):
        await b.run("a = 1")
        died = await b.run("import os; os.kill(os.getpid(), 9)")
        b.cells.past = lambda _: [Earlier("a = 1", 0.1, (0, "", "", None)),
                                  Earlier("...", once="one was stopped")]  # fmt: skip
        return died, await b.run("'a' in globals()")

    died, after = bench(act)
    assert died["signal"] == 9
    assert (after["value"], after["cell"]) == ("False", 1)
    assert after["note"].endswith("what earlier cells defined is gone (one was stopped)")


def test_a_call_that_is_cut_leaves_what_was_known(bench, work) -> None:
    """A signal ends the call; its changes are none, and the interpreter lives on."""

    async def act(b: Bench):
        await b.run("a = 1")
        (kept,) = b.cells._kept.values()
        task = asyncio.ensure_future(b.run("a = 2; open('half', 'w').write('x')\nwhile True: pass"))
        await until(lambda: (watch := kept.interpreter._watch) and watch._begun)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert task.cancelled()
        return await b.run("import os; a, os.listdir()")

    after = bench(act)
    assert after["value"] in ("(2, [])", "(1, [])")
    assert after["cell"] == 3
    assert list(work.iterdir()) == []


PAST = [
    Earlier("x = 20; open('made', 'w').write('1')", 0.1, (0, "", "", "1")),
    Earlier("y = 22\nprint('so')\nx + y", 0.1, (0, "so\n", "", "42")),
]


def test_what_was_known_is_built_again(bench, work) -> None:
    """As after a restart of the machine: what the cells wrote is there already, and not again."""

    async def act(b: Bench):
        found = await b.run("x, y")
        return found, await b.run("x")

    found, after = bench(act, past=lambda _: PAST)
    assert (found["value"], found["cell"]) == ("(20, 22)", 3)
    assert found["note"] == "a new interpreter: your 2 earlier cells were run again"
    assert found["changed"] == []
    assert after["cell"] == 4
    assert "note" not in after
    assert list(work.iterdir()) == []


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (Earlier("z", once="one reached outside"), "one reached outside"),
        (Earlier("x = 3", 60.0, (0, "", "", None)), "they took too long to be run again"),
        (Earlier("print(x)", 0.1, (0, "21\n", "", None)), "run again, they came to something else"),
        (Earlier("while True: pass", 0.1, (0, "", "", None)), "something else"),
    ],
)
def test_what_can_not_be_built_again_is_told_as_lost(bench, more, why) -> None:
    async def act(b: Bench):
        return await b.run("'x' in globals()")

    found = bench(act, past=lambda _: [*PAST, more])
    assert (found["value"], found["cell"]) == ("False", 1)
    assert "earlier cells defined is gone" in found["note"]
    assert why in found["note"]


def test_without_interpreters_it_is_a_program_of_its_own_and_says_so(bench) -> None:
    async def broken():
        raise NotEnforced("there is none here")

    async def act(b: Bench):
        return await b.run("print(1)"), b.cells.broken

    found, why = bench(act, make=broken)
    assert found["out"] == "1\n"
    assert found["note"].endswith("which remembers nothing: there is none here")
    assert why == "there is none here"


def test_a_source_that_died_is_started_anew(bench) -> None:
    async def act(b: Bench):
        await b.run("x = 1")
        b.cells._source._process.kill()
        b.cells._source._process.wait()
        b.cells.past = lambda _: [Earlier("x = 1", 0.1, (0, "", "", None))]
        return await b.run("x")

    found = bench(act)
    assert found["value"] == "1"
    assert "run again" in found["note"]


def test_idle_ones_and_those_of_ended_processes_are_closed(bench, monkeypatch) -> None:
    monkeypatch.setattr(module, "MOST", 2)
    living = {1, 2, 3, 4}

    async def act(b: Bench):
        async def use(pid: int) -> None:
            b.pid = pid
            await b.run("x = 1")

        def left() -> set[int]:
            return {pid for pid, _ in b.cells._kept}

        for pid in (1, 2, 3):
            await use(pid)
        crowded = left()
        living.discard(3)
        await b.cells.sweep(0)
        ended = left()
        await use(4)
        began = module.now()
        await use(2)
        await b.cells.sweep(began)
        idle = left()
        await b.cells.sweep(module.now() + 1)
        return crowded, ended, idle, left()

    assert bench(act, alive=lambda pid: pid in living) == ({2, 3}, {2}, {2}, set())


def test_the_keeper_closes_all_at_the_end(bench) -> None:
    async def act(b: Bench):
        keeper = asyncio.ensure_future(b.cells.keep())
        await b.run("x = 1")
        (kept,) = b.cells._kept.values()
        keeper.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeper
        return kept.interpreter.alive

    assert bench(act) is False


def test_nothing_is_left_open(bench) -> None:
    async def act(b: Bench):
        counts = []
        for n in range(6):
            await b.run(f"open('f{n}', 'w')")
            await b.run("1/0")
            counts.append(descriptors())
        return counts

    counts = bench(act)
    assert counts[-1] <= counts[1]


def test_a_read_only_folder_takes_nothing(bench, work, shelf, tmp_path) -> None:
    async def act(b: Bench):
        b.device._right = "r"
        assert "Read-only" in (await b.run("open('x', 'w').write('1')"))["error"]
        return await b.run("import os; os.listdir()")

    assert bench(act)["value"] == "[]"
    assert list(work.iterdir()) == []


def test_pictures_and_tables_come_back_as_parts(bench, shelf) -> None:
    if not (find_spec("pandas") and find_spec("matplotlib")):
        pytest.skip("needs the extra `data`")
    source = (
        "import pandas as pd, matplotlib.pyplot as plt\n"
        "plt.plot([1, 2]); plt.figure(); plt.plot([2, 1])\n"
        "pd.DataFrame({'a': [1, 2], 'b': ['x', 'y']})"
    )

    async def act(b: Bench):
        return await b.outcome(source, timeout=60)

    found = bench(act)
    assert [p["name"] for p in found.value["parts"]] == ["table.csv", "figure.png", "figure2.png"]
    assert found.value["parts"][0] == {"name": "table.csv", "rows": 2, "columns": 2, "held": 2}
    table, *figures = found.parts
    assert isinstance(table, FilePart)
    assert shelf.get_blob(table.blob) == b"a,b\n1,x\n2,y\n"
    assert all(isinstance(f, ImagePart) for f in figures)
    assert shelf.get_blob(figures[1].blob).startswith(b"\x89PNG")


def test_a_call_made_again_after_a_crash_finds_what_it_made(bench, work) -> None:
    async def act(b: Bench):
        who = b.caller()
        source = {"python": "open('n', 'a').write('x')"}
        first = await b.device.perform(who, source)
        again = await b.device.perform(replace(who), source)
        return first.value, again.value

    first, again = bench(act)
    assert first == again
    assert (work / "n").read_text() == "x"
