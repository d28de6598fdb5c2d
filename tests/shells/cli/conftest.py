"""A command line in this process, against a fake machine behind the real door."""

import json

import pytest
from tests.gate.fake import serving

from oros.abi.events import CallEntered, CallReturned, Exited, ModelCalled, ModelReplied, Spawned
from oros.abi.grants import NO_LIMITS, Usage
from oros.abi.ids import CallId, Pid
from oros.abi.labels import SYSTEM
from oros.abi.manifest import Program
from oros.abi.message import say
from oros.abi.syscalls import Outcome
from oros.shells.cli.main import main

ROW = {
    "path": "/proc/12",
    "kind": "process",
    "pid": 12,
    "ppid": 0,
    "state": "waiting",
    "on": "model",
    "nice": 0,
    "program": "code",
    "model": "local",
    "goal": "count the penguins in the table",
    "tokens_in": 12345,
    "tokens_out": 90,
    "cached": 12000,
    "micros": 0,
    "seconds": 3.25,
    "calls": 2,
    "started": 1000.0,
    "changed": 1060.0,
    "status": None,
    "why": "",
    "integrity": 3,
    "race": 0,
    "window": {},
}


def row(**changes):
    return ROW | changes


def life(goal="count", answer="three", status=0, why="", label=SYSTEM):
    """The events of a small job: it thinks, runs a program, answers."""
    ran = {"exit": 0, "signal": None, "out": "3\n", "err": "", "seconds": 0.2}
    ran["changed"] = [{"path": "/work/counts.csv", "change": "added", "size": 12}]
    used = Usage(1000, 40, 800, 0, 1.5, 1)
    return [
        Spawned(Pid(0), Program("code", "", "code", ""), goal, "local", 0, NO_LIMITS, ()),
        ModelCalled("local", Usage(1000, 900), 2),
        ModelReplied(say("assistant", "print(3)"), used, "stop", "local", 0.5, 0.7, 1.5),
        CallEntered(CallId("c4"), "run", {"python": "print(3)"}, "once", "n:12:4"),
        CallReturned(CallId("c4"), Outcome(value=ran), 0.25),
        Exited(status, answer, why, label),
    ]


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("OROS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "100")
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return tmp_path / "home"


@pytest.fixture
def machine(home):
    with serving(home) as found:
        found.queries["models"] = [{"name": "local", "about": "small; for counting", "slots": 1}]
        yield found


@pytest.fixture
def oros(machine, capsys):
    """Run a command line: (exit code, stdout, stderr)."""

    def run(*words):
        try:
            code = main(words)
        except SystemExit as e:
            code = e.code
        found = capsys.readouterr()
        return code, found.out, found.err

    return run


@pytest.fixture
def oros_json(oros):
    def run(*words):
        code, out, err = oros(*words, "-o", "json")
        assert code == 0, err
        return json.loads(out)

    return run
