"""The DNS inside: messages, the table, the server on a real socket."""

import asyncio
import ipaddress
import socket
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oros.abi.errors import BadReply
from oros.drivers.egress.netns import dns
from oros.drivers.egress.netns.names import NET, TOLD, Names, serve
from oros.drivers.egress.netns.policy import Policy


def ask(name: str, kind: int = dns.A, *, number: int = 7, family: int = 1, flags: int = 0x100,
        more: bytes = b"") -> bytes:  # fmt: skip
    wire = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".") if part) + b"\0"
    return struct.pack("!HHHHHH", number, flags, 1, 0, 0, int(bool(more))) + wire + struct.pack(
        "!HH", kind, family
    ) + more  # fmt: skip


def read(packet: bytes) -> tuple[int, int, list[str]]:
    """Id, code and addresses of an answer, by other means than ours."""
    number, flags, questions, answers, *_ = struct.unpack_from("!HHHHHH", packet)
    assert flags & 0x8000
    assert questions <= 1
    found = []
    if answers:
        assert packet[-16:-14] == b"\xc0\x0c"
        assert struct.unpack("!HHIH", packet[-14:-4])[:2] == (1, 1)
        found = [socket.inet_ntoa(packet[-4:])]
    return number, flags & 15, found


@pytest.fixture
def refused() -> list[str]:
    return []


@pytest.fixture
def names(refused) -> Names:
    policy = Policy.of("example.com", "*.example.com", "93.184.216.34", "bücher.de:8443")
    return Names(policy, refused.append)


def test_a_granted_name_has_an_address_of_its_own(names: Names, refused) -> None:
    seen = set()
    for asked in ("example.com", "EXAMPLE.com", "a.example.com", "xn--bcher-kva.de"):
        number, code, (address,) = read(names.answer(ask(asked)))
        assert (number, code) == (7, dns.NO_ERROR)
        assert ipaddress.ip_address(address) in NET
        assert names.name(address) == asked.lower()
        seen.add(address)
    assert len(seen) == 3
    assert refused == []


def test_the_question_is_repeated_to_the_letter(names: Names) -> None:
    question = ask("eXaMPle.COM")
    assert names.answer(question)[12:].startswith(question[12:])


@pytest.mark.parametrize("kind", [dns.AAAA, 15, 16, 65, 255])
def test_other_kinds_are_empty(names: Names, kind: int) -> None:
    assert read(names.answer(ask("example.com", kind))) == (7, dns.NO_ERROR, [])


@pytest.mark.parametrize(
    "name", ["other.net", "com", "", "93.184.216.34", "1.0.0.127.in-addr.arpa", "example.com.net",
             "127.1", "a b.example.com", "*.example.com", "localhost"],
)  # fmt: skip
def test_others_do_not_exist(names: Names, name: str, refused) -> None:
    for kind in (dns.A, dns.AAAA):
        assert read(names.answer(ask(name, kind))) == (7, dns.NO_NAME, [])
    assert len(refused) == 1


def test_a_dot_inside_a_label_fools_nobody(names: Names) -> None:
    wire = b"\x0bexample.com\0"
    packet = struct.pack("!HHHHHH", 1, 0, 1, 0, 0, 0) + wire + b"\0\1\0\1"
    assert read(names.answer(packet))[1] == dns.NO_NAME


def test_edns_is_passed_over(names: Names) -> None:
    option = b"\0" + struct.pack("!HHIH", 41, 1232, 0, 0)
    assert read(names.answer(ask("example.com", more=option)))[1] == dns.NO_ERROR


@pytest.mark.parametrize(
    ("packet", "code"),
    [
        (ask("example.com", flags=0x2800), dns.NOT_DONE),
        (ask("example.com", family=3), dns.REFUSED),
        (ask("example.com")[:-1], dns.FORMAT),
        (ask("example.com")[:14], dns.FORMAT),
        (struct.pack("!HHHHHH", 7, 0, 2, 0, 0, 0) + b"\0\0\1\0\1", dns.FORMAT),
        (struct.pack("!HHHHHH", 7, 0, 1, 0, 0, 0) + b"\xc0\x0c\0\1\0\1", dns.FORMAT),
        (struct.pack("!HHHHHH", 7, 0, 1, 0, 0, 0) + b"\x3fa\0\1\0\1", dns.FORMAT),
        (ask(".".join(["a" * 60] * 5)), dns.FORMAT),
    ],
)
def test_odd_queries(names: Names, packet: bytes, code: int) -> None:
    assert read(names.answer(packet))[:2] == (7, code)


@pytest.mark.parametrize(
    "packet", [b"", b"x" * 11, ask("example.com", flags=0x8100),
               ask("example.com", more=b"x" * 512), b"\0" * 60_000],
)  # fmt: skip
def test_what_is_not_answered(names: Names, packet: bytes) -> None:
    assert names.answer(packet) is None


@given(st.one_of(st.binary(max_size=600), st.binary(max_size=100).map(
    lambda tail: struct.pack("!HHHHHH", 1, 0x100, 1, 0, 0, 0) + tail)))  # fmt: skip
@settings(max_examples=500)
def test_any_bytes(packet: bytes) -> None:
    names = Names(Policy.of("example.com"))
    answer = names.answer(packet)
    if answer is not None:
        assert len(answer) <= len(packet) + 16
        assert answer[:2] == packet[:2]
    if dns.number(packet) is not None:
        try:
            query = dns.parse(packet)
        except BadReply:
            return
        assert query.raw in packet


def test_the_table_is_bounded_and_forgets_the_least_used() -> None:
    names = Names(Policy(), most=3)
    first = [str(names.address(n)) for n in "abc"]
    assert names.name(first[0]) == "a"  # used: "b" is now the oldest
    fourth = str(names.address("d"))
    assert fourth not in first
    assert [names.name(a) for a in first] == ["a", None, "c"]
    assert len({str(names.address(str(n))) for n in range(1000)}) == 1000
    assert len(names._names) == len(names._addresses) == 3


def test_addresses_come_round_again() -> None:
    names = Names(Policy(), most=2)
    kept = names.address("kept")
    for n in range(NET.num_addresses + 5):
        assert names.address(str(n)) != kept
        assert names.address("kept") == kept


def test_refused_names_are_told_once_and_not_without_end(names: Names, refused) -> None:
    for n in range(TOLD + 50):
        names.answer(ask(f"n{n}.net"))
        names.answer(ask(f"n{n}.net"))
    assert len(refused) == TOLD
    assert len(set(refused)) == TOLD


def test_a_flood_leaves_the_others_their_turn(inside) -> None:
    class Counted(Names):
        answered = 0

        def answer(self, packet: bytes) -> None:
            self.answered += 1

    async def main() -> int:
        names, turns = Counted(Policy()), 0
        with inside() as sockets, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            for _ in range(100):
                s.sendto(b"x", sockets.dns.getsockname())
            async with asyncio.timeout(5), asyncio.TaskGroup() as group:
                service = group.create_task(serve(names, sockets.dns))
                while names.answered < 50:
                    turns += 1
                    await asyncio.sleep(0)
                service.cancel()
        return turns

    assert asyncio.run(main()) > 25


def test_on_a_socket(world, inside) -> None:
    def talk(port: int) -> list[tuple[int, int, list[str]]]:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(5)
            s.connect(("127.0.0.1", port))
            s.send(b"x" * 60_000)
            s.send(b"junk")
            s.send(ask("other.net", number=1))
            s.send(ask("example.com", number=2))
            return [read(s.recv(512)) for _ in range(2)]

    async def main():
        sockets = inside()
        async with world.egress("example.com").serving(sockets):
            port = sockets.dns.getsockname()[1]
            return await asyncio.to_thread(talk, port)

    refused, granted = asyncio.run(main())
    assert refused == (1, dns.NO_NAME, [])
    assert granted[:2] == (2, dns.NO_ERROR)
    assert [(f.host, f.via, f.decision) for f in world.flows] == [("other.net", "dns", "refused")]
