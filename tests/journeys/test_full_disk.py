"""The disk is full; I am told so at once, and when there is space again the work goes on."""

import json
import os
import resource
import signal
import subprocess
import time
from contextlib import suppress

import pytest
from tests.journeys.conftest import Machine, ends, mortal_server
from tests.journeys.test_bad_input import says

STEPS = '[[mock turns=3 tool=write args={"path":"n.txt","text":"hi"} final=finished]]'
FULL = 28


def mounted(folder, size: str):
    """A small file system of its own at a folder; skips where that needs more rights."""
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", f"size={size}", "oros-test", str(folder)]
    try:
        found = subprocess.run(words, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount here")
    if found.returncode:
        pytest.skip(f"can't mount: {found.stderr.strip()}")


def fill(folder) -> None:
    """Take all the space that is left."""
    with (folder / "filler").open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(65536))


@pytest.fixture
def disk(tmp_path):
    """A small disk."""
    mounted(tmp_path / "disk", "8m")
    yield tmp_path / "disk"
    subprocess.run(["umount", "--lazy", str(tmp_path / "disk")], check=True)


@pytest.fixture
def server():
    """A model server that answers once, and goes on when it is told: (process, base URL)."""
    with mortal_server("--answers", "1") as found:
        yield found


@pytest.fixture
def cramped(disk, server):
    """A machine whose home is on the small disk."""
    found = Machine(disk, server[1])
    yield found
    (disk / "filler").unlink(missing_ok=True)
    found.close()


def gone(pid: int) -> bool:
    """Whether a process ends soon."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.01)
    return False


def followed(machine) -> tuple[subprocess.Popen, int]:
    """A command that follows a new process, once that one has made a call; and its pid."""
    run = machine.begin("run", "--stream", STEPS)
    for line in run.stdout:
        fact = json.loads(line)
        if fact.get("kind") == "call_returned":
            return run, fact["pid"]
    raise AssertionError(run.stderr.read())


def test_a_disk_that_fills_up_under_a_process(cramped, disk, server) -> None:
    run, pid = followed(cramped)
    daemon = cramped.daemon()

    fill(disk)
    server[0].send_signal(signal.SIGUSR1)

    says(ends(run), FULL, "ENOSPC", "journal.db", "free some space")
    assert gone(daemon)  # nothing is done that can't be written down
    for words in (("wait", str(pid)), ("ps",), ("run", "hello")):
        says(cramped.oros(*words), FULL, "ENOSPC", "free some space")

    (disk / "filler").unlink()
    waited = cramped.oros("wait", str(pid))
    assert (waited.returncode, waited.stderr) == (0, "")
    assert "finished" in waited.stdout
    assert (cramped.work / "n.txt").read_text() == "hi"
    assert cramped.json("replay", str(pid))["same"]
    assert [r["pid"] for r in cramped.json("ps", "-a")] == [1, pid]


def test_a_journal_that_may_not_grow(machine, server) -> None:
    """The same by a limit on the size of files, for whoever can't mount a disk."""
    machine.base_url = server[1]
    machine.configure()
    run, pid = followed(machine)
    wait = machine.begin("wait", str(pid))
    daemon = machine.daemon()
    size = (machine.home / "journal.db-wal").stat().st_size

    resource.prlimit(daemon, resource.RLIMIT_FSIZE, (size, size))
    server[0].send_signal(signal.SIGUSR1)

    says(ends(run), FULL, "ENOSPC", "free some space")
    assert gone(daemon)
    # Whether it came before the machine failed or started another, it loses nothing.
    waited = ends(wait)
    assert waited.returncode in (0, FULL), waited.stderr
    waited = machine.oros("wait", str(pid))
    assert "finished" in waited.stdout
    assert machine.json("replay", str(pid))["same"]


def test_a_call_of_mine_on_a_full_disk(cramped, disk) -> None:
    """An idle machine finds the disk full at my own command."""
    assert cramped.oros("ps").returncode == 0
    daemon = cramped.daemon()
    fill(disk)
    while (found := cramped.oros("send", "1", "x" * 5000)).returncode == 0:
        pass  # what is open already may take a few more rows
    says(found, FULL, "ENOSPC", "free some space")
    assert gone(daemon)
    (disk / "filler").unlink()
    assert cramped.oros("ps").returncode == 0


def test_a_home_on_a_full_disk(cramped, disk) -> None:
    fill(disk)
    says(cramped.oros("ps"), FULL, "ENOSPC", "did not start", "free some space")
    (disk / "filler").unlink()
    assert cramped.oros("ps").returncode == 0


def test_a_file_on_a_full_disk(machine, disk) -> None:
    """The file that was there stays whole, and a process hears of it and goes on."""
    machine.work = disk
    assert machine.oros("write", "note.txt", "old").returncode == 0
    fill(disk)
    says(machine.oros("write", "note.txt", given="x" * 100_000), FULL, "ENOSPC", "note.txt", "free")
    text = "x" * 10_000
    goal = f'[[mock turns=1 tool=write args={{"path":"note.txt","text":"{text}"}} final=sorry]]'
    found = machine.oros("run", "-", given=goal)
    assert found.returncode == 0, found.stderr
    assert "sorry" in found.stdout
    back = next(f for f in machine.json("log", "2") if f["kind"] == "call_returned")
    assert back["event"]["outcome"]["error"]["code"] == "ENOSPC"
    assert (disk / "note.txt").read_text() == "old\n"
    assert sorted(p.name for p in disk.iterdir()) == ["filler", "note.txt"]
    (disk / "filler").unlink()
    assert machine.oros("write", "note.txt", "new").returncode == 0
