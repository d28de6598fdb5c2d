from ipaddress import ip_address

import pytest

from oros.abi.errors import Invalid
from oros.drivers.egress.netns import way


@pytest.mark.parametrize("text", ["127.0.0.1", "127.3.2.1", "0.0.0.0"])
def test_this_machines_own_addresses(text) -> None:
    assert way.own(ip_address(text))
    assert not way.elsewhere(ip_address(text))


def test_somebody_elses_address() -> None:
    assert not way.own(ip_address("93.184.216.34"))
    assert way.elsewhere(ip_address("93.184.216.34"))


def test_a_public_address_of_this_machine_is_not_dialled(monkeypatch) -> None:
    monkeypatch.setattr(way, "own", lambda _: True)
    assert not way.elsewhere(ip_address("93.184.216.34"))


def test_what_leads_to_an_address_of_this_machine_is_not_dialled(monkeypatch) -> None:
    monkeypatch.setattr(way, "own", lambda a: a == ip_address("93.184.216.34"))
    assert not way.elsewhere(ip_address("64:ff9b::5db8:d822"))
    assert way.elsewhere(ip_address("64:ff9b::808:808"))


def test_what_is_no_host_makes_no_way() -> None:
    with pytest.raises(Invalid):
        way.Way(["*.com"], lambda _: None)
