"""A world on loopback: servers that stand for the internet, and an egress without a sandbox."""

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import AsyncIterator, Callable

import pytest

from oros.drivers.egress.netns import Bounds, Egress, Flow, Outside, Policy, Sockets
from oros.drivers.egress.netns import server as server_module
from oros.drivers.egress.netns.flows import PIECE
from oros.drivers.egress.netns.names import Names

LOOPBACK = ipaddress.ip_address("127.0.0.1")
Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], object]


class World:
    """`hosts`: name -> addresses. `at`: real port by the port that was dialled."""

    def __init__(self) -> None:
        self.hosts: dict[str, list[str]] = {}
        self.at: dict[int, int] = {}
        self.flows: list[Flow] = []
        self.asked: list[str] = []
        self.dialled: list[tuple[str, int]] = []

    async def resolve(self, host: str, port: int):
        self.asked.append(host)
        if host not in self.hosts:
            raise OSError(-2, "Name or service not known")
        return [ipaddress.ip_address(a) for a in self.hosts[host]]

    async def connect(self, address, port: int):
        """Every public address leads to this machine's loopback, whatever it is."""
        self.dialled.append((str(address), port))
        return await asyncio.open_connection("127.0.0.1", self.at[port], limit=PIECE)

    @property
    def outside(self) -> Outside:
        return Outside(resolve=self.resolve, connect=self.connect)

    def egress(self, *grants: str, **bounds) -> Egress:
        return Egress(Policy.of(*grants), self.flows.append, Bounds(**bounds), self.outside)

    @contextlib.asynccontextmanager
    async def server(self, port: int, answer: Answer, **kw) -> AsyncIterator[None]:
        """What answers to those who dial `port`."""

        async def serve(reader, writer):
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await answer(reader, writer)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

        made = await asyncio.start_server(serve, "127.0.0.1", 0, **kw)
        self.at[port] = made.sockets[0].getsockname()[1]
        async with made:
            yield


@pytest.fixture
def world() -> World:
    made = World()
    made.hosts = {"example.com": ["93.184.216.34"], "www.example.com": ["93.184.216.35"]}
    return made


def sockets() -> Sockets:
    """Sockets on this machine's loopback, as those in a sandbox would be."""

    def one(kind):
        made = socket.socket(socket.AF_INET, kind)
        made.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            made.listen()
        made.settimeout(0)
        return made

    tcp, udp = socket.SOCK_STREAM, socket.SOCK_DGRAM
    return Sockets(one(tcp), one(udp), one(tcp), one(tcp))


@pytest.fixture
def inside():
    return sockets


async def hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A web server that says what it was asked."""
    head = await reader.readuntil(b"\r\n\r\n")
    body = b"hello\n" + head
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body))
    writer.write(body)
    await writer.drain()


@pytest.fixture
def web():
    return hello


SECONDS = 20


class Talk:
    """A connection as a program inside would make it."""

    def __init__(self, reader, writer) -> None:
        self.reader, self.writer = reader, writer

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def rest(self) -> bytes:
        """All that comes until the end; a reset is an end too."""
        found = b""
        with contextlib.suppress(ConnectionError):
            while piece := await self.reader.read(1 << 16):
                found += piece
        return found

    async def ask(self, *lines: str, body: bytes = b"") -> bytes:
        await self.say("\r\n".join([*lines, "", ""]).encode() + body)
        return await self.rest()


@pytest.fixture
def go(world, inside, monkeypatch):
    """Run `use(talk)` behind an egress; `talk(door)` connects to one of its sockets.

    On the transparent ports the host's own 127.0.0.1 stands for the synthetic address of `meant`.
    """

    def run(egress, use, *servers, meant: str = "example.com"):
        class Mapped(Names):
            def name(self, address: str) -> str | None:
                return meant if address == "127.0.0.1" else None

        monkeypatch.setattr(server_module, "Names", Mapped)

        async def main():
            async with contextlib.AsyncExitStack() as stack:
                for each in servers:
                    await stack.enter_async_context(each)
                sockets = inside()
                doors = ("proxy", "tls", "http")
                ports = {door: getattr(sockets, door).getsockname()[1] for door in doors}

                async def talk(door: str = "proxy") -> Talk:
                    made = await asyncio.open_connection("127.0.0.1", ports[door])
                    stack.callback(abort, made[1])
                    return Talk(*made)

                await stack.enter_async_context(egress.serving(sockets))
                async with asyncio.timeout(SECONDS):
                    return await use(talk)

        return asyncio.run(main())

    return run


def abort(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
