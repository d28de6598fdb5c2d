"""The server of my model dies amid a job; the job ends on another, with the same files."""

import base64
import json

import pytest
from tests.drivers.models.messages import MessagesDialect
from tests.drivers.models.served import Call, Turn
from tests.journeys.apart import Apart
from tests.journeys.conftest import mortal_server

WRITES = [["write", {"path": f"/work/part-{n}.txt", "text": f"part {n}\n"}] for n in range(1, 7)]


@pytest.fixture
def mortal():
    """A model server that says nothing after two answers, until it is killed: (process, URL)."""
    with mortal_server("--answers", "2") as found:
        yield found


def configured(machine, url: str) -> None:
    """`first` is the default one, the mock behind it its fallback; `mock` alone is a name, too."""
    extra = '[aliases]\nbest = ["first", "mock"]\n[models.first]\nprice = [1, 2, 0]\nslots = 2\n'
    machine.configure(f'{extra}base_url = "{url}"\nmodel = "mock-1"\n', default="best")


def files(machine) -> dict[str, str]:
    return {p.name: p.read_text() for p in sorted(machine.work.iterdir())}


def test_the_job_goes_on_elsewhere(machine, mortal) -> None:
    server, url = mortal
    configured(machine, url)
    goal = f"[[mock calls={base64.b64encode(json.dumps(WRITES).encode()).decode()} final=written]]"
    pid = machine.start(goal)
    machine.until(pid, lambda row: row["calls"] >= 4 and row["on"] == "model")
    server.kill()
    waited = machine.oros("wait", str(pid))
    assert waited.returncode == 0, waited.stderr
    assert waited.stdout.startswith("written")
    lost = files(machine)
    assert len(lost) == len(WRITES)

    moved = [f["event"] for f in machine.json("log", str(pid)) if f["kind"] == "moved"]
    assert [(m["of"], m["to"]) for m in moved] == [("first", "mock")]
    assert moved[0]["why"].startswith("E")
    assert machine.row(pid)["model"] == "mock"
    assert "goes on with mock in the place of first" in machine.oros("log", str(pid)).stdout
    assert "goes on with mock" in machine.oros("trace", str(pid)).stdout
    row = next(r for r in machine.json("ps", "-a") if r["pid"] == pid)
    assert row["model"] == "mock"
    assert machine.json("replay", str(pid))["same"]

    for path in machine.work.iterdir():
        path.unlink()
    undisturbed = machine.oros("run", "--model", "mock", goal)
    assert undisturbed.returncode == 0, undisturbed.stderr
    assert files(machine) == lost


def test_a_server_that_is_not_there_is_gone_around(machine) -> None:
    """It is no end, and it is said while it happens."""
    configured(machine, "http://127.0.0.1:1/v1")
    found = machine.oros("run", "[[mock final=well]]")
    assert found.returncode == 0, found.stderr
    assert found.stdout.startswith("well")
    assert "goes on with mock in the place of first: ECONN" in found.stderr
    assert "mock←first" in machine.oros("ps", "-a").stdout
    assert "Traceback" not in found.stderr


def test_from_one_dialect_to_another(machine, mock_url) -> None:
    """It begins with Anthropic's Messages, thinks and writes two files, and is cut in mid-word."""
    turns = [
        Turn((), (Call(f"t{n}", name, json.dumps(args)),), ("hm",), "c2VhbA==", "calls")
        for n, (name, args) in enumerate(WRITES[:2])
    ]
    last = Turn(("done ", "with it"), hold=True)
    goal = f"[[mock calls={base64.b64encode(json.dumps(WRITES).encode()).decode()} final=written]]"
    with Apart(MessagesDialect(None), [*turns, last]) as server:
        extra = f'[models.first]\nbase_url = "{server.url}"\nmodel = "there"\n'
        extra += 'dialect = "anthropic"\nfallbacks = ["mock"]\n'
        machine.configure(extra, default="first")
        pid = machine.start(goal)
        machine.until(pid, lambda row: row["on"] == "model" and server.stats["held"])
    waited = machine.oros("wait", str(pid))
    assert waited.returncode == 0, waited.stderr
    lost = files(machine)
    assert list(lost) == [f"part-{n}.txt" for n in range(1, 7)]
    moved = [f["event"] for f in machine.json("log", str(pid)) if f["kind"] == "moved"]
    assert [(m["of"], m["to"]) for m in moved] == [("first", "mock")]
    assert machine.json("replay", str(pid))["same"]

    for path in machine.work.iterdir():
        path.unlink()
    assert machine.oros("run", "--model", "mock", goal).returncode == 0
    assert files(machine) == lost
