"""A world on loopback: servers that stand for the internet, and an egress without a sandbox."""

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import AsyncIterator, Callable

import pytest

from oros.drivers.egress.netns import Bounds, Egress, Flow, Outside, Policy, Sockets
from oros.drivers.egress.netns.flows import PIECE

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
