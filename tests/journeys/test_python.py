"""Python remembers what I defined, the machine may die under it, and I am told what is lost."""

import json

from tests.journeys.test_changes import goal, python

from oros.abi.errors import NotFound

REST = ["sleep", {"seconds": 600}]


def outcomes(machine, pid: int) -> list[dict]:
    """What the process's runs came to, oldest first."""
    rows = json.loads(machine.oros("log", str(pid), "-o", "json").stdout)
    entered = {r["event"]["id"]: r["event"]["name"] for r in rows if r["kind"] == "call_entered"}
    back = [r["event"] for r in rows if r["kind"] == "call_returned"]
    return [r["outcome"]["value"] for r in back if entered.get(r["id"]) == "run"]


def played(machine, *calls) -> list[dict]:
    """Runs before and after a `kill -9` of the machine."""
    pid = machine.start(goal(*calls), "-p", "steps")
    machine.until(pid, lambda r: r["on"] == "timer")
    machine.kill_daemon()
    assert machine.oros("kill", "-USR1", str(pid), "go on").returncode == 0
    assert machine.oros("wait", str(pid)).returncode == 0
    assert machine.json("replay", str(pid))["same"]
    return outcomes(machine, pid)


def test_what_i_defined_is_there_after_kill_9(machine) -> None:
    (machine.work / "n").write_text("20")
    first = "n = int(open('n').read()); open('log', 'a').write('x')"
    before, _, after = played(
        machine, python(first), python("def f(y): return n + y"), REST, python("f(22)")
    )
    assert before["cell"] == 1
    assert (after["value"], after["cell"]) == ("42", 3)
    assert "2 earlier cells were run again" in after["note"]
    assert (machine.work / "log").read_text() == "x"


def test_what_can_not_be_had_again_is_told_as_lost(machine) -> None:
    first = "import os; print(os.urandom(8).hex()); x = 1"
    _, after = played(machine, python(first), REST, python("'x' in globals()"))
    assert (after["value"], after["cell"]) == ("False", 1)
    assert "gone (run again, they came to something else)" in after["note"]


def test_a_copy_knows_what_its_original_knew_and_goes_its_own_way(machine) -> None:
    pid = machine.start(goal(python("x = [1]"), REST, python("x.append(2); x")), "-p", "steps")
    machine.until(pid, lambda r: r["on"] == "timer")
    (copy,) = machine.json("fork", str(pid))["pids"]
    for each in (copy, pid):
        machine.oros("kill", "-USR1", str(each), "go on")
        assert machine.oros("wait", str(each)).returncode == 0
    assert [outcomes(machine, p)[-1]["value"] for p in (copy, pid)] == ["[1, 2]"] * 2


def test_the_doctor_tells_how_python_runs_and_what_is_read(machine) -> None:
    found = machine.json("doctor")
    assert found["python"]["warm"], found
    assert found["read"]["text"].endswith(": yes")


def test_the_whole_of_a_long_output_can_be_read(machine) -> None:
    pid = machine.start(goal(python("for n in range(5000): print(n)")), "-p", "steps")
    machine.oros("wait", str(pid))
    rows = machine.json("log", str(pid))
    call = next(r["event"]["id"] for r in rows if r["kind"] == "call_entered")
    whole = machine.oros("cat", f"/proc/{pid}/calls/{call}/out.txt").stdout
    assert whole.split() == [str(n) for n in range(5000)]
    none = machine.oros("cat", f"/proc/{pid}/calls/{call}/figure.png")
    assert none.returncode == NotFound.exit_code
    assert "out.txt" in none.stderr
