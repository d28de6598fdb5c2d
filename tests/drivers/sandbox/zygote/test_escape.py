"""No way out of a warm interpreter: the probes of the other sandbox, shut here as well."""

import os
import sys
from pathlib import Path

import pytest
from tests.drivers.sandbox.bwrap.test_escape import KERNEL_MAY_REFUSE, ROOT_ONLY
from tests.drivers.sandbox.stranger import stranger, told

import oros

HERE = Path(__file__).parent
BESIDE = HERE.parent / "bwrap"


def as_self() -> dict:
    path = [str(Path(oros.__file__).parents[1]), str(BESIDE)]
    return told(sys.executable, path, HERE / "escape.py")


def as_stranger() -> dict:
    beside = (BESIDE / "host.py", BESIDE / "probes.py", HERE / "forked.py")
    return stranger(HERE / "escape.py", *beside)


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
