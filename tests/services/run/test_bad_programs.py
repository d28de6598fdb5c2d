"""Programs that mean harm, folders that go: in the real sandbox, through `run`, to the folder."""

import asyncio
import os
import shutil
import subprocess

import pytest
from tests.journeys.test_full_disk import fill, mounted
from tests.services.layers.trees import photo

from oros.abi.errors import Invalid, NotFound
from oros.abi.labels import USER
from oros.abi.ports import Caller
from oros.abi.wire import encode
from oros.services.layers.workspaces import Workspaces
from oros.services.run.device import Means, RunDevice


@pytest.fixture
def sandboxed(bwrap, tmp_path):
    """A folder, and `run` over it."""
    for place in (tmp_path.parent.parent, tmp_path.parent, tmp_path):
        place.chmod(0o755)

    def made(work, shelf) -> RunDevice:
        space = Workspaces(shelf, tmp_path / "layers").space(work)
        return RunDevice(Means(bwrap, bwrap.python), space, shelf)

    return made


@pytest.fixture
def device(sandboxed, work, shelf) -> RunDevice:
    return sandboxed(work, shelf)


def run(device, key: int = 1, **args):
    outcome = asyncio.run(device.perform(Caller(7, f"n:7:{key}", USER, since=4e9), args))
    encode(outcome)
    return outcome.value


@pytest.fixture
def small(tmp_path):
    """A small disk."""
    mounted(tmp_path / "disk", "2m")
    yield tmp_path / "disk"
    subprocess.run(["umount", "--lazy", str(tmp_path / "disk")], check=True)


def test_endless_output(device, work) -> None:
    got = run(device, python="while True: print('x' * 60_000)")
    assert (got["ended"], got["error"]) == ("flood", "stopped: it wrote far too much output")
    assert len(got["out"]) < 5000
    assert list(work.iterdir()) == []


def test_ever_more_processes(device, work) -> None:
    got = run(device, argv=["sh", "-c", "f() { f | f & }; f; echo x > made; wait"], timeout=5)
    assert got["exit"] is not None or got["ended"] == "time"
    assert {p.name for p in work.iterdir()} <= {"made"}
    assert run(device, 2, argv=["echo", "well"])["out"] == "well\n"


def test_ever_more_memory(device, work) -> None:
    (work / "f").write_text("as it was")
    source = "open('f', 'w').write('new')\nx = []\nwhile True: x.append(bytearray(64 << 20))"
    got = run(device, python=source)
    assert got["exit"] != 0
    assert "emory" in got["error"]
    assert (work / "f").read_text() == "new"  # what it did before is whole, and can be undone


def test_a_disk_that_it_fills(device, work) -> None:
    source = "f = open('big', 'wb', buffering=0)\nwhile True: f.write(bytes(1 << 20))"
    got = run(device, python=source)
    assert "No space left" in got["error"]
    assert (work / "big").stat().st_size <= 256 << 20


def test_a_hundred_thousand_files(device, work) -> None:
    source = "import os\nfor i in range(100_000): os.close(os.open(str(i), os.O_CREAT | 1))"
    (work / "mine").write_text("x")
    device._review = True  # what it could make waits
    got = run(device, python=source, timeout=60)
    assert "No space left" in got["error"]
    assert 40_000 < got["changes"] <= 50_008
    assert [p.name for p in work.iterdir()] == ["mine"]


def test_a_folder_of_mine_with_a_hundred_thousand_files(device, work) -> None:
    for number in range(100_000):
        os.close(os.open(work / str(number), os.O_CREAT | os.O_WRONLY))
    got = run(device, python="import os; print(len(os.listdir())); os.remove('7')")
    assert (got["out"], got["changed"]) == (
        "100000\n", [{"path": "/work/7", "change": "removed", "size": 0}])  # fmt: skip
    assert not (work / "7").exists()
    shutil.rmtree(work)


DEEPER = "import os\nfor _ in range(30): os.mkdir('d' * 200); os.chdir('d' * 200)\n"


def test_folders_deeper_than_a_path_may_be(device, work) -> None:
    (work / "f").write_text("x")
    before = photo(work)
    with pytest.raises(Invalid, match="too deep") as told:
        run(device, python=DEEPER + "open('/work/f', 'w')")
    assert "4 KiB" in told.value.hint
    assert photo(work) == before
    assert run(device, 2, argv=["ls"])["out"] == "f\n"


def test_folders_of_mine_that_lie_too_deep(device, work) -> None:
    (work / "top").mkdir()
    subprocess.run(["python3", "-c", DEEPER], cwd=work / "top", check=True)
    try:
        got = run(device, argv=["rm", "-r", "top"])
        assert "can't be looked through" in got["waits"]["top"]
        assert (work / "top" / ("d" * 200)).exists()
        assert run(device, 2, argv=["ls"])["out"] == ""  # it sees what it did
    finally:
        subprocess.run(["rm", "-rf", work / "top"], check=True)


def test_names_of_any_bytes(device, work) -> None:
    source = "for n in (b'a\\nb', b'\\xff\\xfe', b'\\x1b[31m', b'-rf', b'x' * 255): open(n, 'w')"
    got = run(device, python=source)
    assert got["exit"] == 0, got["err"]
    names = {os.fsencode(p.name) for p in work.iterdir()}
    assert names == {b"a\nb", b"\xff\xfe", b"\x1b[31m", b"-rf", b"x" * 255}
    shown = [c["path"] for c in got["changed"]]
    assert all(path.isprintable() for path in shown), shown


def test_a_file_that_is_mostly_hole(device, work) -> None:
    got = run(device, python="import os; os.truncate(os.open('s', os.O_CREAT | 2), 1 << 40)")
    assert "too large" in got["error"]
    got = run(device, 2, python="with open('t', 'wb') as f: f.truncate(900 << 20)")
    assert got["exit"] == 0
    assert ((work / "t").stat().st_size, (work / "t").stat().st_blocks) == (900 << 20, 0)


def test_what_is_no_file_is_named_and_not_kept(device, work) -> None:
    source = (
        "import os, socket\nos.mkfifo('pipe')\nsocket.socket(socket.AF_UNIX).bind('sock')\n"
        "open('f', 'w').write('x')"
    )
    got = run(device, python=source)
    assert "not kept, as they are no files: pipe, sock" in got["note"]
    assert [p.name for p in work.iterdir()] == ["f"]


def test_a_fifo_of_mine_holds_nobody_up(device, work) -> None:
    os.mkfifo(work / "pipe")
    about = (work / "pipe").lstat()
    got = run(device, argv=["sh", "-c", "rm pipe; echo x > pipe"])
    assert got["waits"] == {"pipe": "it is no ordinary file but a fifo"}
    assert (work / "pipe").lstat() == about


def test_only_the_case_of_a_name(device, work) -> None:
    (work / "Name").write_text("x")
    got = run(device, argv=["mv", "Name", "name"])
    assert [c["change"] for c in got["changed"]] == ["renamed"]
    assert [p.name for p in work.iterdir()] == ["name"]


# ---- the folder goes, or is full -----------------------------------------------------------------


def test_a_folder_that_is_gone(device, work) -> None:
    run(device, argv=["true"])
    work.rename(work.parent / "moved")
    with pytest.raises(NotFound, match="gone"):
        run(device, 2, argv=["true"])
    work.mkdir()
    (work / "new").touch()
    assert run(device, 3, argv=["ls"])["out"] == "new\n"
    assert list((work.parent / "moved").iterdir()) == []


def test_a_folder_that_goes_while_a_program_runs(device, work, monkeypatch) -> None:
    real = device._means.sandbox.run

    async def ran(job):
        found = await real(job)
        shutil.rmtree(work)
        return found

    monkeypatch.setattr(device._means.sandbox, "run", ran)
    with pytest.raises(NotFound, match="gone"):
        run(device, argv=["touch", "f"])
    assert not work.exists()
    monkeypatch.undo()
    work.mkdir()
    assert run(device, 2, argv=["ls"])["out"] == ""


def test_no_space_for_what_it_made(sandboxed, small, shelf) -> None:
    """The program ran and is told so; what it made waits, and comes in when there is room."""
    work = small / "work"
    work.mkdir()
    (work / "f").write_text("as it was")
    fill(small)
    device = sandboxed(work, shelf)
    source = "print('hello')\nopen('f', 'w').write('new')\nopen('g', 'w').write('x' * 9000)"
    got = run(device, python=source)
    assert (got["exit"], got["out"]) == (0, "hello\n")
    assert "ENOSPC: no space is left" in got["waits"]
    assert "free some space" in got["waits"]
    assert {p.name: p.read_text() for p in work.iterdir()} == {"f": "as it was"}
    assert run(device, 2, argv=["cat", "f"])["out"] == "new"
    (small / "filler").unlink()
    assert "waits" not in run(device, 3, argv=["touch", "h"])
    assert sorted(p.name for p in work.iterdir()) == ["f", "g", "h"]
    assert (work / "f").read_text() == "new"


def test_a_file_call_that_found_no_space_did_nothing(sandboxed, small, shelf) -> None:
    from oros.abi.errors import NoSpace

    work = small / "work"
    work.mkdir()
    (work / "f").write_text("as it was")
    fill(small)
    space = sandboxed(work, shelf)._space
    who = Caller(7, "n:7:1", USER, since=4e9)
    with pytest.raises(NoSpace, match=str(work)):
        asyncio.run(space.write(who, "f", b"x" * 9000))
    assert not space.stack(7).seen()
    (small / "filler").unlink()
    assert asyncio.run(space.write(who, "f", b"x" * 9000)).value["layer"]
    assert (work / "f").read_bytes() == b"x" * 9000
