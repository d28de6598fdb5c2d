"""One connection to the outside: asked of the policy, resolved, checked, pinned, relayed, told.

The daemon resolves, so the address that was checked is the one that is dialled: a name that
changes its mind between the two (DNS rebinding) gains nothing. It knows no protocol on top.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, Literal

from oros.abi.errors import AccessDenied, OrosError, OverBudget, TimedOut, Unreachable
from oros.abi.jobs import Flow
from oros.drivers.egress.netns.policy import Address, Policy, literal, public
from oros.drivers.egress.netns.secrets import Mask, Secrets, none

PIECE = 1 << 16
MOST_ADDRESSES = 4
LINGER_SECONDS, LINGER_BYTES = 1.0, 1 << 18
LONGEST_URL = 2048

Via = Literal["connect", "proxy", "tls", "http", "dns"]
Decision = Literal["allowed", "refused", "failed"]
Resolve = Callable[[str, int], Awaitable[Sequence[Address]]]
Accept = Callable[[Address], bool]
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[Address, int], Awaitable[Streams]]


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits of one sandbox's egress: seconds, bytes, counts.

    `head` bounds a request's head and a TLS greeting; `up` and `down` all flows together; `at_once`
    the connections that are open, `flows` those that are ever served.
    """

    head: int = 32 << 10
    head_seconds: float = 10.0
    connect_seconds: float = 15.0
    idle_seconds: float = 120.0
    up: int = 256 << 20
    down: int = 4 << 30
    at_once: int = 64
    flows: int = 10_000
    names: int = 4096


@dataclass(slots=True)
class Trace:
    """A flow while it lasts."""

    via: Via
    port: int = 0
    host: str = ""
    address: str = ""
    url: str = ""
    up: int = 0
    down: int = 0
    secrets: tuple[str, ...] = ()
    mask: Mask | None = None
    opened: bool = False
    """From here on the bytes are the server's: no words of ours may be mixed into them."""


@dataclass(slots=True)
class Peer:
    """The two directions of a connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        """Write, and wait while the other side is slow. Raises: OSError."""
        self.writer.write(data)
        await self.writer.drain()

    async def refuse(self, words: bytes) -> None:
        """Send last words and see that they arrive: data left unread would turn them to a reset."""
        with contextlib.suppress(OSError):  # it has gone, or does not listen
            async with asyncio.timeout(LINGER_SECONDS):
                await self.send(words)
                self.writer.write_eof()
                left = LINGER_BYTES
                while left > 0 and (piece := await self.reader.read(PIECE)):
                    left -= len(piece)

    async def close(self, seconds: float) -> None:
        """Let what was written go out, for so long at most."""
        self.writer.close()
        with contextlib.suppress(OSError):
            async with asyncio.timeout(seconds):
                await self.writer.wait_closed()

    def abort(self) -> None:
        """Close it now; after `close` this is harmless."""
        with contextlib.suppress(AttributeError):  # of 3.11.2: over TLS, if it was closed twice
            self.writer.transport.abort()


class SystemResolver:
    """Asks the machine's resolver, on threads of its own: a slow name keeps nobody else waiting."""

    def __init__(self, threads: int = 4) -> None:
        self._pool = ThreadPoolExecutor(threads, "oros-resolve")

    async def __call__(self, host: str, port: int) -> Sequence[Address]:
        """The addresses of a name. Raises: OSError."""
        loop = asyncio.get_running_loop()
        # the final dot keeps the machine's search list out
        found = await loop.run_in_executor(
            self._pool, lambda: socket.getaddrinfo(f"{host}.", port, type=socket.SOCK_STREAM)
        )
        return [ip_address(str(place[0]).partition("%")[0]) for *_, place in found]

    def close(self) -> None:
        """Let the threads end; a lookup under way is not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)


async def dial(address: Address, port: int) -> Streams:
    """Connect to an address as it is. Raises: OSError."""
    return await asyncio.open_connection(str(address), port, limit=PIECE)


@dataclass(slots=True)
class Flows:
    """Opens and relays for one sandbox; `record` gets each flow once it is over."""

    policy: Policy
    record: Callable[[Flow], None]
    resolve: Resolve
    accept: Accept = public
    connect: Connect = dial
    bounds: Bounds = field(default_factory=Bounds)
    secrets: Secrets = none
    trust: ssl.SSLContext | None = None
    _up: int = 0
    _down: int = 0

    @contextlib.contextmanager
    def told(self, trace: Trace) -> Iterator[None]:
        """Tell a flow when it is over, however it ends; errors pass through."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        decision: Decision = "allowed"
        why = ""
        try:
            yield
        except OrosError as e:
            failed = isinstance(e, (Unreachable, TimedOut, OverBudget))
            decision, why = "failed" if failed else "refused", e.why
            raise
        except OSError as e:
            decision, why = "failed", f"the connection broke: {e.strerror or e}"
            raise
        except asyncio.CancelledError:
            why = "the sandbox was closed"
            raise
        finally:
            self.record(
                Flow(
                    trace.host, trace.port, trace.via, trace.address, trace.up, trace.down,
                    decision, why, loop.time() - start, trace.url[:LONGEST_URL], trace.secrets,
                )
            )  # fmt: skip

    def check(self, host: str, port: int) -> None:
        """Ask the policy. Raises: AccessDenied."""
        if not self.policy.allows(host, port):
            what = "address" if literal(host) else "host"
            raise AccessDenied(f"the {what} {host}:{port} is not granted")

    @contextlib.asynccontextmanager
    async def open(self, trace: Trace) -> AsyncIterator[Peer]:
        """Dial the flow's host. Raises: AccessDenied, Unreachable."""
        self.check(trace.host, trace.port)
        try:
            async with asyncio.timeout(self.bounds.connect_seconds):
                server = await self._dial(trace, await self._addresses(trace.host, trace.port))
        except TimeoutError as e:
            raise Unreachable(f"{trace.host} did not answer in time") from e
        try:
            if trace.secrets:
                await self._secured(server, trace.host)
            yield server
            await server.close(self.bounds.idle_seconds)
        finally:
            server.abort()

    async def _secured(self, server: Peer, host: str) -> None:
        """Speak TLS from here on, to that host and no other. Raises: Unreachable."""
        trust = self.trust or ssl.create_default_context()
        try:
            async with asyncio.timeout(self.bounds.connect_seconds):
                await server.writer.start_tls(trust, server_hostname=host)
        except TimeoutError as e:
            raise Unreachable(f"{host} did not answer in time") from e
        except (ssl.SSLError, OSError) as e:
            raise Unreachable(f"{host} is not who it says, or speaks no TLS: {e}") from e

    async def _addresses(self, host: str, port: int) -> list[Address]:
        """What may be dialled for a host. Raises: AccessDenied, Unreachable."""
        spelled = literal(host)
        if spelled is not None:
            found: Sequence[Address] = [spelled]
        else:
            try:
                found = await self.resolve(host, port)
            except TimeoutError:
                raise
            except OSError as e:
                raise Unreachable(f"{host} has no address: {e.strerror or e}") from e
        good = [address for address in dict.fromkeys(found) if self.accept(address)]
        if found and not good:
            raise AccessDenied(f"{host} leads to {found[0]}, which is not on the open internet")
        return good[:MOST_ADDRESSES]

    async def _dial(self, trace: Trace, addresses: Sequence[Address]) -> Peer:
        """Connect to the first that answers."""
        why = "it has no address"
        for address in addresses:
            try:
                async with asyncio.timeout(self.bounds.connect_seconds / len(addresses)):
                    streams = await self.connect(address, trace.port)
            except OSError as e:
                why = e.strerror or "no answer"
                continue
            trace.address = str(address)
            return Peer(*streams)
        raise Unreachable(f"{trace.host}:{trace.port} can't be reached: {why}")

    async def up(self, server: Peer, data: bytes, trace: Trace) -> None:
        """Send out of the sandbox. Raises: OverBudget, OSError."""
        self._up += len(data)
        if self._up > self.bounds.up:
            raise OverBudget("the sandbox has sent as much as it may")
        await server.send(data)
        trace.up += len(data)

    async def down(self, client: Peer, data: bytes, trace: Trace) -> None:
        """Send into the sandbox. Raises: OverBudget, OSError."""
        self._down += len(data)
        if self._down > self.bounds.down:
            raise OverBudget("the sandbox has received as much as it may")
        trace.opened = True
        await client.send(data)
        trace.down += len(data)

    async def relay(self, client: Peer, server: Peer, trace: Trace, first: bytes = b"") -> None:
        """Pass bytes both ways until both sides have ended. Raises: OrosError."""

        async def outward(pulse: Pulse) -> None:
            if first:
                await self.up(server, first, trace)
            while piece := await client.reader.read(PIECE):
                pulse.beat()
                await self.up(server, piece, trace)
                pulse.beat()
            end(server)

        async def inward(pulse: Pulse) -> None:
            await self.answer(client, server, trace, pulse)
            end(client)

        async def work(pulse: Pulse) -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(outward(pulse))
                group.create_task(inward(pulse))

        trace.opened = True
        await guarded(work, self.bounds.idle_seconds)

    async def answer(self, client: Peer, server: Peer, trace: Trace, pulse: "Pulse") -> None:
        """Pass what the server says into the sandbox, to its end. Raises: OverBudget, OSError."""
        mask = trace.mask
        while piece := await server.reader.read(PIECE):
            pulse.beat()
            if seen := piece if mask is None else mask.feed(piece):
                await self.down(client, seen, trace)
            pulse.beat()
        if mask is not None and (rest := mask.feed(b"", last=True)):
            await self.down(client, rest, trace)


class Pulse:
    """Remembers when something last moved."""

    def __init__(self) -> None:
        self._time = asyncio.get_running_loop().time
        self.last = self._time()

    def beat(self) -> None:
        """Something moved."""
        self.last = self._time()

    async def stopped(self, seconds: float) -> None:
        """Wait until nothing has moved for so long, and say so. Raises: TimedOut."""
        while (left := self.last + seconds - self._time()) > 0:  # noqa: ASYNC110 - it sleeps once
            await asyncio.sleep(left)
        raise TimedOut(f"nothing moved for {seconds:g} seconds")


def end(peer: Peer) -> None:
    """Say that no more comes."""
    with contextlib.suppress(OSError):  # it has gone already
        peer.writer.write_eof()


async def guarded(work: Callable[[Pulse], Coroutine[Any, Any, None]], idle: float) -> None:
    """Do it while something moves; the first failure is raised itself. Raises: OrosError."""
    pulse = Pulse()
    try:
        async with asyncio.TaskGroup() as tasks:
            watch = tasks.create_task(pulse.stopped(idle))
            await work(pulse)
            watch.cancel()
    except ExceptionGroup as group:  # the task group's own: what is in it is told, or raised again
        first: Exception = group
        while isinstance(first, ExceptionGroup):
            first = first.exceptions[0]
        if isinstance(first, OSError):
            raise Unreachable(f"the connection broke: {first.strerror or first}") from group
        if isinstance(first, OrosError):
            raise first from group
        raise
