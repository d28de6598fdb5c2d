"""The egress of one sandbox: serves the sockets that stand in its net namespace.

Without an `Egress` a sandbox has no way out; with one, only to what its policy grants. It makes no
socket of its own inside: see `listeners`.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from oros.abi.errors import OrosError
from oros.abi.jobs import Flow
from oros.drivers.egress.netns import names
from oros.drivers.egress.netns.flows import (
    Accept,
    Bounds,
    Connect,
    Flows,
    Peer,
    Resolve,
    SystemResolver,
    dial,
)
from oros.drivers.egress.netns.listeners import Sockets
from oros.drivers.egress.netns.names import Names
from oros.drivers.egress.netns.policy import Policy, public
from oros.drivers.egress.netns.proxy import Proxy
from oros.drivers.egress.netns.secrets import Secrets, none
from oros.drivers.egress.netns.transparent import Transparent

PAUSE = 0.1
"""Seconds to wait when the daemon has no descriptor left for a new connection."""
DNS_PORT = 53


@dataclass(frozen=True, slots=True)
class Outside:
    """How the outside is reached. Anything but the default is for tests.

    `resolve` None is the machine's resolver; `accept` tells which addresses may be dialled.
    """

    resolve: Resolve | None = None
    accept: Accept = public
    connect: Connect = dial
    trust: ssl.SSLContext | None = None


BOUNDS, OUTSIDE = Bounds(), Outside()


class Egress:
    """Serves one sandbox. `record` is told each flow when it is over, and each refused name once.

    A `record` that raises ends the egress.
    """

    def __init__(
        self,
        policy: Policy,
        record: Callable[[Flow], None],
        bounds: Bounds = BOUNDS,
        outside: Outside = OUTSIDE,
        secrets: Secrets = none,
    ) -> None:
        self._policy, self._record, self._secrets = policy, record, secrets
        self._bounds, self._outside = bounds, outside

    @contextlib.asynccontextmanager
    async def serving(self, sockets: Sockets) -> AsyncIterator[None]:
        """Serve for the time of the block; after it no flow is left and the sockets are closed."""
        with contextlib.ExitStack() as stack:
            stack.enter_context(sockets)
            outside = self._outside
            resolve = outside.resolve
            if resolve is None:
                resolve = stack.enter_context(contextlib.closing(SystemResolver()))
            flows = Flows(
                self._policy, self._record, resolve, outside.accept, outside.connect, self._bounds,
                self._secrets, outside.trust,
            )  # fmt: skip
            try:
                async with asyncio.TaskGroup() as group:
                    service = group.create_task(self._serve(flows, sockets))
                    yield
                    service.cancel()
            except BaseExceptionGroup as failed:
                if len(failed.exceptions) != 1:
                    raise
                raise failed.exceptions[0] from None

    async def _serve(self, flows: Flows, sockets: Sockets) -> None:
        """Serve until cancelled."""
        known = Names(self._policy, self._refused, self._bounds.names)
        proxy, transparent = Proxy(flows), Transparent(flows, known)
        door = _Door(self._bounds)
        async with asyncio.TaskGroup() as group:
            group.create_task(names.serve(known, sockets.dns))
            group.create_task(door.accept(sockets.proxy, proxy.serve, group))
            group.create_task(door.accept(sockets.tls, transparent.tls, group))
            group.create_task(door.accept(sockets.http, transparent.http, group))

    def _refused(self, name: str) -> None:
        why = f"the name {name or '(not a host)'} is not granted"
        self._record(Flow(name, DNS_PORT, "dns", decision="refused", why=why))


class _Door:
    """Lets connections in, so many at once and so many in all."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._left = bounds.flows
        self._free = asyncio.Semaphore(bounds.at_once)

    async def accept(
        self,
        listener: socket.socket,
        handle: Callable[[Peer], Awaitable[None]],
        group: asyncio.TaskGroup,
    ) -> None:
        """Accept until cancelled, or until all that may come have come: then none can connect."""
        loop = asyncio.get_running_loop()
        while self._left > 0:
            try:
                connection, _ = await loop.sock_accept(listener)
            except OSError:
                await asyncio.sleep(PAUSE)
                continue
            self._left -= 1
            with contextlib.ExitStack() as held:
                held.enter_context(contextlib.closing(connection))
                await self._free.acquire()
                group.create_task(self._one(connection, handle))
                held.pop_all()
        listener.close()

    async def _one(
        self, connection: socket.socket, handle: Callable[[Peer], Awaitable[None]]
    ) -> None:
        with contextlib.closing(connection):
            try:
                streams = await asyncio.open_connection(sock=connection, limit=self._bounds.head)
                client = Peer(*streams)
                try:
                    await handle(client)
                    await client.close(self._bounds.idle_seconds)
                finally:
                    client.abort()
            except (OSError, OrosError):
                pass  # it is told already; whoever was there has gone
            finally:
                self._free.release()
