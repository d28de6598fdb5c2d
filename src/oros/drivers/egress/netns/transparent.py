"""Connections of programs that know no proxy: to an address that stands for a name.

The name comes from the address that was dialled; what the program then says (the SNI of TLS, the
Host of HTTP) must be the same. Not closed by this: another host asked for inside of TLS.
"""

import asyncio

from oros.abi.errors import AccessDenied, BadReply, Invalid, OrosError, TimedOut, TooBig
from oros.drivers.egress.netns import exchange, hello
from oros.drivers.egress.netns.flows import Bounds, Flows, Peer, Trace
from oros.drivers.egress.netns.hello import Hello
from oros.drivers.egress.netns.names import Names
from oros.drivers.egress.netns.policy import literal, normal

TLS_PORT, HTTP_PORT = 443, 80


class Transparent:
    """Serves what was accepted on the ports of the web."""

    def __init__(self, flows: Flows, names: Names) -> None:
        self._flows, self._names = flows, names

    async def tls(self, client: Peer) -> None:
        """Serve a connection to port 443."""
        flows, trace = self._flows, Trace("tls", TLS_PORT)
        try:
            with flows.told(trace):
                trace.host = self._meant(client)
                first = await greeting(client, trace.host, flows.bounds)
                async with flows.open(trace) as server:
                    await flows.relay(client, server, trace, first)
        except OrosError:
            if not trace.opened:
                await client.refuse(hello.ALERT_DENIED)

    async def http(self, client: Peer) -> None:
        """Serve a connection to port 80."""
        trace = Trace("http", HTTP_PORT)

        async def work() -> None:
            trace.host = self._meant(client)
            await exchange.straight(self._flows, client, trace)

        await exchange.served(self._flows, client, trace, work)

    def _meant(self, client: Peer) -> str:
        """The name whose address was dialled. Raises: AccessDenied."""
        address = client.writer.get_extra_info("sockname")[0]
        found = self._names.name(address)
        if found is None:
            raise AccessDenied(f"the address {address} stands for no granted host")
        return found


async def greeting(client: Peer, host: str, bounds: Bounds) -> bytes:
    """Read a TLS client's greeting that asks for this host; the bytes that it took.

    Raises:
        AccessDenied: it asks for another host, for none, or is no greeting. TooBig, TimedOut.
    """
    try:
        async with asyncio.timeout(bounds.head_seconds):
            found = await _hello(client.reader, bounds.head)
        name = None if found.name is None else normal(found.name)
    except TimeoutError as e:
        raise TimedOut(f"no TLS greeting within {bounds.head_seconds:g} seconds") from e
    except asyncio.IncompleteReadError as e:
        raise AccessDenied("the connection ended before a TLS greeting") from e
    except (BadReply, Invalid) as e:
        raise AccessDenied(e.why) from e
    if name != (None if literal(host) else host):  # an address is not named in a greeting
        raise AccessDenied(f"TLS asks for {name or 'no host'}, not for {host}")
    return found.raw


async def _hello(reader: asyncio.StreamReader, most: int) -> Hello:
    """Read records until the greeting is whole."""
    raw, messages = b"", b""
    while True:
        head = await reader.readexactly(hello.RECORD)
        body = await reader.readexactly(hello.record(head))
        raw, messages = raw + head + body, messages + body
        need = hello.whole(messages)
        if len(raw) > most or (need or 0) > most:
            raise TooBig(f"the TLS greeting is longer than {most} bytes")
        if need is not None and len(messages) >= need:
            return Hello(raw, hello.server_name(messages))
