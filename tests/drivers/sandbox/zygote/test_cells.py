"""Cells in one namespace: what they show, how they end, and what is left of them."""

import asyncio
import time

import pytest
from tests.open_files import descriptors

from oros.abi.errors import Busy, DeviceFailed
from oros.drivers.sandbox.zygote import interpreter

LEAK = "import os; len(os.listdir('/proc/self/fd'))"
RSS = "int(open('/proc/self/statm').read().split()[1]) * 4096"


def test_state_is_kept_between_cells(cells) -> None:
    one, two, three = cells("x = 20", "def f(n):\n    return x + n", "f(1)")
    assert (one.value, two.value, three.value) == (None, None, "21")
    assert all(r.ended == "self" and r.error is None for r in (one, two, three))


def test_the_last_expression_is_shown(cells) -> None:
    results = cells("1\n2", "x = 3", "None", "'a\\nb'", "_ + '!'", "if True:\n    5", "")
    assert [r.value for r in results] == ["2", None, None, "'a\\nb'", "'a\\nb!'", None, None]


@pytest.mark.parametrize(
    "source", ["'x' * 10_000_000", "list(range(10_000_000))", "dict.fromkeys(range(10**6))"]
)
def test_a_large_value_is_shown_in_part(cells, source: str) -> None:
    (found,) = cells(source)
    assert found.value is not None
    assert len(found.value) < 30_000
    assert "000 in all" in found.value or "items in all" in found.value or found.cut


def test_output_is_caught_whoever_writes_it(cells) -> None:
    (found,) = cells(
        "import os, subprocess, sys, ctypes\n"
        "print('python')\n"
        "os.write(1, b'write\\n')\n"
        "subprocess.run(['sh', '-c', 'echo child; echo bad >&2'])\n"
        "ctypes.CDLL(None).dprintf(1, b'libc\\n')\n"
        "print('err', file=sys.stderr)"
    )
    assert found.out == b"python\nwrite\nchild\nlibc\n"
    assert found.err == b"bad\nerr\n"


def test_output_comes_while_the_cell_runs(make) -> None:
    async def go():
        seen: asyncio.Queue = asyncio.Queue()
        async with make() as it, asyncio.TaskGroup() as group:
            cell = group.create_task(
                it.run_cell("print('now')\nimport time\ntime.sleep(60)", 90,
                            lambda stream, data: seen.put_nowait((stream, data)))
            )  # fmt: skip
            first = await seen.get()
            running = not cell.done()
            it.interrupt()
        return first, running, cell.result()

    first, running, result = asyncio.run(go())
    assert (first, running) == (("out", b"now\n"), True)
    assert result.ended == "interrupt"
    assert result.out == b"now\n"


def test_a_traceback_shows_only_the_lines_of_cells(cells) -> None:
    _, found = cells(
        "import json\ndef load(text):\n    return json.loads(text)", "x = 1\nload('{')"
    )
    assert found.error is not None
    assert found.error.kind == "JSONDecodeError"
    assert found.error.line == 3
    lines = found.error.text.splitlines()
    assert lines[:5] == [
        "Traceback (most recent call last):",
        '  File "cell2.py", line 2, in <module>',
        "    load('{')",
        '  File "cell1.py", line 3, in load',
        "    return json.loads(text)",
    ]
    assert "decoder.py" not in found.error.text
    assert "loop.py" not in found.error.text


def test_a_chained_error_and_a_group_are_told_in_whole(cells) -> None:
    chained, group = cells(
        "try:\n    {}['a']\nexcept KeyError as e:\n    raise ValueError('b') from e",
        "raise ExceptionGroup('many', [ValueError('one'), TypeError('two')])",
    )
    assert "KeyError: 'a'" in chained.error.text
    assert "direct cause" in chained.error.text
    assert "ValueError: one" in group.error.text
    assert "TypeError: two" in group.error.text


@pytest.mark.parametrize(
    ("source", "kind", "line"),
    [
        ("x = (", "SyntaxError", 1),
        ("if 1:\nx", "IndentationError", 2),
        ("a\0b", "SyntaxError", 0),
        ("(" * 5000, "SyntaxError", 1),
        ("def f():\n    f()\nf()", "RecursionError", 2),
    ],
)
def test_a_cell_that_is_no_python(cells, source: str, kind: str, line: int) -> None:
    bad, good = cells(source, "1")
    assert bad.error is not None
    assert bad.error.kind in (kind, "MemoryError", "ValueError")
    assert len(bad.error.text) < 30_000
    if line:
        assert bad.error.line == line or bad.error.kind == "MemoryError"
    assert good.value == "1"


@pytest.mark.parametrize(
    ("source", "code", "err"),
    [
        ("import sys; sys.exit()", 0, b""),
        ("import sys; sys.exit(3)", 3, b""),
        ("raise SystemExit('done')", 1, b"done\n"),
        ("exit(4)", 4, b""),
    ],
)
def test_an_exit_ends_the_cell_and_not_the_state(cells, source: str, code: int, err: bytes) -> None:
    _, found, after = cells("x = 7", source, "x")
    assert (found.exit, found.err, found.error) == (code, err, None)
    assert after.value == "7"


@pytest.mark.parametrize(
    "source",
    [
        "import builtins\nfor n in list(vars(builtins)):\n    setattr(builtins, n, None)",
        "print = len = isinstance = str = repr = open = None",
        "import sys; sys.stdout = sys.stderr = None",
        "import sys; sys.stdout.close(); sys.stderr.close()",
        "import os; os.close(1); os.close(2); os.closerange(3, 400)",
        "import os; os.dup2(os.open('/dev/null', os.O_WRONLY), 1)",
        "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)",
        "import sys; sys.modules.clear()",
        "import sys; sys.modules['__main__'] = None",
        "class E(Exception):\n    def __str__(self): raise KeyError\nraise E",
        "class V:\n    def __repr__(self): return 1 / 0\nV()",
        "raise BaseException('x')",
        "raise GeneratorExit",
        "import sys; sys.setrecursionlimit(50)",
        "import threading; threading.Thread(target=lambda: 1 / 0).start()",
        "import os\nif os.fork() == 0:\n    raise ValueError('of a child')\nos.wait()",
        "import gc; gc.disable(); gc.collect()",
    ],
)
def test_the_next_cell_runs_all_the_same(cells, source: str) -> None:
    first, second, third = cells(source, "import sys\nsys.stdout.write('a\\n')", "[1, 'b']")
    assert first.death is None, first
    assert second.out == b"a\n", second
    assert third.value == "[1, 'b']", third


def test_an_interrupt_keeps_the_state(make) -> None:
    async def go():
        async with make() as it, asyncio.TaskGroup() as group:
            await it.run_cell("x = 5")
            began = asyncio.Event()
            cell = group.create_task(
                it.run_cell("print(1)\nwhile True:\n    pass", 60, lambda *_: began.set())
            )
            await began.wait()
            assert it.interrupt()
            found = await cell
            assert not it.interrupt()
            return found, await it.run_cell("x")

    found, after = asyncio.run(go())
    assert found.ended == "interrupt"
    assert found.error.kind == "KeyboardInterrupt"
    assert 'File "cell2.py", line' in found.error.text
    assert after.value == "5"


def test_an_interrupt_that_comes_before_the_cell_has_begun_is_of_that_cell(make) -> None:
    """Else a cell that is cut at once would run on until it is killed, with all that was known."""

    async def go():
        async with make() as it, asyncio.TaskGroup() as group:
            await it.run_cell("x = 5")
            cell = group.create_task(it.run_cell("while True: pass", 60))
            await asyncio.sleep(0)
            assert it.interrupt()
            return await cell, await it.run_cell("x")

    found, after = asyncio.run(go())
    assert (found.ended, found.death) == ("interrupt", None)
    assert found.error.kind == "KeyboardInterrupt"
    assert after.value == "5"


def test_the_second_interrupt_kills(make) -> None:
    async def go():
        async with make() as it, asyncio.TaskGroup() as group:
            began = asyncio.Event()
            source = (
                "while True:\n    try:\n        while True: print(1)\n    except BaseException: 0"
            )
            cell = group.create_task(it.run_cell(source, 60, lambda *_: began.set()))
            await began.wait()
            it.interrupt()
            await asyncio.sleep(0.1)
            assert not cell.done()
            it.interrupt()
            found = await cell
            with pytest.raises(DeviceFailed):
                await it.run_cell("1")
            return found, it.alive

    found, alive = asyncio.run(go())
    assert found.ended == "interrupt"
    assert found.death is not None
    assert found.death.signal == 9
    assert not alive


def test_an_endless_cell_is_stopped_in_time_and_lives(cells) -> None:
    _, found, after = cells("x = 1", "while True: pass", "x", seconds=0.5)
    assert found.ended == "time"
    assert 0.4 < found.seconds < 3
    assert after.value == "1"


def test_a_child_that_waits_is_stopped_with_its_cell(cells) -> None:
    found, after = cells("import subprocess; subprocess.run(['sleep', '60'])", "2", seconds=1)
    assert (found.ended, after.value) == ("time", "2")


def test_a_cell_that_hears_no_signal_is_killed(make, monkeypatch) -> None:
    monkeypatch.setattr(interpreter, "GRACE", 0.2)

    async def go():
        async with make() as it:
            deaf = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass"
            return await it.run_cell(deaf, 0.3)

    found = asyncio.run(go())
    assert found.ended == "time"
    assert found.death.signal == 9


def test_endless_output_is_bounded_and_counted(cells) -> None:
    found, after = cells(
        "n = 0\nwhile True:\n    print('y' * 9999)\n    n += 1", "n * 10_000", flood=8 << 20,
        output=1000,
    )  # fmt: skip
    assert found.ended == "flood"
    assert len(found.out) == 1000
    assert found.cut_out > 8 << 20
    # What was being written when it was interrupted may be lost, or written and not counted.
    assert abs(int(after.value) - found.cut_out - 1000) <= 30_000


def test_the_two_ends_of_output_are_kept(cells) -> None:
    (found,) = cells("for n in range(100_000): print(n)", output=1000)
    assert found.out.startswith(b"0\n1\n2\n")
    assert found.out.endswith(b"99998\n99999\n")
    assert len(found.out) + found.cut_out == sum(len(str(n)) + 1 for n in range(100_000))


@pytest.mark.parametrize(
    ("source", "code", "signal"),
    [
        ("import os; os._exit(3)", 3, None),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", None, 9),
        ("import os; os.abort()", None, 6),
        ("import ctypes; ctypes.string_at(0)", None, 11),
    ],
)
def test_a_death_is_told(make, source: str, code: int | None, signal: int | None) -> None:
    async def go():
        async with make() as it:
            found = await it.run_cell(f"print('last words', flush=True)\n{source}")
            assert not it.alive
            with pytest.raises(DeviceFailed):
                await it.run_cell("1")
            return found

    found = asyncio.run(go())
    assert found.ended == "death"
    assert (found.death.exit, found.death.signal) == (code, signal)
    assert found.out == b"last words\n"


def test_what_is_printed_after_a_cell_is_told_apart(make) -> None:
    async def go():
        async with make() as it:
            await it.run_cell(
                "import threading, os\ngo = threading.Event()\n"
                "def f():\n    go.wait()\n    os.write(1, b'late')\n    done.set()\n"
                "done = threading.Event()\nthreading.Thread(target=f).start()"
            )
            await it.run_cell("threading.Timer(0.05, go.set).start()")
            for _ in range(100):
                await asyncio.sleep(0.05)
                found = await it.run_cell("done.is_set()")
                if found.late or found.out:
                    return found
            return None

    found = asyncio.run(go())
    assert b"late" in found.late + found.out


def test_a_thread_that_prints_for_ever_does_no_harm(cells) -> None:
    _, *others = cells(
        "import threading, sys\ndef f():\n    while True: print('x' * 100)\n"
        "threading.Thread(target=f, daemon=True).start()",
        *["'alive'"] * 20,
    )
    assert {r.value for r in others} == {"'alive'"}


def test_text_of_any_kind(cells) -> None:
    results = cells("'é\N{SNOWMAN}\N{GRINNING FACE}'", "print('\\ud800 \N{SNOWMAN}')", "'\\ud800'",
                    "name_é = 1\nname_é", "raise ValueError('\\udfff')")  # fmt: skip
    assert results[0].value == "'é\N{SNOWMAN}\N{GRINNING FACE}'"
    assert results[1].out.decode() == "\\ud800 \N{SNOWMAN}\n"
    assert results[3].value == "1"
    assert results[4].error.message == "ValueError: \\udfff"


def test_there_is_no_input(cells) -> None:
    (found,) = cells("input()")
    assert found.error.kind == "EOFError"


def test_the_kit_and_the_modules_of_the_folder(cells, work) -> None:
    (work / "mine.py").write_text("def f():\n    return 'mine'\n")
    (work / "json.py").write_text("raise ImportError('it stands in for the library')\n")
    one, two, three = cells("from kit import *\nanswer()", "import mine\nmine.f()", "import json")
    assert (one.value, two.value, three.error) == ("42", "'mine'", None)


def test_what_a_cell_defines_can_be_pickled_and_inspected(cells) -> None:
    results = cells(
        "import dataclasses, pickle, inspect\n@dataclasses.dataclass\nclass P:\n    x: int",
        "pickle.loads(pickle.dumps(P(3)))",
        "inspect.getsource(P.__init__) if False else P.__module__",
        "from __future__ import annotations\ndef f(a: nonsense): ...",
        "def g(): return 'src'\ninspect.getsource(g)",
    )
    assert [r.value for r in results[1:3]] == ["P(x=3)", "'__main__'"]
    assert results[3].error is None
    assert "return 'src'" in results[4].value


def test_only_one_cell_at_a_time(make) -> None:
    async def go() -> None:
        async with make() as it, asyncio.TaskGroup() as group:
            cell = group.create_task(it.run_cell("import time; time.sleep(30)", 60))
            await asyncio.sleep(0.05)
            with pytest.raises(Busy):
                await it.run_cell("1")
            it.interrupt()
            await cell

    asyncio.run(go())


def test_when_cancelled_all_is_dead(make) -> None:
    async def go() -> None:
        async with make() as it:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await it.run_cell("while True: pass", 60)
            assert not it.alive

    asyncio.run(go())


@pytest.mark.parametrize(
    "lie",
    [
        b"\xff\xff\xff\xff",
        b"\0\0\0\2{}",
        b"\0\0\0\2[]",
        b"\0\0\0\x1d" + b'{"op": "done", "sizes": [-1]}',
        b"\0\0\0\x1e" + b'{"op": "done", "sizes": [1e9]}',
        b"garbage" * 100,
    ],
)
def test_a_lie_on_the_channel_is_a_death(make, lie: bytes) -> None:
    async def go():
        async with make() as it:
            tell = (
                "import os, socket\nfor n in map(int, os.listdir('/proc/self/fd')):\n"
                "    try:\n        if 'socket' in os.readlink(f'/proc/self/fd/{n}'):\n"
                f"            os.write(n, {lie!r})\n    except OSError: pass\n"
                "while True: pass"
            )
            return await it.run_cell(tell, 60)

    found = asyncio.run(go())
    assert found.ended == "death"
    assert found.death is not None


def test_thousands_of_cells_without_growth(make) -> None:
    async def go():
        async with make() as it:
            for n in range(1000):
                await it.run_cell(f"x{n % 10} = [{n}] * 100\nx{n % 10}[0]")
            before = [int((await it.run_cell(s)).value) for s in (LEAK, RSS)]
            here = descriptors()
            for n in range(4500):
                source = f"x{n % 10} = [{n}] * 100\nx{n % 10}[0]" if n % 9 else f"1 / 0  # {n}"
                await it.run_cell(source)
            after = [int((await it.run_cell(s)).value) for s in (LEAK, RSS)]
            assert descriptors() == here
            return before, after

    began = time.monotonic()
    (fds, size), (fds_after, size_after) = asyncio.run(go())
    assert fds_after == fds
    assert size_after - size < 2 << 20
    assert time.monotonic() - began < 60


def test_descriptors_of_cells_are_few_and_their_children_get_none(cells) -> None:
    own, child = cells(
        "import os, stat\nsorted(n for n in map(int, os.listdir('/proc/self/fd')) if n < 500)",
        "import subprocess\nsubprocess.run(['ls', '/proc/self/fd'], capture_output=True,"
        " text=True, close_fds=False).stdout.split()",
    )
    assert own.value in ("[0, 1, 2]", "[0, 1, 2, 3]")  # the listing itself
    assert child.value == "['0', '1', '2', '3']"


def test_nothing_is_left_here(make) -> None:
    async def go() -> None:
        async with make() as it:
            await it.run_cell("1")

    asyncio.run(go())
    before = descriptors()
    for _ in range(5):
        asyncio.run(go())
    assert descriptors() == before
