"""The proxy inside: tunnels by CONNECT, plain HTTP by whole addresses.

A tunnel to port 443 must greet as TLS for its host, one to port 80 must ask for its host; to other
ports (each granted by number) anything may pass. Programs find it by HTTP_PROXY and the like.
"""

from oros.abi.errors import Invalid
from oros.drivers.egress.netns import exchange, heads
from oros.drivers.egress.netns.flows import Flows, Peer, Trace
from oros.drivers.egress.netns.heads import Head
from oros.drivers.egress.netns.policy import split
from oros.drivers.egress.netns.transparent import HTTP_PORT, TLS_PORT, greeting

READY = b"HTTP/1.1 200 Connection established\r\n\r\n"


class Proxy:
    """Serves what was accepted on the proxy's port."""

    def __init__(self, flows: Flows) -> None:
        self._flows = flows

    async def serve(self, client: Peer) -> None:
        """Serve one connection."""
        trace = Trace("proxy")

        async def work() -> None:
            head = await exchange.read(client, self._flows.bounds)
            if head.method == "CONNECT":
                await self._tunnel(client, trace, head)
            else:
                await self._plain(client, trace, head)

        await exchange.served(self._flows, client, trace, work)

    async def _plain(self, client: Peer, trace: Trace, head: Head) -> None:
        target = heads.where(head)
        if not target.absolute:
            raise Invalid("this is a proxy: a request needs the whole http:// address")
        trace.host, trace.port, trace.url = target.host, target.port, target.url
        await exchange.exchange(self._flows, client, trace, head, target)

    async def _tunnel(self, client: Peer, trace: Trace, head: Head) -> None:
        flows, trace.via = self._flows, "connect"
        trace.host, trace.port = split(head.target)
        if heads.length(head) != 0:
            raise Invalid("a CONNECT has no body")
        if trace.port == HTTP_PORT:
            flows.check(trace.host, trace.port)
            await client.send(READY)
            await exchange.straight(flows, client, trace)
            return
        async with flows.open(trace) as server:
            await client.send(READY)
            trace.opened = True
            tls = trace.port == TLS_PORT
            first = await greeting(client, trace.host, flows.bounds) if tls else b""
            await flows.relay(client, server, trace, first)
