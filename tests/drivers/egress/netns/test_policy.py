"""Names, grants and addresses."""

import ipaddress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oros.abi.errors import Invalid
from oros.drivers.egress.netns.policy import (
    CLOSED_4,
    CLOSED_6,
    Policy,
    literal,
    normal,
    public,
    rule,
    split,
)

v4 = st.integers(0, 2**32 - 1).map(ipaddress.IPv4Address)
v6 = st.integers(0, 2**128 - 1).map(ipaddress.IPv6Address)
label = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
name = st.lists(label, min_size=2, max_size=4).map(".".join).filter(lambda n: n[-1].isalpha())


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Example.COM", "example.com"),
        ("example.com.", "example.com"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("bücher。example", "xn--bcher-kva.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("\uff45xample.com", "example.com"),
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.1.", "127.0.0.1"),
        ("\uff11\uff12\uff17.0.0.1", "127.0.0.1"),
        ("[::1]", "::1"),
        ("[0:0::1]", "::1"),
        ("::ffff:127.0.0.1", "::ffff:7f00:1"),
        ("_dmarc.example.com", "_dmarc.example.com"),
        ("localhost", "localhost"),
    ],
)
def test_one_spelling(text: str, found: str) -> None:
    assert normal(text) == found


@pytest.mark.parametrize(
    "text",
    ["", ".", "..", "a..b", ".a", "a b", "a/b", "a@b", "a:b", "a\0b", "-a.com", "a-.com", "a%2e",
     "127.1", "0177.0.0.1", "0x7f.1", "2130706433", "0x7f000001", "1.2.3.4.5", "a.1", "a.0x1",
     "a.0x", "fe80::1%eth0", "[::1", "x" * 64 + ".com", "a." * 127 + "com", "\ud800.com",
     "℀.com", "[example.com]"],
)  # fmt: skip
def test_what_is_no_host(text: str) -> None:
    with pytest.raises(Invalid):
        normal(text)


@given(st.text(max_size=80))
@example("⒈⒈⒈⒈")
@example("1⒈1⒈1⒈1")
@example("ß.de")
def test_the_form_is_a_fixed_point_and_plain(text: str) -> None:
    try:
        found = normal(text)
    except Invalid:
        return
    assert normal(found) == found
    assert found.isascii()
    assert found == found.lower()
    if ":" not in found:
        assert set(found) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_.")
    assert (literal(found) is not None) == (":" in found or found.rpartition(".")[2].isdigit())


@pytest.mark.parametrize(
    ("text", "found"),
    [("a.com:443", ("a.com", 443)), ("[::1]:80", ("::1", 80)), ("A.com:8443", ("a.com", 8443))],
)
def test_host_and_port(text: str, found: tuple[str, int]) -> None:
    assert split(text) == found


@pytest.mark.parametrize(
    "text",
    ["a.com", "a.com:", "a.com:0", "a.com:65536", "a.com:+1", "a.com:1_0", "a.com:٣", "::1:80",
     "a.com:80:80", "u@a.com:80", "[::1]", ":80", "a.com:999999"],
)  # fmt: skip
def test_what_is_no_host_and_port(text: str) -> None:
    with pytest.raises(Invalid):
        split(text)


def test_grants() -> None:
    policy = Policy.of(
        "Example.com", "*.wild.org", "api.org:8443", "93.184.216.34", "[2606::1]:443"
    )
    allowed = [("example.com", 80), ("example.com", 443), ("a.wild.org", 443), ("b.a.wild.org", 80),
               ("api.org", 8443), ("93.184.216.34", 80), ("2606::1", 443)]  # fmt: skip
    refused = [("example.com", 22), ("www.example.com", 443), ("wild.org", 443), ("api.org", 443),
               ("evilexample.com", 443), ("xwild.org", 443), ("example.com.evil.org", 443),
               ("93.184.216.35", 80), ("2606::1", 80), ("", 80)]  # fmt: skip
    assert all(policy.allows(*each) for each in allowed)
    assert not any(policy.allows(*each) for each in refused)
    assert policy.knows("api.org")
    assert not policy.knows("wild.org")


@pytest.mark.parametrize(
    "text", ["*", "*.", "*.com", "*.1.2.3.4", "a.*.com", "**.a.com", "*a.com", "http://a.com", ""]
)
def test_grants_that_are_none(text: str) -> None:
    with pytest.raises(Invalid):
        rule(text)


@given(name, name, st.integers(1, 65535))
def test_nothing_is_granted_by_itself(granted: str, other: str, port: int) -> None:
    assert not Policy().allows(granted, port)
    policy = Policy.of(granted)
    assert policy.allows(granted, port) == (port in (80, 443))
    assert policy.allows(other, 443) == (other == granted)
    below = Policy.of("*." + granted)
    assert not below.allows(granted, 443)
    assert below.allows(f"{other}.{granted}", 443)
    assert not below.allows(f"{other}{granted}", 443) or f"{other}{granted}".endswith("." + granted)


@pytest.mark.parametrize(
    "text",
    ["127.0.0.1", "127.255.0.1", "0.0.0.0", "10.1.2.3", "172.16.0.1", "172.31.255.255",
     "192.168.1.1", "169.254.169.254", "100.64.0.1", "100.100.100.200", "168.63.129.16",
     "192.0.0.192", "192.88.99.1", "198.18.0.1", "198.19.255.255", "224.0.0.1", "240.0.0.1",
     "255.255.255.255", "192.0.2.1", "198.51.100.1", "203.0.113.1",
     "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "64:ff9b::7f00:1",
     "64:ff9b::a9fe:a9fe", "64:ff9b::cb00:7107", "64:ff9b:1::808:808", "100::1", "2001::1",
     "2001:db8::1", "2002:7f00:1::", "2002:808:808::1", "3fff::1", "fc00::1", "fd00:ec2::254",
     "fd20:ce::254", "fe80::1", "fec0::1", "ff02::1", "4000::1"],
)  # fmt: skip
def test_what_is_not_on_the_open_internet(text: str) -> None:
    assert not public(ipaddress.ip_address(text))


@pytest.mark.parametrize(
    "text",
    ["8.8.8.8", "93.184.216.34", "1.1.1.1", "172.32.0.1", "2606:4700::1111", "2a00::1",
     "64:ff9b::808:808"],
)  # fmt: skip
def test_what_is(text: str) -> None:
    assert public(ipaddress.ip_address(text))


def near(nets):
    return st.sampled_from(nets).flatmap(
        lambda net: st.integers(0, min(net.num_addresses, 2**64) - 1).map(lambda i, n=net: n[i])
    )


@given(st.one_of(v4, v6, near(CLOSED_4), near(CLOSED_6)))
def test_public_is_at_least_as_strict_as_the_library(address) -> None:
    if public(address):
        assert not address.is_private
        assert not address.is_loopback
        assert not address.is_link_local
        assert not address.is_multicast
        assert not address.is_reserved
        assert not address.is_unspecified
        assert getattr(address, "ipv4_mapped", None) is None
        assert getattr(address, "sixtofour", None) is None
        assert getattr(address, "teredo", None) is None


@given(st.one_of(near(CLOSED_4), near(CLOSED_6)))
def test_closed_nets_are_closed_throughout(address) -> None:
    assert not public(address)
    assert address.version == 6 or not public(ipaddress.ip_address(f"::ffff:{address}"))
