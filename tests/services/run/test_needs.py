import pytest

from oros.abi.errors import NotEnforced
from oros.abi.grants import HOLDS
from oros.abi.jobs import Report
from oros.services.run.device import demand


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
    import asyncio

    report = asyncio.run(bwrap.probe())
    assert {*report.held} <= HOLDS.keys()
    assert {*report.not_held} - {"first choice"} <= HOLDS.keys()
