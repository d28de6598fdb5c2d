"""The code is upgraded under a machine that runs: its person is told, or it is started anew."""

import os
import shutil
from pathlib import Path

import pytest

import oros as package


@pytest.fixture
def code(machine, tmp_path) -> Path:
    """A copy of the code, from which the person's command comes."""
    skip = shutil.ignore_patterns("__pycache__")
    copy = shutil.copytree(Path(package.__file__).parent, tmp_path / "src" / "oros", ignore=skip)
    machine.env["PYTHONPATH"] = os.fspath(copy.parent)
    return copy


def upgraded(code: Path, name: str) -> None:
    """A file is written anew, as git and pip do."""
    file = code / name
    new = file.with_suffix(".new")
    new.write_text(file.read_text() + "\n# upgraded\n")
    new.rename(file)


def test_an_idle_machine_is_started_anew(machine, code) -> None:
    assert machine.oros("run", "[[mock final=well]]").returncode == 0
    was, first = machine.daemon(), machine.oros("status").stdout
    assert machine.oros("ps").stderr == ""
    upgraded(code, "drivers/stops.py")
    assert "of another build than this command" in machine.oros("status").stdout
    told = machine.oros("ps", "-a")
    assert "is of another build, 0." in told.stderr
    assert "it is started anew" in told.stderr
    assert "mock final" in told.stdout  # processes are in the journal
    assert machine.daemon() != was
    again = machine.oros("status").stdout
    assert again.splitlines()[0] != first.splitlines()[0]
    assert "another build" not in again
    assert machine.oros("ps").stderr == ""


def test_one_that_is_at_work_is_not(machine, code) -> None:
    pid = machine.start("[[mock fault=hang]]")
    machine.until(pid, lambda row: row["on"] == "model")
    was = machine.daemon()
    upgraded(code, "drivers/stops.py")
    told = machine.oros("ps")
    assert "is of another build" in told.stderr
    assert "when its work is done: oros halt" in told.stderr
    assert "mock fault" in told.stdout
    assert machine.daemon() == was
    assert "it is started anew" not in machine.oros("kill", "-KILL", str(pid)).stderr
    assert "it is started anew" in machine.oros("ps").stderr
    assert machine.daemon() != was
