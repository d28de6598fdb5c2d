import asyncio
import sys
from pathlib import Path

import pytest
from tests.services.run.conftest import PlainSandbox

from oros.abi.errors import NotEnforced
from oros.abi.grants import HOLDS
from oros.abi.jobs import Report
from oros.services.run.device import Means, RunDevice, demand


def test_what_is_held_is_enough() -> None:
    demand(Report("x", "0", works=True, held=("mem", "net")), ("net",))
    demand(Report("x", "0", works=True), ())


def test_what_is_not_held_is_named_with_its_reason_and_the_fix() -> None:
    report = Report("x", "0", works=True, held=("net",), not_held={"mem": "no group"}, fix="do so")
    with pytest.raises(NotEnforced) as e:
        demand(report, ("net", "mem", "disk"))
    assert "mem (the memory of all its processes is bounded): no group" in e.value.why
    assert "disk" in e.value.why
    assert "net" not in e.value.why
    assert e.value.hint == "do so"


def test_every_property_that_the_sandbox_reports_has_a_name_for_people(bwrap) -> None:
    report = asyncio.run(bwrap.probe())
    assert {*report.held} <= HOLDS.keys()
    assert {*report.not_held} - {"first choice"} <= HOLDS.keys()


@pytest.mark.parametrize("how", [{"argv": ["touch", "made"]}, {"python": "open('made', 'w')"}])
def test_nothing_runs_where_it_is_not_held(space, shelf, user, how) -> None:
    """A sandbox that holds nothing is enough for who needs nothing, and for nobody else."""
    means = Means(PlainSandbox(), lambda: (sys.executable,))
    with pytest.raises(NotEnforced, match="net"):
        asyncio.run(RunDevice(means, space, shelf, needs=("net",)).perform(user, how))
    assert list(Path(space.base.path).iterdir()) == []
    asyncio.run(RunDevice(means, space, shelf).perform(user, how))
    assert [p.name for p in Path(space.base.path).iterdir()] == ["made"]
