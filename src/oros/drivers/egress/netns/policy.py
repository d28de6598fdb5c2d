"""Which hosts may be reached: granted names and ports, and addresses that are public. Pure.

A name is compared in one normal form (lower case, no final dot, IDNA as punycode), and that form
is also what is resolved, so what is checked is what is dialled. It resolves nothing itself.

Sources: IANA special-purpose address registries (RFC 6890 and later), RFC 5890, WHATWG URL 3.5
(a host whose last label is a number is an address, however odd its spelling).
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from oros.abi.errors import Invalid

Address = IPv4Address | IPv6Address

WEB = frozenset({80, 443})
"""The ports of a grant that names none."""

LONGEST = 253
NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*")
NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")

CLOSED_4 = tuple(
    ip_network(net)
    for net in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared by carriers (CGNAT); Alibaba's metadata
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # Azure's host agent: a public number, a private thing
        "169.254.0.0/16",  # link-local; metadata of most clouds
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments; Oracle's metadata
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks; our synthetic addresses
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)
OPEN_6 = ip_network("2000::/3")
"""Global unicast. Outside lie loopback, v4-mapped, unique local, link-local, multicast."""
NAT64 = ip_network("64:ff9b::/96")
"""Holds v4 addresses, which a network that has v6 alone translates to (RFC 6052)."""
CLOSED_6 = tuple(
    ip_network(net)
    for net in (
        "2001::/23",  # protocol assignments: Teredo, ORCHID, benchmarks
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: holds a v4 address of any kind
        "3ffe::/16",  # once the 6bone
        "3fff::/20",  # documentation
    )
)


def dialled(address: Address) -> Address:
    """The address that is reached by one in the end."""
    return IPv4Address(int(address) & 0xFFFFFFFF) if address in NAT64 else address


def public(address: Address) -> bool:
    """Tell whether an address is somebody's on the open internet, and nothing nearer."""
    address = dialled(address)
    if isinstance(address, IPv4Address):
        return not any(address in net for net in CLOSED_4)
    return address in OPEN_6 and not any(address in net for net in CLOSED_6)


def literal(host: str) -> Address | None:
    """The address that a host in normal form spells; None for a name."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def normal(host: str) -> str:
    """One spelling for each name and address. Raises: Invalid (no host, or an odd address)."""
    if len(host) > LONGEST + 2:  # brackets, or a final dot
        raise Invalid("the host's name is too long")
    if host.startswith("[") and host.endswith("]"):
        return _address(host[1:-1])
    if ":" in host:
        return _address(host)
    try:
        name = host.encode("idna").decode("ascii").lower().removesuffix(".")
    except UnicodeError as e:
        raise Invalid(f"{host!r} is no host") from e
    if len(name) > LONGEST or not NAME.fullmatch(name):
        raise Invalid(f"{host!r} is no host")
    if NUMBER.fullmatch(name.rpartition(".")[2]):
        return _address(name)
    return name


def split(authority: str, default: int | None = None) -> tuple[str, int]:
    """Host and port of `host:port`. Raises: Invalid."""
    host, colon, digits = authority.rpartition(":")
    if not colon or authority.endswith("]"):
        if default is None:
            raise Invalid(f"{authority!r} names no port")
        return normal(authority), default
    if ":" in host and not host.startswith("["):
        raise Invalid(f"{authority!r}: an IPv6 address stands in brackets")
    return normal(host), _port(digits)


def _address(text: str) -> str:
    found = literal(text)
    if found is None or "%" in text:
        raise Invalid(f"{text!r} is no address", "IPv4 has four decimal numbers; IPv6 no zone")
    return str(found)


def _port(digits: str) -> int:
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= 5):
        raise Invalid(f"{digits!r} is no port")
    port = int(digits)
    if not 0 < port < 65536:
        raise Invalid(f"{port} is no port")
    return port


@dataclass(frozen=True, slots=True)
class Rule:
    """A granted host in normal form; `below`: the names below it, not itself.

    Without a port it is granted for the web's two.
    """

    host: str
    below: bool = False
    port: int | None = None

    def holds(self, host: str) -> bool:
        """Whether it speaks of this host."""
        return host.endswith("." + self.host) if self.below else host == self.host


def rule(text: str) -> Rule:
    """Read `example.com`, `*.example.com`, `example.com:8443`, `203.0.113.7`, `[2001:db8::1]:443`.

    Raises:
        Invalid: it is none of these, or `*` would stand over a whole top-level domain.
    """
    below = text.startswith("*.")
    rest = text[2:] if below else text
    if rest.count(":") == 1 or "]:" in rest:
        host, port = split(rest)
        made = Rule(host, below, port)
    else:
        made = Rule(normal(rest), below)
    if below and (literal(made.host) or "." not in made.host):
        raise Invalid(f"{text} grants too much", "name at least two labels: *.example.com")
    return made


@dataclass(frozen=True, slots=True)
class Policy:
    """What is granted; nothing by default."""

    rules: tuple[Rule, ...] = ()

    @staticmethod
    def of(*texts: str) -> "Policy":
        """Read grants, see `rule`. Raises: Invalid."""
        return Policy(tuple(rule(text) for text in texts))

    def allows(self, host: str, port: int) -> bool:
        """Whether a host in normal form may be reached at a port."""
        return any(
            rule.holds(host) and (port in WEB if rule.port is None else port == rule.port)
            for rule in self.rules
        )

    def knows(self, host: str) -> bool:
        """Whether a name in normal form may be reached at some port."""
        return any(rule.holds(host) for rule in self.rules)
