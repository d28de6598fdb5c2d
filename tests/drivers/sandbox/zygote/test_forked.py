"""What the walls around a forked interpreter hold, and that nothing outlives its parents."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.drivers.sandbox.zygote.forked import forked, job, walls, zygote
from tests.open_files import descriptors

import oros
from oros.abi.errors import DeviceFailed, Invalid, NotEnforced, OrosError
from oros.abi.jobs import Overlay
from oros.drivers.sandbox.bwrap.survey import INSIDE
from oros.drivers.sandbox.zygote.warm import Zygote


@pytest.fixture
def inside(mother, work):
    """Run cells in a child; keywords are those of `Job`."""

    def run(*sources: str, seconds: float = 20.0, **bounds):
        async def go():
            async with forked(mother, job(work, **bounds)) as it:
                return [await it.run_cell(s, seconds) for s in sources]

        return asyncio.run(go())

    return run


def names(folder: int) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(e.name for e in entries)


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().split()[2]


def child_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def alive(pid: int) -> bool:
    try:
        return state_of(pid) not in "ZX"
    except OSError:
        return False


def test_the_trial_of_the_other_sandbox_holds(inside, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    canary.write_text("CANARY")
    host = {n: str(Path("/proc/self/ns", n).readlink()) for n in ("net", "pid", "ipc")}
    words = ["x", str(canary), json.dumps(host)]
    _, found = inside(f"import sys; sys.argv[:] = {words!r}", INSIDE, processes=16)
    assert found.error is None, found.error.text
    held = json.loads(found.out)
    held.pop("pids")  # the group's, where there is one
    assert all(held.values()), held


def test_it_is_alone_in_seven_namespaces(inside) -> None:
    names = ("user", "mnt", "pid", "ipc", "uts", "net", "cgroup")
    source = f"import os\n[os.readlink(f'/proc/self/ns/{{n}}') for n in {names}]"
    found = eval(inside(source)[0].value)
    mine = [str(Path("/proc/self/ns", n).readlink()) for n in names]
    assert len(set(found)) == 7
    assert not set(found) & set(mine)


def test_what_it_writes_is_the_folders_owners(inside, work: Path) -> None:
    (found,) = inside("open('made', 'w').write('x'); import os; os.mkdir('folder')")
    assert found.error is None
    assert {p.stat().st_uid for p in (work / "made", work / "folder")} == {os.getuid()}


def test_a_folder_to_read_only(mother, work: Path) -> None:
    asked = job(work)
    asked = replace(asked, binds=(replace(asked.binds[0], right="r"),))

    async def go():
        async with forked(mother, asked) as it:
            return await it.run_cell("open('x', 'w')")

    assert asyncio.run(go()).error.message.startswith("OSError: [Errno 30]")


def test_it_knows_nothing_of_the_host(inside) -> None:
    (found,) = inside(
        "import os, sys\n"
        "print([open(f'/proc/{p}/{f}').read() for p in (1, 'self') for f in ('cmdline', 'environ')]"
        ", dict(os.environ), sys.path, os.listdir('/'), os.uname().nodename)"
    )
    said = found.out.decode()
    assert str(Path(oros.__file__).parent) not in said
    assert os.uname().nodename not in said
    assert "site-packages" not in said.replace("python3.11/site-packages", "")
    assert "HOME': '/tmp'" in said


def test_siblings_see_nothing_of_each_other(mother, work: Path) -> None:
    source = "import os\nopen('/tmp/x', 'a').write('x'); os.path.getsize('/tmp/x')"

    async def go():
        async with forked(mother, job(work)) as one, forked(mother, job(work)) as two:
            await one.run_cell("import builtins; builtins.mine = x = 1; import json; json.x = 1")
            first = [(await it.run_cell(source)).value for it in (one, two)]
            names = await two.run_cell("import json\n['x' in globals(), hasattr(json, 'x')]")
            pids = await two.run_cell("[p for p in os.listdir('/proc') if p.isdigit()]")
            return first, names.value, pids.value

    first, names, pids = asyncio.run(go())
    assert first == ["1", "1"]
    assert names == "[False, False]"
    assert sorted(eval(pids)) == ["1", "2"]


def test_siblings_draw_different_numbers(mother, work: Path) -> None:
    source = "import random\nx = [random.random()]\n"
    if find_spec("numpy"):
        source += "import numpy\nx.append(float(numpy.random.rand()))\n"

    async def draw():
        async with forked(mother, job(work)) as it:
            return eval((await it.run_cell(source + "x")).value)

    async def go():
        return [await draw() for _ in range(3)]

    for drawn in zip(*asyncio.run(go()), strict=True):
        assert len(set(drawn)) == 3


@pytest.mark.parametrize(
    ("source", "bounds", "error"),
    [
        ("open('x', 'wb').write(b'x' * (2 << 20))", {"file_size": 1 << 20}, "OSError"),
        ("open('/tmp/x', 'wb').write(b'x' * (2 << 20))", {"tmp_size": 1 << 20}, "OSError"),
        ("import os\n[os.open('/', 0) for _ in range(5000)]", {}, "OSError"),
        ("import subprocess\np = [subprocess.Popen(['sleep', '9']) for _ in range(50)]",
         {"processes": 8}, "BlockingIOError"),
    ],
)  # fmt: skip
def test_limits_are_errors_and_not_the_end(inside, source: str, bounds, error: str) -> None:
    found, after = inside(source, "1", **bounds)
    assert found.error is not None, found
    assert found.error.kind == error
    assert after.value == "1"


def test_memory_is_bounded(inside) -> None:
    (found,) = inside("x = []\nwhile True: x.append(bytearray(b'x' * (8 << 20)))",
                      memory=256 << 20, seconds=60)  # fmt: skip
    assert (found.error and found.error.kind == "MemoryError") or found.death.signal == 9


def test_processor_time_is_bounded(inside) -> None:
    (found,) = inside("while True: pass", cpu=1, seconds=30)
    assert found.death.signal in (9, 24)


def over(work: Path, *lowers: Path, **bounds) -> Overlay:
    return Overlay("/work", str(work), tuple(map(str, lowers)), **bounds)


@contextlib.asynccontextmanager
async def laid(mother, overlay: Overlay):
    """An interpreter over a folder copy-on-write, and its upper folder."""
    asked = replace(job(Path(overlay.base)), binds=(), overlay=overlay)
    async with forked(mother, asked) as it:
        upper = await it.lay(overlay)
        try:
            yield it, upper
        finally:
            os.close(upper)


def text_in(folder: int, name: str) -> str:
    with os.fdopen(os.open(name, os.O_RDONLY, dir_fd=folder)) as f:
        return f.read()


def test_an_overlay_takes_the_changes_and_spares_the_folder(mother, work: Path) -> None:
    (work / "old").write_text("as it was")
    (work / "gone").write_text("x")

    async def go():
        async with laid(mother, over(work)) as (it, upper):
            await it.run_cell("open('new', 'w').write('fresh')")
            found = await it.run_cell(
                "import os; os.remove('gone'); open('old', 'a').write(', and more')\n"
                "sorted(os.listdir()), open('old').read()"
            )
            alive = names(upper)
            await it.close()
            return found, alive, names(upper), text_in(upper, "new")

    found, alive, dead, new = asyncio.run(go())
    assert found.error is None, found.error.text
    assert found.value == "(['new', 'old'], 'as it was, and more')"
    assert alive == dead == ["gone", "new", "old"]
    assert new == "fresh"
    assert (work / "old").read_text() == "as it was"
    assert sorted(p.name for p in work.iterdir()) == ["gone", "old"]


def test_an_overlay_of_trees_and_its_bounds(mother, work: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_text(name)
        (tmp_path / name / "both").write_text(name)
    overlay = over(work, tmp_path / "two", tmp_path / "one", size=1 << 20, inodes=100)

    async def go():
        async with laid(mother, overlay) as (it, _):
            seen = await it.run_cell("import os; sorted(os.listdir()), open('both').read()")
            size = await it.run_cell("open('x', 'wb').write(b'x' * (2 << 20))")
            await it.run_cell("os.remove('x')")
            count = await it.run_cell("for n in range(200): open(f'f{n}', 'w')")
            return seen.value, size.error, count.error

    seen, size, count = asyncio.run(go())
    assert seen == "(['both', 'one', 'two'], 'two')"
    assert "[Errno 28]" in size.message
    assert "[Errno 28]" in count.message


def test_a_folder_laid_anew_shows_what_is_there_now_and_takes_what_comes(
    mother, work: Path, tmp_path: Path
) -> None:
    """As between two calls: the user changes the folder, a layer comes, a layer goes."""
    (work / "sub").mkdir()
    (work / "sub" / "old").write_text("1")
    layer = tmp_path / "layer"
    layer.mkdir()
    (layer / "added").write_text("by a layer")
    look = "import os; os.getcwd(), sorted(os.listdir('..')), sorted(os.listdir())"

    async def go():
        seen = []
        async with laid(mother, over(work)) as (it, first):
            await it.run_cell("import os; os.chdir('sub'); open('mine', 'w').write('first'); x = 5")
            seen.append((await it.run_cell(look)).value)
            (work / "sub" / "users").write_text("2")
            for lowers in ((layer,), ()):
                upper = await it.lay(over(work, *lowers))
                seen.append((await it.run_cell(look)).value)
                await it.run_cell("open(f'cell{x}', 'w').write('later'); x += 1")
                seen.append((names(upper), names(first)))
                os.close(upper)
        return seen

    assert asyncio.run(go()) == [
        "('/work/sub', ['sub'], ['mine', 'old'])",
        "('/work/sub', ['added', 'sub'], ['old', 'users'])",
        (["sub"], ["sub"]),
        "('/work/sub', ['sub'], ['old', 'users'])",
        (["sub"], ["sub"]),
    ]
    assert sorted(p.name for p in (work / "sub").iterdir()) == ["old", "users"]


def test_a_folder_that_the_interpreter_stood_in_is_gone(mother, work: Path) -> None:
    async def go():
        async with laid(mother, over(work)) as (it, _):
            await it.run_cell("import os; os.mkdir('new'); os.chdir('new')")
            os.close(await it.lay(over(work)))
            return (await it.run_cell("os.getcwd(), os.listdir()")).value

    assert asyncio.run(go()) == "('/work', [])"


def test_the_memory_of_a_folder_that_was_laid_goes_with_its_descriptor(mother, work: Path) -> None:
    """Else each call would leave its changes in memory."""

    async def go():
        async with laid(mother, over(work)) as (it, _):
            mounts = "len(open('/proc/self/mountinfo').readlines())"
            before = (await it.run_cell(mounts)).value
            for _ in range(5):
                os.close(await it.lay(over(work)))
            return before, (await it.run_cell(mounts)).value

    before, after = asyncio.run(go())
    assert before == after


def test_a_layer_that_is_not_there_is_told_and_the_next_one_is_laid(mother, work: Path) -> None:
    async def go():
        async with laid(mother, over(work)) as (it, _):
            with pytest.raises(NotEnforced, match="nowhere"):
                await it.lay(over(work, work / "nowhere"))
            os.close(await it.lay(over(work)))
            return (await it.run_cell("import os; os.listdir()")).value

    assert asyncio.run(go()) == "[]"


def test_a_call_that_gives_up_waiting_leaves_the_others_their_answers(mother, work: Path) -> None:
    async def go():
        async with laid(mother, over(work)) as (it, _):
            for _ in range(20):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0):
                        await it.lay(over(work))
            os.close(await it.lay(over(work)))
            async with forked(mother, job(work)) as other:
                return (await other.run_cell("1")).value, (await it.run_cell("2")).value

    assert asyncio.run(go()) == ("1", "2")


def test_modules_of_the_folder_are_read_anew_when_they_changed(mother, work: Path) -> None:
    (work / "mine.py").write_text("x = 1")
    (work / "kept.py").write_text("x = [0]")
    os.utime(work / "kept.py", (1e9, 1e9))

    async def go():
        seen = []
        async with laid(mother, over(work)) as (it, _):
            await it.run_cell("import mine, kept, json; kept.x[0] = json.own = 7; mine.x")
            (work / "mine.py").write_text("x = 22")
            os.close(await it.lay(over(work)))
            seen.append(await it.run_cell("import mine, kept, json; mine.x, kept.x, json.own"))
            await it.run_cell("open('mine.py', 'w').write('x = 3'); import mine")
            seen.append(await it.run_cell("import mine; mine.x"))
        return [s.value or s.error.text for s in seen]

    assert asyncio.run(go()) == ["(22, [7], 7)", "3"]


def test_files_that_stay_open_are_those_of_the_folder_that_was_laid(mother, work: Path) -> None:
    """A log that is written from cell to cell, and a file that is read on."""
    (work / "lines").write_text("one\ntwo\nthree\n")

    async def go():
        async with laid(mother, over(work)) as (it, first):
            await it.run_cell("log = open('log', 'w'); log.write('a\\n'); lines = open('lines')")
            await it.run_cell("log.flush(); lines.readline()")
            taken = text_in(first, "log")
            (work / "log").write_text(taken)  # as a commit does
            second = await it.lay(over(work))
            found = await it.run_cell("log.write('b\\n'); log.flush(); lines.readline()")
            both = text_in(second, "log")
            os.close(second)
            return taken, found.value, both, text_in(first, "log")

    assert asyncio.run(go()) == ("a\n", "'two\\n'", "a\nb\n", "a\n")


def test_a_file_that_is_gone_stays_open_as_it_was(mother, work: Path) -> None:
    async def go():
        async with laid(mother, over(work)) as (it, _):
            await it.run_cell("log = open('log', 'w+'); log.write('a'); log.flush()")
            os.close(await it.lay(over(work)))
            return (await it.run_cell("import os; log.seek(0); log.read(), os.listdir()")).value

    assert asyncio.run(go()) == "('a', [])"


def test_between_two_cells_it_stands_still(mother, work: Path) -> None:
    source = (
        "import threading, time\nbeats = []\n"
        "def beat():\n    while True: beats.append(1); time.sleep(0.005)\n"
        "threading.Thread(target=beat, daemon=True).start()\ntime.sleep(0.1)"
    )

    async def go():
        async with forked(mother, job(work)) as it:
            await it.run_cell(source)
            child = child_of(it._body.init)
            for _ in range(200):
                if (state := state_of(child)) == "T":
                    break
                await asyncio.sleep(0.01)
            after = await it.run_cell("n = len(beats); time.sleep(0.1); len(beats) > n")
            return state, after.value

    assert asyncio.run(go()) == ("T", "True")


def test_lo_is_up(inside) -> None:
    (found,) = inside(
        "import socket\ns = socket.create_server(('127.0.0.1', 0))\n"
        "c = socket.create_connection(s.getsockname(), 2)\ns.accept()[0].send(b'hi')\nc.recv(2)"
    )
    assert found.value == "b'hi'"


def test_orphans_are_reaped_and_die_with_it(mother, work: Path) -> None:
    source = (
        "import os, time\n"
        "if os.fork() == 0:\n    os.setsid()\n    if os.fork():\n        os._exit(0)\n"
        "    while True:\n        open('beat', 'a').write('.')\n        time.sleep(0.01)\n"
        "while not os.path.exists('beat'): time.sleep(0.01)\n"
        "os.wait()[1]"
    )

    async def go():
        async with forked(mother, job(work)) as it:
            found = await it.run_cell(source)
            again = await it.run_cell("open('beat').read() != ''")
        return found, again

    found, again = asyncio.run(go())
    assert (found.value, again.value) == ("0", "True")
    size = (work / "beat").stat().st_size
    time.sleep(0.1)
    assert (work / "beat").stat().st_size == size


def test_many_at_once(mother, work: Path) -> None:
    async def one(n: int) -> str | None:
        async with forked(mother, job(work)) as it:
            await it.run_cell(f"x = {n}")
            return (await it.run_cell("x * 2")).value

    async def go():
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(n)) for n in range(20)]
        return [t.result() for t in tasks]

    assert asyncio.run(go()) == [str(2 * n) for n in range(20)]


def test_the_zygote_keeps_nothing_of_its_children(work: Path) -> None:
    async def go():
        async with zygote(modules=()) as made:
            proc = Path(f"/proc/{made._process.pid}")

            def kept() -> tuple[int, str]:
                children = (proc / f"task/{proc.name}/children").read_text()
                return len(list((proc / "fd").iterdir())), children

            async with forked(made, job(work)):
                pass
            before = len(list((proc / "fd").iterdir()))
            for _ in range(10):
                async with forked(made, job(work)) as it:
                    await it.run_cell("1")
            for _ in range(100):
                if kept() == (before, ""):
                    break
                await asyncio.sleep(0.02)
            return before, kept()

    before, after = asyncio.run(go())
    assert after == (before, "")


def test_all_die_with_the_zygote(work: Path) -> None:
    async def go():
        async with zygote(modules=()) as made:
            it = await made.spawn(job(work))
            init = it._body.init
            made._process.kill()
            found = await it.run_cell("import time; time.sleep(60)", 90)
            assert found.ended == "death"
            assert not alive(init)
            await it.close()
            with pytest.raises(OrosError):
                await made.spawn(job(work))

    asyncio.run(go())


DAEMON = """
import asyncio, sys, pathlib
from tests.drivers.sandbox.zygote.forked import job, zygote
async def main():
    async with zygote(modules=()) as made:
        it = await made.spawn(job(pathlib.Path(sys.argv[1])))
        print(made._process.pid, it._body.init, flush=True)
        await it.run_cell("while True: pass", 600)
asyncio.run(main())
"""


def test_all_die_with_the_daemon(work: Path) -> None:
    root = Path(__file__).parents[4]
    daemon = subprocess.Popen(
        [sys.executable, "-c", DAEMON, str(work)], stdout=subprocess.PIPE, text=True,
        env={"PYTHONPATH": ":".join([str(root), *sys.path]), "PATH": os.environ["PATH"]},
    )  # fmt: skip
    assert daemon.stdout is not None
    pids = [int(word) for word in daemon.stdout.readline().split()]
    assert len(pids) == 2
    assert all(map(alive, pids))
    daemon.kill()
    daemon.wait()
    daemon.stdout.close()
    for _ in range(200):
        if not any(map(alive, pids)):
            break
        time.sleep(0.02)
    assert not any(map(alive, pids))


def test_a_spawn_that_fails_leaves_nothing(work: Path) -> None:
    async def go():
        async with zygote(modules=()) as made:
            async with forked(made, job(work)) as it:
                assert (await it.run_cell("1")).value == "1"
            before = descriptors()
            with pytest.raises(NotEnforced):
                await made.spawn(replace(job(work), cwd="/nowhere"))
            with pytest.raises(Invalid):
                await made.spawn(job(work / "nothing"))
            assert descriptors() <= before
            async with forked(made, job(work)) as it:
                assert (await it.run_cell("2")).value == "2"

    asyncio.run(go())


def test_a_filter_that_the_kernel_refuses_is_no_sandbox(work: Path) -> None:
    async def go() -> None:
        made = Zygote(replace(await walls(), filter=b"\xff" * 8), modules=())
        await made.start()
        with pytest.raises(NotEnforced, match="seccomp"):
            await made.spawn(job(work))
        await made.close()

    asyncio.run(go())


def test_host_uid_0_is_no_sandbox(work: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can stay root")

    async def go() -> None:
        made = Zygote(replace(await walls(), uid=None), modules=())
        await made.start()
        with pytest.raises(NotEnforced, match="uid 0"):
            await made.spawn(job(work))
        await made.close()

    asyncio.run(go())


def test_a_zygote_that_does_not_start(work: Path) -> None:
    async def go() -> None:
        made = Zygote(replace(await walls(), python="/bin/false"), modules=())
        with pytest.raises(DeviceFailed):
            await made.start()

    asyncio.run(go())
