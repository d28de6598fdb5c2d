"""I try several ways at once, keep one, and the others end; what a sandbox must hold is said."""

import json
import subprocess
import sys

from tests.journeys.test_changes import goal

from oros.abi.errors import Exists, Invalid

REST = ["sleep", {"seconds": 600}]
ME = "[ -e mine ] || cat /proc/sys/kernel/random/uuid > mine; cp mine found"


def racing(machine, n: int = 3) -> tuple[int, list[int]]:
    """A process, and copies of it that have changed the same file, each its own way."""
    calls = [REST, ["run", {"argv": ["sh", "-c", ME]}], REST]
    pid = machine.start(goal(*calls), "-p", "steps")
    machine.until(pid, lambda r: r["on"] == "timer")
    copies = machine.json("fork", str(pid), "-n", str(n), "--race")["pids"]
    for copy in copies:
        machine.until(copy, lambda r: r["on"] == "timer" and r["calls"] >= 2)
    return pid, copies


def test_one_is_kept_and_the_others_end(machine) -> None:
    pid, copies = racing(machine)
    assert not (machine.work / "found").exists()
    assert {machine.row(c)["race"] for c in copies} == {copies[0]}
    diffs = [machine.oros("diff", str(c)).stdout for c in copies]
    assert len(set(diffs)) == 3

    found = machine.json("commit", str(copies[1]))

    assert found["lost"] == [copies[0], copies[2]]
    assert (machine.work / "found").read_text().strip() in diffs[1]
    rows = [machine.row(c) for c in copies]
    assert [(r["status"], r["why"]) for r in rows] == [(157, "lost"), (None, ""), (157, "lost")]
    assert machine.row(pid)["race"] == 0
    assert machine.row(pid)["status"] is None
    log = machine.oros("log", str(copies[0])).stdout
    assert f"one of race {copies[0]}" in log
    assert f"LOST process {copies[1]} was committed" in log
    assert "status 157 (lost)" in log
    assert f"[race {copies[0]}]" in machine.oros("ps").stdout
    assert machine.oros("diff", str(copies[0])).stdout.endswith(diffs[0].splitlines()[-1] + "\n")
    assert machine.json("replay", str(copies[0]))["same"]

    late = machine.oros("commit", str(copies[0]))
    assert late.returncode == Exists.exit_code
    assert f"oros undo {copies[1]} --to 0 first" in late.stderr
    assert machine.oros("undo", str(copies[1])).returncode == 0
    assert machine.oros("commit", str(copies[0])).returncode == 0
    assert (machine.work / "found").read_text().strip() in diffs[0]


def test_what_the_original_did_before_decides_nothing(machine) -> None:
    before = ["run", {"argv": ["sh", "-c", "echo one > before"]}]
    after = ["run", {"argv": ["sh", "-c", ME]}]
    pid = machine.start(goal(before, REST, after, REST), "-p", "steps")
    machine.until(pid, lambda r: r["on"] == "timer")
    assert (machine.work / "before").exists()
    copies = machine.json("fork", str(pid), "-n", "2", "--race")["pids"]
    for copy in copies:
        machine.until(copy, lambda r: r["on"] == "timer" and r["calls"] >= 2)
    assert [machine.row(c)["status"] for c in copies] == [None, None]
    assert machine.json("commit", str(copies[1]))["lost"] == [copies[0]]
    assert machine.row(pid)["status"] is None


COMMIT = """
import asyncio, sys
from pathlib import Path
from oros.drivers.store.sqlite import SqliteStore
from oros.services.layers.workspaces import Request, Workspaces, perform

async def main(home: Path, pid: int) -> None:
    store = SqliteStore.open(home / "journal.db")
    for space in Workspaces(store, home / "layers").of(pid):
        perform(space, pid, Request("commit"))
    await store.close()

asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
"""


def test_a_race_that_a_crash_cut_is_finished(machine) -> None:
    """The machine dies between the commit and the ends of the others."""
    _, copies = racing(machine, 2)
    machine.kill_daemon()
    words = [sys.executable, "-c", COMMIT, str(machine.home), str(copies[0])]
    subprocess.run(words, check=True, cwd=machine.work)
    assert (machine.work / "found").exists()

    machine.oros("boot")

    assert machine.row(copies[1])["why"] == "lost"
    assert machine.row(copies[0])["status"] is None


def test_a_race_of_one_is_none(machine) -> None:
    pid = machine.start(goal(REST), "-p", "steps")
    machine.until(pid, lambda r: r["on"] == "timer")
    alone = machine.oros("fork", str(pid), "--race")
    assert alone.returncode == Invalid.exit_code
    assert "n is 2 to 64" in alone.stderr


def test_what_a_process_needs_of_the_sandbox(machine) -> None:
    """A property that is held lets programs run; an unknown one is refused at once."""
    held = machine.json("doctor")["held"]
    pid = machine.start(goal(["run", {"argv": ["true"]}]), "-p", "steps", "--need", ",".join(held))
    machine.oros("wait", str(pid))
    rows = machine.json("log", str(pid))
    back = [r["event"]["outcome"] for r in rows if r["kind"] == "call_returned"]
    assert back[0]["value"]["exit"] == 0

    wrong = machine.oros("run", "--need", "wings", "fly")
    assert wrong.returncode == Invalid.exit_code
    assert "wings" in wrong.stderr
    assert "kill_tree" in wrong.stderr


def test_ps_tells_what_each_may_do(machine) -> None:
    words = ("--review", "--net", "example.com", "--need", "net", "-b", "90s")
    pid = machine.start(goal(REST), "-p", "steps", *words)
    shown = machine.oros("ps", "-v").stdout
    line = next(x for x in shown.splitlines() if x.startswith(f"{pid}: "))
    assert str(machine.work) in line
    for word in ("after a review", "reaches example.com", "needs net", "at most 90 seconds"):
        assert word in line, line
    row = next(r for r in machine.json("ps", "-v") if r["pid"] == pid)
    assert row["limits"] == {"seconds": 90.0}
    doctor = machine.json("doctor")
    sandbox = {"runs": "net" in doctor["held"], "not_held": doctor["not_held"]}
    assert {**row["sandbox"], **sandbox} == row["sandbox"]
    assert json.loads(machine.oros("cat", f"/proc/{pid}/status").stdout)["mounts"] == row["mounts"]
