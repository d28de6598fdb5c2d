"""My folder goes, fills up or changes under what waits for it: I am told so, and lose nothing."""

import shutil
from pathlib import Path

import pytest
from tests.journeys.conftest import Machine
from tests.journeys.test_bad_input import says
from tests.journeys.test_changes import goal, python
from tests.journeys.test_full_disk import FULL, disk, fill  # noqa: F401 - `disk` is a fixture
from tests.services.layers.trees import photo

from oros.abi.errors import Busy, NotFound

GONE = NotFound.exit_code
WRITES = python("open('a.txt', 'w').write('new\\n')\nopen('b.txt', 'w').write('b' * 9000)")


def waiting(machine: Machine) -> int:
    """A process whose changes wait."""
    (machine.work / "a.txt").write_text("as it was\n")
    pid = machine.start(goal(WRITES), "-p", "steps", "--review")
    assert machine.oros("wait", str(pid)).returncode == 0
    return pid


def returned(machine: Machine, pid: int) -> list[dict]:
    """What its calls came to."""
    facts = machine.json("log", str(pid))
    return [f["event"]["outcome"] for f in facts if f["kind"] == "call_returned"]


def leave(machine: Machine) -> Path:
    """Give commands from another folder than the one that goes, from now on."""
    work, machine.work = machine.work, machine.work.parent / "elsewhere"
    machine.work.mkdir()
    return work


@pytest.fixture
def small(machine, disk):  # noqa: F811 - the fixture
    """A machine whose user works on a small disk."""
    work, machine.work = machine.work, disk / "work"
    machine.work.mkdir()
    yield machine
    machine.work = work


def test_my_folder_is_gone_before_i_commit(machine) -> None:
    pid, work = waiting(machine), leave(machine)
    shutil.rmtree(work)
    for verb in ("commit", "undo"):
        says(machine.oros(verb, str(pid)), GONE, "ENOENT", f"the folder {work} is gone", "bring")
    assert not work.exists()
    work.mkdir()
    assert machine.oros("commit", str(pid)).returncode == 0
    assert (work / "a.txt").read_text() == "new\n"
    assert machine.oros("undo", str(pid)).returncode == 0
    assert list(work.iterdir()) == []


def test_my_folder_is_another_one_when_i_commit(machine) -> None:
    """What I moved away is not touched, and what I put there is mine."""
    pid, work = waiting(machine), leave(machine)
    work.rename(work.parent / "moved")
    work.mkdir()
    (work / "a.txt").write_text("another, of mine\n")
    found = machine.oros("commit", str(pid))
    assert found.returncode == Busy.exit_code
    assert "a.txt: you changed it" in found.stderr
    assert (work / "a.txt").read_text() == "another, of mine\n"
    assert (work / "b.txt").exists()
    assert {p.name: p.read_text() for p in (work.parent / "moved").iterdir()} == {
        "a.txt": "as it was\n"
    }


def test_my_folder_goes_while_programs_run(machine) -> None:
    """The one that runs then, and the next, are told; neither makes the folder anew."""
    waits = python("import time\nnote = open('note')\nwhile not note.read(): time.sleep(0.05)\n"
                   "open('x', 'w')")  # fmt: skip
    with (machine.work / "note").open("w") as note:
        pid = machine.start(goal(waits, WRITES), "-p", "steps")
        machine.until(pid, lambda r: r["on"] == "call")
        work = leave(machine)
        shutil.rmtree(work)
        note.write("gone")
    assert machine.oros("wait", str(pid)).returncode == 0
    errors = [outcome["error"] for outcome in returned(machine, pid)]
    assert [e["code"] for e in errors] == ["ENOENT", "ENOENT"]
    assert all(f"the folder {work} is gone" in e["why"] for e in errors), errors
    assert not work.exists()


def test_my_folder_goes_before_its_first_call(machine) -> None:
    """It is told of the folder, not of a name in it, though nobody has entered it yet."""
    reads = 'turns=2 tool=read args={"path":"a"}'
    pid = machine.start(f"[[mock fault=stall times=1 {reads} final=no]]")
    machine.until(pid, lambda _: machine.client().query("live", pid=pid)["text"])
    work = leave(machine)
    shutil.rmtree(work)
    for signal in ("STOP", "CONT"):  # which ends the answer that stalls
        machine.client().call("kill", pid=pid, signal=signal)
    assert machine.oros("wait", str(pid)).returncode == 0
    errors = [outcome["error"] for outcome in returned(machine, pid)]
    assert [(e["code"], e["why"]) for e in errors] == [("ENOENT", f"the folder {work} is gone")] * 2


def test_my_disk_is_full_when_i_commit(small, disk) -> None:  # noqa: F811 - the fixture
    pid = waiting(small)
    before = photo(small.work)
    fill(disk)
    says(small.oros("commit", str(pid)), FULL, "ENOSPC", str(small.work), "free some space")
    assert photo(small.work) == before
    assert "+new" in small.oros("diff", str(pid)).stdout
    (disk / "filler").unlink()
    assert small.oros("commit", str(pid)).returncode == 0
    assert (small.work / "b.txt").read_text() == "b" * 9000
    assert small.oros("undo", str(pid)).returncode == 0
    assert photo(small.work) == before


def test_my_disk_is_full_while_it_works(small, disk) -> None:  # noqa: F811 - the fixture
    """It is told what waits, goes on, and I bring it in later."""
    (small.work / "a.txt").write_text("as it was\n")
    before = photo(small.work)
    fill(disk)
    pid = small.start(goal(WRITES, python("print(open('a.txt').read())")), "-p", "steps")
    assert small.oros("wait", str(pid)).returncode == 0
    assert photo(small.work) == before
    first, second = (outcome["value"] for outcome in returned(small, pid))
    assert "ENOSPC: no space is left" in first["waits"]
    assert second["out"] == "new\n\n"
    (disk / "filler").unlink()
    assert small.oros("commit", str(pid)).returncode == 0
    assert (small.work / "a.txt").read_text() == "new\n"


def test_a_child_sees_what_its_parent_has_not_committed(machine) -> None:
    inner = goal(python("open('of-child', 'w').write(open('a.txt').read())"))
    spawn = ["spawn", {"goal": inner, "program": "steps"}]
    (machine.work / "a.txt").write_text("as it was\n")
    pid = machine.start(goal(WRITES, spawn), "-p", "steps", "--review")
    machine.oros("wait", str(pid))
    child = machine.until(pid + 1, lambda r: r["state"] == "reaped")["pid"]
    assert "b/of-child" in machine.oros("diff", str(child)).stdout
    assert [p.name for p in machine.work.iterdir()] == ["a.txt"]
    assert machine.oros("commit", str(child)).returncode == 0
    assert (machine.work / "of-child").read_text() == "new\n"
    # What both have is no conflict, and the parent's own is not lost.
    assert machine.oros("commit", str(pid)).returncode == 0
    assert machine.oros("diff", str(pid)).stdout == ""
