"""What passes and what does not, through real sockets on loopback and a real egress."""

import asyncio
import contextlib
import ipaddress
import time

import pytest
from tests.drivers.egress.netns.conftest import SECONDS, Talk

from oros.drivers.egress.netns import server as server_module
from oros.drivers.egress.netns.flows import SystemResolver


def one(*lines: str, door: str = "proxy", body: bytes = b""):
    async def use(talk) -> bytes:
        return await (await talk(door)).ask(*lines, body=body)

    return use


async def echo(reader, writer) -> None:
    while piece := await reader.read(1 << 16):
        writer.write(piece)
        await writer.drain()


async def said(reader, writer) -> None:
    """Answer with all that was sent: a whole body, and what comes in half a second after it."""
    found, silence = b"", None
    with contextlib.suppress(TimeoutError):
        while piece := await asyncio.wait_for(reader.read(1 << 16), silence):
            found += piece
            silence = 0.5 if found.endswith((b"\r\n\r\nabc", b"0\r\n\r\n")) else None
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + found)
    await writer.drain()


# ---- plain HTTP


def test_a_request_by_the_proxy(world, go, web) -> None:
    use = one("GET http://www.Example.com/x?y HTTP/1.1", "Host: www.example.com", "Proxy-X: 1",
              "Proxy-Connection: keep-alive")  # fmt: skip
    answer = go(world.egress("*.example.com"), use, world.server(80, web))
    assert (
        b"GET /x?y HTTP/1.1\r\nHost: www.example.com\r\nproxy-x: 1\r\nConnection: close" in answer
    )
    (flow,) = world.flows
    assert (flow.host, flow.port, flow.via, flow.address) == (
        "www.example.com", 80, "proxy", "93.184.216.35",
    )  # fmt: skip
    assert (flow.decision, flow.why, flow.url) == ("allowed", "", "http://www.example.com/x?y")
    assert flow.down == len(answer)
    assert 0 < flow.up < 200
    assert 0 < flow.seconds < SECONDS


@pytest.mark.parametrize(
    ("lines", "status", "why"),
    [
        (["GET http://other.net/ HTTP/1.1", "Host: other.net"], 403, "not granted"),
        (["GET http://example.com:8080/ HTTP/1.1", "Host: example.com:8080"], 403, "not granted"),
        (["GET http://8.8.8.8/ HTTP/1.1", "Host: 8.8.8.8"], 403, "not granted"),
        (["GET http://[::ffff:127.0.0.1]/ HTTP/1.1", "Host: [::ffff:127.0.0.1]"], 403, "granted"),
        (["GET http://2130706433/ HTTP/1.1", "Host: 2130706433"], 400, "no address"),
        (["GET http://example.com/ HTTP/1.1", "Host: other.net"], 400, "differ"),
        (["GET http://example.com/ HTTP/1.1"], 400, "one Host"),
        (["GET / HTTP/1.1", "Host: example.com"], 400, "proxy"),
        (["GET https://example.com/ HTTP/1.1", "Host: example.com"], 400, "no http://"),
        (["CONNECT other.net:443 HTTP/1.1", "Host: other.net:443"], 403, "not granted"),
        (["CONNECT example.com:22 HTTP/1.1", "Host: example.com:22"], 403, "not granted"),
        (["CONNECT other.net:80 HTTP/1.1"], 403, "not granted"),
        (["CONNECT 127.0.0.1:443 HTTP/1.1"], 403, "not granted"),
        (["CONNECT example.com HTTP/1.1"], 400, "no port"),
        (["CONNECT example.com:443 HTTP/1.1", "Content-Length: 3"], 400, "no body"),
        (["nonsense"], 400, "no HTTP/1"),
        (["GET http://gone.example.com/ HTTP/1.1", "Host: gone.example.com"], 502, "no address"),
        (["GET http://empty.example.com/ HTTP/1.1", "Host: empty.example.com"], 502, "no address"),
        (["GET http://inner.example.com/ HTTP/1.1", "Host: inner.example.com"], 403, "internet"),
        (["CONNECT inner.example.com:443 HTTP/1.1"], 403, "internet"),
        (["CONNECT mapped.example.com:443 HTTP/1.1"], 403, "internet"),
    ],
)
def test_refused(world, go, lines, status: int, why: str) -> None:
    world.hosts |= {"inner.example.com": ["127.0.0.1", "10.0.0.1"], "empty.example.com": [],
                    "mapped.example.com": ["::ffff:127.0.0.1", "64:ff9b::7f00:1"]}  # fmt: skip
    answer = go(world.egress("example.com", "*.example.com"), one(*lines))
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert why.encode() in answer
    assert world.dialled == []
    (flow,) = world.flows
    assert flow.decision == ("failed" if status == 502 else "refused")
    assert why in flow.why
    assert (flow.up, flow.down, flow.address) == (0, 0, "")


def test_a_granted_address(world, go, web) -> None:
    use = one("GET http://93.184.216.34/ HTTP/1.1", "Host: 93.184.216.34")
    assert b"hello" in go(world.egress("93.184.216.34"), use, world.server(80, web))
    assert world.asked == []


def test_a_granted_address_must_be_public_too(world, go) -> None:
    use = one("GET http://127.0.0.1/ HTTP/1.1", "Host: 127.0.0.1")
    assert go(world.egress("127.0.0.1"), use).startswith(b"HTTP/1.1 403 ")
    assert world.dialled == []


def test_only_the_public_ones_of_many_addresses_are_dialled(world, go, web) -> None:
    world.hosts["example.com"] = ["10.0.0.1", "93.184.216.34", "::1", "93.184.216.34"]
    use = one("GET http://example.com/ HTTP/1.1", "Host: example.com")
    go(world.egress("example.com"), use, world.server(80, web))
    assert world.dialled == [("93.184.216.34", 80)]


def test_a_name_that_changes_its_mind(world, go, web) -> None:
    answers = [["93.184.216.34"], ["127.0.0.1"]]

    async def resolve(host: str, port: int):
        return [ipaddress.ip_address(a) for a in answers.pop(0)]

    world.resolve = resolve

    async def use(talk):
        ask = ("GET http://example.com/ HTTP/1.1", "Host: example.com")
        return [await (await talk()).ask(*ask) for _ in range(2)]

    first, second = go(world.egress("example.com"), use, world.server(80, web))
    assert b"hello" in first
    assert second.startswith(b"HTTP/1.1 403 ")
    assert world.dialled == [("93.184.216.34", 80)]


def test_straight(world, go, web) -> None:
    use = one("GET /x HTTP/1.1", "Host: Example.com.", door="http")
    assert b"GET /x HTTP/1.1\r\nHost: example.com\r\n" in go(
        world.egress("example.com"), use, world.server(80, web)
    )
    assert (world.flows[0].via, world.flows[0].url) == ("http", "http://example.com/x")


@pytest.mark.parametrize("host", ["other.net", "example.com:8080", "www.example.com", "127.0.0.1"])
def test_straight_to_one_and_asking_for_another(world, go, host: str) -> None:
    egress = world.egress("example.com", "www.example.com")
    answer = go(egress, one("GET / HTTP/1.1", f"Host: {host}", door="http"))
    assert answer.startswith(b"HTTP/1.1 403 ")
    tunnel = one("CONNECT example.com:80 HTTP/1.1", "", f"GET / HTTP/1.1\r\nHost: {host}")
    answer = go(egress, tunnel)
    assert b"200 Connection established\r\n\r\nHTTP/1.1 403 " in answer
    assert world.dialled == []
    assert [f.decision for f in world.flows] == ["refused"] * 2
    assert all("which was asked for" in f.why for f in world.flows)


def test_a_tunnel_to_port_80_carries_one_request(world, go, web) -> None:
    use = one("CONNECT example.com:80 HTTP/1.1", "", "GET /t HTTP/1.1\r\nHost: example.com")
    assert b"GET /t HTTP/1.1" in go(world.egress("example.com"), use, world.server(80, web))
    assert world.flows[0].via == "connect"


def test_a_second_request_does_not_pass(world, go) -> None:
    chunks = b"1;x\r\na\r\n2\r\nbc\r\n0\r\nT: x\r\n\r\n"
    for body, length in (
        (b"abc", "Content-Length: 3"),
        (chunks, "Transfer-Encoding: chunked"),
    ):
        smuggled = body + b"GET /evil HTTP/1.1\r\nHost: other.net\r\n\r\n"
        use = one("POST / HTTP/1.1", "Host: example.com", length, door="http", body=smuggled)
        answer = go(world.egress("example.com"), use, world.server(80, said))
        assert b"evil" not in answer
        assert answer.endswith((b"\r\n\r\nabc", b"\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n"))


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("Content-Length: 3", b"ab"),
        ("Transfer-Encoding: chunked", b"3\r\nabcd"),
        ("Transfer-Encoding: chunked", b"x\r\n"),
        ("Transfer-Encoding: chunked", b"1\r\na\r\n0\r\n" + b"T: x\r\n" * 100),
        ("Transfer-Encoding: chunked", b"1" + b" " * 40_000),
    ],
)
def test_broken_bodies(world, go, field: str, body: bytes) -> None:
    async def use(talk):
        made = await talk("http")
        await made.say(f"POST / HTTP/1.1\r\nHost: example.com\r\n{field}\r\n\r\n".encode() + body)
        made.writer.write_eof()
        return await made.rest()

    answer = go(world.egress("example.com"), use, world.server(80, said))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert world.flows[0].decision == "refused"


def test_a_large_body_both_ways(world, go) -> None:
    size = 5_000_000

    async def mirror(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(size // 50_000):
            writer.write(await reader.readexactly(50_000))
            await writer.drain()

    async def use(talk):
        made = await talk("http")
        head = f"POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: {size}\r\n\r\n"
        async with asyncio.TaskGroup() as group:
            rest = group.create_task(made.rest())
            await made.say(head.encode() + b"x" * size)
        return rest.result()

    answer = go(world.egress("example.com"), use, world.server(80, mirror))
    assert answer.count(b"x") == size
    assert world.flows[0].up > size
    assert world.flows[0].down == len(answer)


def test_a_server_that_says_nothing(world, go) -> None:
    async def silent(reader, writer):
        await reader.readuntil(b"\r\n\r\n")

    use = one("GET / HTTP/1.1", "Host: example.com", door="http")
    answer = go(world.egress("example.com"), use, world.server(80, silent))
    assert answer.startswith(b"HTTP/1.1 502 ")
    assert world.flows[0].decision == "failed"


def test_nobody_listens_there(world, go, inside) -> None:
    sockets = inside()
    world.at[80] = sockets.tls.getsockname()[1]
    sockets.close()
    use = one("GET / HTTP/1.1", "Host: example.com", door="http")
    assert go(world.egress("example.com"), use).startswith(b"HTTP/1.1 502 ")
    assert "can't be reached" in world.flows[0].why


# ---- hostile clients


@pytest.mark.parametrize("door", ["proxy", "http"])
def test_endless_headers(world, go, door: str) -> None:
    async def use(talk):
        made = await talk(door)
        await made.say(b"GET / HTTP/1.1\r\n")
        with contextlib.suppress(ConnectionError):
            for _ in range(2000):
                await made.say(b"X: " + b"y" * 500 + b"\r\n")
        return await made.rest()

    answer = go(world.egress("example.com"), use)
    assert answer.startswith(b"HTTP/1.1 431 ") or not answer
    assert "longer than" in world.flows[0].why
    answer = go(world.egress("example.com", head=200), one("GET / HTTP/1.1", "X: " + "y" * 300))
    assert answer.startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize("door", ["proxy", "http", "tls"])
def test_slow_loris(world, go, door: str) -> None:
    """Many that say a little at a time are cut, and the next is served."""

    async def drip(made: Talk) -> bytes:
        with contextlib.suppress(ConnectionError):
            for byte in b"GET / HTTP/1.1\r\nX: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy":
                await made.say(bytes([byte]))
                await asyncio.sleep(0.02)
        return await made.rest()

    async def use(talk):
        slow = [await talk(door) for _ in range(8)]
        async with asyncio.TaskGroup() as group:
            ends = [group.create_task(drip(each)) for each in slow]
        return [each.result() for each in ends]

    start = time.monotonic()
    answers = go(world.egress("example.com", head_seconds=0.2, at_once=4), use)
    assert time.monotonic() - start < 10
    expected = b"HTTP/1.1 408 " if door != "tls" else b"\x15\x03\x01"
    assert all(a.startswith(expected) or not a for a in answers)
    assert len(world.flows) == 8
    if door != "tls":
        assert {f.decision for f in world.flows} == {"failed"}


def test_a_connection_that_says_nothing(world, go) -> None:
    async def use(talk):
        return await (await talk()).rest()

    start = time.monotonic()
    assert go(world.egress("example.com", head_seconds=0.1), use).startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - start < 2


def test_only_so_many_at_once_and_in_all(world, go, web) -> None:
    async def use(talk):
        idle = [await talk() for _ in range(2)]
        third = await talk()
        await third.say(b"GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\n\r\n")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(third.reader.read(1), 0.2)
        idle[0].writer.close()
        answer = await third.rest()
        idle[1].writer.close()
        await asyncio.sleep(0.1)
        with pytest.raises(ConnectionError):
            await talk()
        return answer

    egress = world.egress("example.com", at_once=2, flows=3, head_seconds=5)
    assert b"hello" in go(egress, use, world.server(80, web))
    assert len(world.flows) == 3


# ---- tunnels


def tunnel(port: int = 8443):
    async def use(talk):
        made = await talk()
        await made.say(f"CONNECT example.com:{port} HTTP/1.1\r\n\r\n".encode())
        assert await made.reader.readuntil(b"\r\n\r\n")
        return made

    return use


def test_half_closed_is_not_closed(world, go) -> None:
    async def use(talk):
        made = await tunnel()(talk)
        await made.say(b"ping")
        made.writer.write_eof()
        return await made.rest()

    async def late(reader, writer):
        found = await reader.read()
        await asyncio.sleep(0.05)
        writer.write(b"got " + found)

    assert go(world.egress("example.com:8443"), use, world.server(8443, late)) == b"got ping"
    (flow,) = world.flows
    assert (flow.via, flow.up, flow.down, flow.decision) == ("connect", 4, 8, "allowed")


def test_idle_tunnels_are_cut(world, go, monkeypatch) -> None:
    async def use(talk):
        loop = asyncio.get_running_loop()
        now = loop.time()
        with monkeypatch.context() as patch:
            patch.setattr(loop, "time", lambda: now)  # on a busy machine it would pass by itself
            made = await tunnel()(talk)
            for _ in range(4):
                await made.say(b"x")
                await made.reader.readexactly(1)
                now += 0.2
            now += 0.2
            return await made.rest()

    egress = world.egress("example.com:8443", idle_seconds=0.3)
    assert go(egress, use, world.server(8443, echo)) == b""
    (flow,) = world.flows
    assert (flow.up, flow.down, flow.decision) == (4, 4, "failed")
    assert flow.why == "nothing moved for 0.3 seconds"
    assert flow.seconds > 0.6


@pytest.mark.parametrize("bound", ["up", "down"])
def test_bytes_are_bounded_over_all_flows(world, go, bound: str) -> None:
    async def use(talk):
        counts = []
        for _ in range(2):
            made = await tunnel()(talk)
            await made.say(b"x" * 30_000)
            made.writer.write_eof()
            counts.append(len(await made.rest()))
        return counts

    egress = world.egress("example.com:8443", **{bound: 50_000})
    first, second = go(egress, use, world.server(8443, echo))
    assert first == 30_000
    assert second < 30_000
    assert [f.decision for f in world.flows] == ["allowed", "failed"]
    assert "as much as it may" in world.flows[1].why
    assert sum(getattr(f, bound) for f in world.flows) <= 50_000


def test_a_slow_reader_holds_back_the_server(world, go) -> None:
    sent = 0

    async def flood(reader, writer):
        nonlocal sent
        while sent < 200_000_000:
            writer.write(b"x" * 100_000)
            await writer.drain()
            sent += 100_000

    async def use(talk):
        made = await tunnel()(talk)
        made.reader._transport.pause_reading()
        await asyncio.sleep(0.5)
        return sent

    # what the kernel's buffers of three sockets hold, not what the server has
    assert go(world.egress("example.com:8443"), use, world.server(8443, flood)) < 50_000_000


def test_a_server_that_resets(world, go) -> None:
    async def reset(reader, writer):
        await reader.read(1)
        writer.transport.abort()

    async def use(talk):
        made = await tunnel()(talk)
        await made.say(b"x" * 1_000_000)
        return await made.rest()

    assert go(world.egress("example.com:8443"), use, world.server(8443, reset)) == b""
    assert world.flows[0].decision in ("failed", "allowed")


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\0\1\1", b""])
def test_what_is_no_tls_is_cut(world, go, data: bytes) -> None:
    async def straight(talk):
        made = await talk("tls")
        await made.say(data)
        made.writer.write_eof()
        return await made.rest()

    async def tunnelled(talk):
        made = await tunnel(443)(talk)
        await made.say(data)
        made.writer.write_eof()
        return await made.rest()

    egress = world.egress("example.com")
    assert go(egress, straight, world.server(443, echo)) in (b"", b"\x15\x03\x01\0\2\2\x31")
    assert world.dialled == []
    assert go(egress, tunnelled, world.server(443, echo)) == b""
    assert [(f.decision, f.up) for f in world.flows] == [("refused", 0)] * 2


def test_an_address_that_stands_for_nothing(world, go) -> None:
    answer = go(world.egress("example.com"), one("GET / HTTP/1.1", door="http"), meant=None)
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert "stands for no granted host" in world.flows[0].why


# ---- the service itself


def test_closing_ends_the_flows_and_tells_them(world, go) -> None:
    async def use(talk):
        made = await tunnel()(talk)
        await made.say(b"x")
        await made.reader.readexactly(1)

    start = time.monotonic()
    go(world.egress("example.com:8443"), use, world.server(8443, echo))
    assert time.monotonic() - start < 5
    (flow,) = world.flows
    assert (flow.up, flow.down, flow.why) == (1, 1, "the sandbox was closed")


def test_the_error_of_the_block_is_its_own(world, inside) -> None:
    async def main():
        async with world.egress("example.com").serving(inside()):
            raise KeyError("mine")

    with pytest.raises(KeyError):
        asyncio.run(main())


def test_the_sockets_are_closed_after(world, inside) -> None:
    async def main():
        sockets = inside()
        async with world.egress("example.com").serving(sockets):
            pass
        return sockets

    sockets = asyncio.run(main())
    assert {s.fileno() for s in (sockets.proxy, sockets.dns, sockets.tls, sockets.http)} == {-1}


def test_a_record_that_raises_ends_it(world, go) -> None:
    def broken(flow):
        raise KeyError("no room")

    egress = world.egress("example.com")
    egress._record = broken
    with pytest.raises(BaseExceptionGroup) as raised:
        go(egress, one("nonsense"))
    assert raised.group_contains(KeyError)


def test_the_default_lets_nobody_to_loopback(world, go, inside) -> None:
    """The machine's resolver and the default check: `localhost` is granted, and still refused."""
    egress = server_module.Egress(server_module.Policy.of("localhost"), world.flows.append)
    answer = go(egress, one("GET http://localhost/ HTTP/1.1", "Host: localhost"))
    assert answer.startswith((b"HTTP/1.1 403 ", b"HTTP/1.1 502 "))
    assert world.flows[0].address == ""


def test_the_resolver_of_the_machine() -> None:
    async def main():
        with contextlib.closing(SystemResolver()) as resolve:
            return await resolve("localhost", 80)

    try:
        found = asyncio.run(main())
    except OSError:
        return  # a machine whose resolver does not know it with its final dot
    assert all(address.is_loopback for address in found)
