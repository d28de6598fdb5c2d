"""No way out of a warm interpreter: the probes of the other sandbox, shut here as well."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.drivers.sandbox.bwrap.test_escape import KERNEL_MAY_REFUSE, ROOT_ONLY

import oros
from oros.drivers.sandbox.bwrap.survey import WHEEL

HERE = Path(__file__).parent
BESIDE = HERE.parent / "bwrap"


def table(python: str, path: list[str], script: str, **more) -> dict:
    done = subprocess.run(
        [python, "-B", script], env={"PYTHONPATH": ":".join(path), "PATH": os.environ["PATH"]},
        cwd="/", capture_output=True, text=True, check=False, **more,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def as_self() -> dict:
    path = [str(Path(oros.__file__).parents[1]), str(BESIDE)]
    return table(sys.executable, path, str(HERE / "escape.py"))


def as_stranger() -> dict:
    """An ordinary user without a home, a name or a way into root's folders."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        source = Path(oros.__file__).parent
        for part in ("__init__.py", "abi", "drivers/__init__.py", "drivers/sandbox"):
            copy = shutil.copytree if (source / part).is_dir() else shutil.copy
            Path(folder, "oros", part).parent.mkdir(parents=True, exist_ok=True)
            copy(source / part, Path(folder, "oros", part))
        for part in Path(find_spec(WHEEL).origin).parents[1].glob(f"{WHEEL}*"):
            shutil.copytree(part, Path(folder, part.name))
        for file in (BESIDE / "host.py", BESIDE / "probes.py", HERE / "escape.py",
                     HERE / "forked.py"):  # fmt: skip
            shutil.copy(file, folder)
        who = {"user": 4242, "group": 4242, "extra_groups": []}
        return table("/usr/bin/python3", [folder], f"{folder}/escape.py", **who)


AS = {"self": as_self, "stranger": as_stranger}


@pytest.mark.parametrize("who", AS)
def test_every_probe_is_shut_inside_and_open_outside(who: str) -> None:
    if who == "stranger" and os.geteuid() != 0:
        pytest.skip("only root can become another user; `self` is an ordinary one already")
    found = AS[who]()

    assert found["sandbox"].keys() == found["bare"].keys()
    assert [name for name, said in found["sandbox"].items() if said in ("open", "died")] == []

    powerful = who == "self" and os.geteuid() == 0
    must = found["bare"].keys() - KERNEL_MAY_REFUSE - (set() if powerful else ROOT_ONLY)
    assert [(name, found["bare"][name]) for name in must if found["bare"][name] != "open"] == []
    assert len(must) >= 25
