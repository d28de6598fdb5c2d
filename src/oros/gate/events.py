"""Facts as server-sent events: history, then what happens, so that a reader can go on anywhere.

Each fact carries its `seq` as the event's id; tokens carry none. The stream ends with an `end`
event that says why: `halt`, `behind` (the reader was too slow: go on after the last id), `done`,
`failed` with the error.
The queue of a slow reader is bounded by the machine, the time of a write here.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Sequence
from contextlib import AsyncExitStack, aclosing, closing

from aiohttp import web

from oros.abi import wire
from oros.abi.errors import OrosError
from oros.abi.ids import START, Pid, Seq
from oros.abi.message import Json
from oros.abi.syscalls import Failure
from oros.abi.watch import Fact, Token
from oros.gate.machine import Machine

HEARTBEAT = 15.0
"""Seconds between comments on a quiet stream, so that a dead connection is noticed."""

STALL = 30.0
"""Seconds that a reader may leave a write unread before it is cut off."""

SLICE = 256
"""Facts of the history in one write."""

Live = AsyncIterator[Sequence[Fact | Token]]


class Feed:
    """One stream of events to one reader."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self._ended = asyncio.Event()
        self._why: dict[str, Json] = {"why": "done"}
        headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        self._response = web.StreamResponse(headers=headers)

    def end(self, why: str, error: OrosError | None = None) -> None:
        """Let the stream end, and say why; the first reason counts."""
        if not self._ended.is_set():
            failed = {} if error is None else {"error": wire.plain(Failure.of(error))}
            self._why = {"why": why, **failed}
            self._ended.set()

    async def facts(
        self, machine: Machine, pid: Pid | None, after: Seq, *, follow: bool
    ) -> web.StreamResponse:
        """Send a process's history after `after`, then what happens. Raises: NoProcess."""
        async with AsyncExitStack() as stack:
            # Watch first, then look back: what is committed in between comes twice, not never.
            live = await stack.enter_async_context(machine.watch(pid)) if follow else None
            past = machine.history(pid, after) if pid is not None else ()
            return await self._run(self._facts(past, live, pid))

    async def lines(self, steps: AsyncGenerator[Json]) -> web.StreamResponse:
        """Send values as they come."""
        return await self._run(self._lines(steps))

    async def _facts(self, past: Sequence[Fact], live: Live | None, pid: Pid | None) -> None:
        for start in range(0, len(past), SLICE):
            await self._put(b"".join(map(frame, past[start : start + SLICE])))
        last = past[-1].seq if past else START
        if live is None:
            return
        async for batch in live:
            fresh = [x for x in batch if not seen(x, pid, last)]
            await self._put(b"".join(map(frame, fresh)))
        self._why = {"why": "behind"}

    async def _lines(self, steps: AsyncGenerator[Json]) -> None:
        async with aclosing(steps):
            try:
                async for step in steps:
                    await self._put(data(step))
            except OrosError as e:
                await self._put(data(wire.plain(wire.failed(e))))

    async def _run(self, work: Coroutine[None, None, None]) -> web.StreamResponse:
        """Stream while the reader keeps up; a reader that is gone or stalls is cut off."""
        with closing(work):
            await self._response.prepare(self._request)
            try:
                async with asyncio.TaskGroup() as tasks:
                    pump = tasks.create_task(self._pump(work))
                    await self._beat()
                    pump.cancel()
                await self._put(b"event: end\n" + data(self._why))
            except* (ConnectionError, TimeoutError):
                if self._request.transport is not None:
                    self._request.transport.abort()
        return self._response

    async def _pump(self, work: Coroutine[None, None, None]) -> None:
        try:
            await work
        finally:
            self._ended.set()

    async def _beat(self) -> None:
        while not self._ended.is_set():
            try:
                async with asyncio.timeout(HEARTBEAT):
                    await self._ended.wait()
            except TimeoutError:
                await self._put(b": still here\n\n")

    async def _put(self, chunk: bytes) -> None:
        if chunk:
            async with asyncio.timeout(STALL):
                await self._response.write(chunk)


def frame(item: Fact | Token) -> bytes:
    """A fact or a token as one server-sent event."""
    if isinstance(item, Token):
        token = {"pid": item.pid, "token": item.text, "what": item.what}
        return data(token | {"done": item.done, "total": item.total})
    fact = {"pid": item.pid, "seq": item.seq, "time": item.time, "kind": item.event.kind}
    return b"id: %d\n" % item.seq + data(fact | {"event": wire.plain(item.event)})


def data(value: Json) -> bytes:
    """A value as the data of an event."""
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def seen(item: Fact | Token, pid: Pid | None, last: Seq) -> bool:
    """Whether a live fact came with the history already."""
    return isinstance(item, Fact) and item.pid == pid and item.seq <= last
