"""The daemon's door: system calls, questions and facts over HTTP/1.1 on a Unix socket.

    POST /v1/calls/NAME      a call as the person: JSON arguments in, an outcome out;
                             ?columns=KEY: that list of rows in its value by columns, if
                             all have the same fields, &only=A,B: some of them;
                             ?text=KEY: that part of its value alone, as ASCII text
    GET  /v1/events          facts and tokens: ?pid= &after= &follow=0, server-sent events
    GET  /v1/query/NAME      what is no system call: ?key=value in, {"value"} out
    POST /v1/progress/NAME   something long, as server-sent events
    GET  /v1/status          the same as /v1/query/status; `guests` are the other requests
    POST /v1/halt            stop the machine

A machine that fails tells all who wait: their outcomes, and the ends of their streams, hold why.

An outcome is `{"value", "parts", "error": {"code", "why", "hint", "retryable"}, "label", "usage"}`;
with an error in it the status is 4xx or 5xx. A client that goes away cancels its request.
"""

import asyncio
import json
import sys
import traceback
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence, Set
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar, cast

from aiohttp import web

from oros.abi import wire
from oros.abi.errors import DeviceFailed, Invalid, NotFound, OrosError, Panic, TooBig, cause
from oros.abi.ids import Pid, Seq
from oros.abi.message import Json
from oros.abi.rows import columns
from oros.abi.syscalls import Outcome
from oros.gate.auth import Who, admit, peer_of
from oros.gate.door import listening
from oros.gate.events import Feed
from oros.gate.machine import Machine

BODY = 16 << 20
"""Bytes of a request's body at most."""

PATIENCE = 0.2
"""Seconds that a halting machine leaves the last answers to get out."""

STATUS = {
    "EACCES": 403,
    "ENOENT": 404,
    "ESRCH": 404,
    "EEXIST": 409,
    "EINVAL": 400,
    "ENOSYS": 404,
    "ENODEV": 404,
    "EDQUOT": 402,
    "E2BIG": 413,
    "EAGAIN": 503,
    "ETIMEDOUT": 504,
    "EINTR": 409,
    "EDEADLK": 409,
    "ECHILD": 409,
    "ECONN": 502,
    "EPROTO": 502,
    "ENOSPC": 507,
}
"""The HTTP status of an error code; any other is a 500."""

Told = TypeVar("Told")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Gate:
    """The door of one machine. `who` tells who is at the other end of a connection.

    `more`: what is served besides.
    """

    def __init__(
        self,
        machine: Machine,
        home: Path,
        who: Who = peer_of,
        *,
        more: Sequence[web.RouteDef] = (),
    ) -> None:
        self._machine = machine
        self._home = home
        self._who = who
        self._more = more
        self._feeds: set[Feed] = set()
        self._calls: set[asyncio.Task[None]] = set()
        self._failure: OrosError | None = None

    def fail(self, error: OrosError) -> None:
        """The machine can't go on: tell all who wait, and all who come until the door is shut."""
        self._failure = self._failure or error
        for feed in self._feeds:
            feed.end("failed", self._failure)
        for call in self._calls:
            call.cancel()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Let clients in, for the time of the block. Raises: Busy, AccessDenied."""
        app = web.Application(client_max_size=BODY, middlewares=[self._border])
        app.add_routes(
            [
                web.post("/v1/calls/{name}", self._call),
                web.get("/v1/events", self._events),
                web.get("/v1/query/{name}", self._query),
                web.post("/v1/progress/{name}", self._progress),
                web.get("/v1/status", self._query),
                web.post("/v1/halt", self._halt),
                *self._more,
            ]
        )
        runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=PATIENCE
        )
        with listening(self._home) as door:
            await runner.setup()
            try:
                await web.SockSite(runner, door).start()
                yield
            finally:
                for feed in self._feeds:
                    feed.end("halt")
                await runner.cleanup()

    @web.middleware
    async def _border(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Ask who it is, and turn every error into an outcome."""
        try:
            transport = request.transport
            link = transport.get_extra_info("socket") if transport is not None else None
            if link is None:
                raise ConnectionResetError
            admit(link, self._who)
            if self._failure is not None:
                raise self._failure
            return await handler(request)
        except Panic as e:
            self._machine.halt()
            self.fail(cause(e))
            return outcome(wire.failed(cause(e)))
        except OrosError as e:
            return outcome(wire.failed(e))
        except web.HTTPRequestEntityTooLarge:
            return outcome(wire.failed(TooBig(f"a request has at most {BODY >> 20} MiB")))
        except web.HTTPException as e:
            return outcome(wire.failed(NotFound(f"{request.method} {request.path}: {e.reason}")))
        except ConnectionError:
            raise
        except Exception as e:  # noqa: BLE001 - border: a bug must not close the door for others
            traceback.print_exc(file=sys.stderr)
            return outcome(wire.failed(DeviceFailed(f"the daemon failed: {e!r}", "see its log")))

    async def _call(self, request: web.Request) -> web.Response:
        name, args = request.match_info["name"], await body(request)
        found = await self._told(self._machine.request(name, args))
        if listed := request.query.get("columns"):
            only = frozenset(request.query.get("only", "").split(",")) - {""}
            found = replace(found, value=by_columns(found.value, listed, only))
        if (part := request.query.get("text")) and found.error is None:
            return alone(found.value, part)
        return outcome(found)

    async def _query(self, request: web.Request) -> web.Response:
        name = request.match_info.get("name", "status")
        others = len(self._feeds) + len(self._calls)
        found = await self._told(self._machine.query(name, dict(request.query)))
        if name == "status":
            found = {**found, "guests": others}
        return outcome(Outcome(value=found))

    async def _told(self, work: Awaitable[Told]) -> Told:
        """Wait for an answer; if the machine fails meanwhile, for why. Raises: OrosError."""
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self._calls.add(task)
        try:
            return await work
        except asyncio.CancelledError:
            if self._failure is None:
                raise
            task.uncancel()
            raise self._failure from None
        finally:
            self._calls.discard(task)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        pid = number(request.query.get("pid"), "pid")
        after = request.query.get("after") or request.headers.get("Last-Event-ID")
        follow = request.query.get("follow") != "0"
        feed = Feed(request)
        self._feeds.add(feed)
        try:
            return await feed.facts(
                self._machine,
                None if pid is None else Pid(pid),
                Seq(number(after, "after") or 0),
                follow=follow,
            )
        finally:
            self._feeds.remove(feed)

    async def _progress(self, request: web.Request) -> web.StreamResponse:
        steps = self._machine.progress(request.match_info["name"], await body(request))
        feed = Feed(request)
        self._feeds.add(feed)
        try:
            return await feed.lines(cast("AsyncGenerator[Json]", steps))
        finally:
            self._feeds.remove(feed)

    async def _halt(self, _: web.Request) -> web.Response:
        self._machine.halt()
        return outcome(Outcome())


def outcome(found: Outcome) -> web.Response:
    """An outcome as an answer."""
    status = 200 if found.error is None else STATUS.get(found.error.code, 500)
    return web.Response(body=wire.whole(found), status=status, content_type="application/json")


def alone(value: Json, name: str) -> web.Response:
    """A part of a value as an answer, encoded once for all. Raises: Invalid if it isn't there."""
    if not isinstance(value, dict) or name not in value:
        raise Invalid(f"the call's value has no {name!r}")
    return web.Response(body=json.dumps(value[name]).encode(), content_type="application/json")


def by_columns(value: Json, name: str, only: Set[str]) -> Json:
    """A value with a list of rows in it as columns, `only` some; unchanged if that can't be."""
    listed = value.get(name) if isinstance(value, dict) else None
    if not isinstance(listed, list) or {*map(type, listed)} != {dict}:
        return value
    try:
        return value | {name: columns(listed, only)}
    except KeyError:
        return value


async def body(request: web.Request) -> dict[str, Json]:
    """The arguments in a request. Raises: Invalid."""
    text = await request.read()
    try:
        found = json.loads(text or b"{}")
    except ValueError as e:
        raise Invalid(f"the request's body is no JSON: {e}") from e
    if not isinstance(found, dict):
        raise Invalid("the request's body is no JSON object")
    return found


def number(text: str | None, name: str) -> int | None:
    """A whole number among the parameters. Raises: Invalid."""
    if text is None:
        return None
    if not text.isdecimal():
        raise Invalid(f"{name} is a whole number, not {text!r}")
    return int(text)
