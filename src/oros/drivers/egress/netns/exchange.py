"""One plain HTTP request to a granted host, and its answer.

Each connection carries one request: what a program sends after it is not read, so a second one
can't name another host behind our back. Answers pass unread; a redirect in them is a new flow.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from oros.abi.errors import AccessDenied, Invalid, OrosError, TimedOut, TooBig, Unreachable
from oros.drivers.egress.netns import heads, secrets
from oros.drivers.egress.netns.flows import PIECE, Bounds, Flows, Peer, Pulse, Trace, guarded
from oros.drivers.egress.netns.heads import Head, Where

LINE = b"\r\n"
TLS_PORT = 443
MOST_TRAILERS = 64
STATUS = {"EACCES": 403, "EINVAL": 400, "E2BIG": 431, "ETIMEDOUT": 408, "EDQUOT": 429}


async def served(
    flows: Flows, client: Peer, trace: Trace, work: Callable[[], Coroutine[Any, Any, None]]
) -> None:
    """Do the work of a flow, tell it, and give the program the reason if it came to nothing."""
    try:
        with flows.told(trace):
            await work()
    except OrosError as e:
        if not trace.opened:
            why = f"{e.why} ({e.hint})" if e.hint else e.why
            await client.refuse(heads.refusal(STATUS.get(e.code, 502), why))


async def read(client: Peer, bounds: Bounds) -> Head:
    """Read the head of a request. Raises: Invalid, TooBig, TimedOut."""
    try:
        async with asyncio.timeout(bounds.head_seconds):
            raw = await client.reader.readuntil(heads.END)
    except asyncio.IncompleteReadError as e:
        raise Invalid("the connection ended before a whole request") from e
    except asyncio.LimitOverrunError as e:
        raise TooBig(f"the head of the request is longer than {bounds.head} bytes") from e
    except TimeoutError as e:
        raise TimedOut(f"no whole request within {bounds.head_seconds:g} seconds") from e
    return heads.parse(raw)


async def straight(flows: Flows, client: Peer, trace: Trace) -> None:
    """Serve the one request of a connection that was made to the flow's host.

    Raises:
        AccessDenied: the request is for another host. And what `read` and `exchange` raise.
    """
    head = await read(client, flows.bounds)
    target = heads.where(head)
    trace.url = target.url
    if (target.host, target.port) != (trace.host, trace.port):
        raise AccessDenied(f"the Host {target.authority} is not {trace.host}, which was asked for")
    await exchange(flows, client, trace, head, target)


async def exchange(flows: Flows, client: Peer, trace: Trace, head: Head, target: Where) -> None:
    """Pass one request on, and its answer back. Raises: AccessDenied, Invalid, Unreachable, ..."""
    size = heads.length(head)
    if secrets.named(head) or secrets.MARK.search(head.target):
        flows.check(trace.host, trace.port)
        known = flows.secrets(trace.host)
        trace.secrets = tuple(secrets.named(head))
        head = secrets.filled(head, trace.host, known)
        trace.mask = secrets.Mask(known)
        trace.port = TLS_PORT if trace.port == heads.PLAIN_PORT else trace.port  # over TLS only
    async with flows.open(trace) as server:

        async def send(pulse: Pulse) -> None:
            await flows.up(server, heads.forward(head, target), trace)
            async for piece in _body(client.reader, size):
                pulse.beat()
                await flows.up(server, piece, trace)

        async def work(pulse: Pulse) -> None:
            async with asyncio.TaskGroup() as group:
                sending = group.create_task(send(pulse))
                await flows.answer(client, server, trace, pulse)
                sending.cancel()

        await guarded(work, flows.bounds.idle_seconds)
        if not trace.down:
            raise Unreachable(f"{trace.host} closed the connection without an answer")


def _body(reader: asyncio.StreamReader, size: int | None) -> AsyncIterator[bytes]:
    return _chunks(reader) if size is None else _sized(reader, size)


async def _sized(reader: asyncio.StreamReader, size: int) -> AsyncIterator[bytes]:
    while size > 0:
        piece = await reader.read(min(size, PIECE))
        if not piece:
            raise Invalid("the body of the request ended early")
        size -= len(piece)
        yield piece


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Read chunks and write them anew, without extensions and trailers."""
    while size := heads.chunk(await _line(reader)):
        async for piece in _sized(reader, size):
            yield b"%x\r\n%b\r\n" % (len(piece), piece)
        if await _line(reader) != LINE:
            raise Invalid("a chunk of the request's body is malformed")
    for _ in range(MOST_TRAILERS):
        if await _line(reader) == LINE:
            yield b"0\r\n\r\n"
            return
    raise Invalid("the request's body has too many trailers")


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(LINE)
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as e:
        raise Invalid("a chunk of the request's body is malformed") from e
