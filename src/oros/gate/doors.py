"""The doors: other clients' dialects over HTTP, on loopback when switched on, and on the socket.

    POST /v1/chat/completions   OpenAI's Chat Completions
    POST /v1/responses          OpenAI's Responses, Open Responses
    POST /v1/messages           Anthropic's Messages
    POST /v1/embeddings         vectors
    GET  /v1/models             what the key opens; also /v1/models/NAME
    /api/...                    Ollama's: chat, generate, embed, tags, show, version

A key comes as `Authorization: Bearer KEY` or `x-api-key: KEY`. A page in a browser can't come in:
the host has to be this machine's own name, and nothing of another origin is served. A client that
goes away ends what it asked for. Errors have the shape of their dialect.
"""

import asyncio
import json
import sys
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from aiohttp import web

from oros.abi.errors import (
    Busy,
    DeviceFailed,
    Invalid,
    NoDevice,
    NotAuthorized,
    OrosError,
    Panic,
    cause,
)
from oros.abi.ids import Pid
from oros.abi.message import Json
from oros.abi.ports import Progress
from oros.gate.dialects import embeddings, ollama
from oros.gate.dialects.chat import Chat
from oros.gate.dialects.messages import Messages
from oros.gate.dialects.parts import Body, Dialect, Stream, text
from oros.gate.dialects.responses import Responses
from oros.services.doors.desk import Desk
from oros.services.doors.wanted import Begun, Said, Step, Wanted

BODY = 32 << 20
"""Bytes of a request at most."""
BEAT = 10.0
"""Seconds without a word until a stream says that it lives."""
STALL = 30.0
"""Seconds that a client may leave a write unread before it is cut off."""
PATIENCE = 0.2
LOOPBACK = ("127.0.0.1", "::1", "localhost")

STATUS = {
    "EINVAL": 400, "ENOTSUP": 400, "E2BIG": 400, "EAUTH": 401, "EDQUOT": 402, "EACCES": 403,
    "ENODEV": 404, "ENOENT": 404, "EAGAIN": 429, "EINTR": 503, "ETIMEDOUT": 504, "ECONN": 502,
    "EPROTO": 502, "ENOSPC": 507,
}  # fmt: skip
Texts = Callable[[Body], tuple[str, list[str], bool]]
Vectors = Callable[..., Json]
LATER = (429, 503)
"""Statuses that say when it is worth to ask again."""
DIALECTS: dict[str, Dialect] = {
    "/v1/chat/completions": Chat(),
    "/v1/responses": Responses(),
    "/v1/messages": Messages(),
    "/api/chat": ollama.Chat(),
    "/api/generate": ollama.Generate(),
}
OLLAMA = DIALECTS["/api/chat"]
VECTORS: dict[str, tuple[Dialect, Texts, Vectors]] = {
    "/v1/embeddings": (Chat(), embeddings.asked, embeddings.whole),
    "/api/embed": (OLLAMA, ollama.texts, ollama.vectors),
    "/api/embeddings": (OLLAMA, ollama.texts, ollama.vectors),
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Batch = Sequence[Step | OrosError]
Steps = asyncio.Queue[Batch]


class Doors:
    """The doors of one machine. `fail` is told if the machine can't go on."""

    def __init__(self, desk: Desk, fail: Callable[[OrosError], None]) -> None:
        self._desk = desk
        self._fail = fail
        self._runner: web.AppRunner | None = None
        self.address = ""

    def routes(self) -> list[web.RouteDef]:
        """What is served, on any socket."""
        return [
            *(web.post(path, self._asked(d)) for path, d in DIALECTS.items()),
            *(web.post(path, self._vectors(*v)) for path, v in VECTORS.items()),
            web.get("/v1/models", self._bordered(Chat(), self._models)),
            web.get("/v1/models/{name:.+}", self._bordered(Chat(), self._models)),
            web.get("/api/tags", self._bordered(OLLAMA, self._tags)),
            web.post("/api/show", self._bordered(OLLAMA, self._show)),
            web.get("/api/version", self._bordered(OLLAMA, self._version)),
        ]

    @asynccontextmanager
    async def shut_at_end(self) -> AsyncIterator[None]:
        """Shut the doors after the block."""
        try:
            yield
        finally:
            await self.shut()

    async def open(self, listen: str) -> str:
        """Listen at `HOST:PORT` on loopback; the URL. Port 0 is any. Raises: Invalid, Busy."""
        host, port = address(listen)
        await self.shut()
        app = web.Application(client_max_size=BODY, middlewares=[at_home])
        app.add_routes(self.routes())
        runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=PATIENCE
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as e:
            await runner.cleanup()
            raise Busy(f"{listen}: {e.strerror}", "another port: oros serve --port N") from e
        self._runner = runner
        at = runner.addresses[0][1]
        self.address = f"http://{f'[{host}]' if ':' in host else host}:{at}"
        return self.address

    async def shut(self) -> None:
        """Listen no more; who is inside is cut off."""
        runner, self._runner, self.address = self._runner, None, ""
        if runner is not None:
            await runner.cleanup()

    # ---- requests ----------------------------------------------------------------------------

    def _asked(self, dialect: Dialect) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            secret = secret_of(request)
            self._desk.keys.of(secret)  # before anything is read of who has none
            wanted = dialect.asked(await body(request))
            steps: Steps = asyncio.Queue()
            async with asyncio.TaskGroup() as tasks:
                work = tasks.create_task(self._work(secret, wanted, steps))
                found = await answered(request, dialect, wanted, steps)
                work.cancel()
            if isinstance(found, OrosError):
                raise found
            return found

        return self._bordered(dialect, handle)

    async def _work(self, secret: str, wanted: Wanted, steps: Steps) -> None:
        """Answer; whatever goes wrong is the last step."""
        try:
            await self._desk.answer(secret, wanted, steps.put_nowait)
        except (OrosError, Panic) as e:
            steps.put_nowait([self._error(e)])
        except Exception as e:  # noqa: BLE001 - border: a bug must not close the door for others
            steps.put_nowait([self._error(e)])

    def _error(self, e: BaseException) -> OrosError:
        """What went wrong, as an error of ours; a machine that can't go on is stopped."""
        if isinstance(e, OrosError):
            return e
        if isinstance(e, Panic):
            self._fail(cause(e))
            return cause(e)
        traceback.print_exception(e, file=sys.stderr)
        return DeviceFailed(f"the machine failed: {e!r}", "see its log")

    def _bordered(self, dialect: Dialect, handler: Handler) -> Handler:
        """A handler whose errors have the shape of a dialect."""

        async def handle(request: web.Request) -> web.StreamResponse:
            try:
                return await handler(request)
            except web.HTTPRequestEntityTooLarge:
                error = Invalid(f"a request has at most {BODY >> 20} MiB")
                return refused(dialect, error, 413)
            except ConnectionError:
                raise
            except (OrosError, Panic) as e:
                return refused(dialect, self._error(e))
            except Exception as e:  # noqa: BLE001 - border: as in `_work`
                return refused(dialect, self._error(e))

        return handle

    def _vectors(self, dialect: Dialect, texts: Texts, whole: Vectors) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            secret = secret_of(request)
            self._desk.keys.of(secret)
            model, asked, packed = texts(await body(request))
            name, vectors, used = await self._desk.vectors(secret, model, asked)
            return web.json_response(whole(name, vectors, used, packed=packed))

        return self._bordered(dialect, handle)

    async def _models(self, request: web.Request) -> web.StreamResponse:
        key, _ = self._desk.keys.of(secret_of(request))
        names = self._desk.models(key)
        found: Json = embeddings.models(names)
        if name := request.match_info.get("name"):
            if name not in names:
                raise NoDevice(f"this key opens no model {name!r}")
            found = embeddings.models([name])["data"][0]
        return web.json_response(found)

    async def _tags(self, request: web.Request) -> web.StreamResponse:
        key, _ = self._desk.keys.of(secret_of(request))
        return web.json_response(ollama.tags(self._desk.models(key)))

    async def _show(self, request: web.Request) -> web.StreamResponse:
        secret = secret_of(request)
        self._desk.keys.of(secret)
        asked = await body(request)
        name = text(asked.get("model") or asked.get("name"), "model")
        return web.json_response(ollama.about(self._desk.info(secret, name)))

    async def _version(self, request: web.Request) -> web.StreamResponse:
        self._desk.keys.of(secret_of(request))
        return web.json_response({"version": ollama.SPOKEN})


async def answered(
    request: web.Request, dialect: Dialect, wanted: Wanted, steps: Steps
) -> web.StreamResponse | OrosError:
    """The answer, whole or as it comes; or why there is none, before anything was sent.

    A stream is begun with the first word, so that what fails before it has a status of its own.
    """
    begun, late, now = Begun(Pid(0), 0.0), None, asyncio.get_running_loop().time
    while True:
        try:
            async with asyncio.timeout_at(late):
                batch = await following(steps)
        except TimeoutError:
            return await streamed(request, dialect, dialect.stream(begun, wanted), steps, ())
        for step in batch:
            if isinstance(step, OrosError):
                return step
            if isinstance(step, Begun):
                begun, late = step, now() + BEAT if wanted.stream else None
        if wanted.stream and any(map(says, batch)):
            return await streamed(request, dialect, dialect.stream(begun, wanted), steps, batch)
        if batch and isinstance(batch[-1], Said):
            return web.json_response(dialect.whole(begun, wanted, batch[-1]))


async def streamed(
    request: web.Request, dialect: Dialect, stream: Stream, steps: Steps, batch: Batch
) -> web.StreamResponse:
    """Stream while the client keeps up; one that is gone or stalls is cut off."""
    headers = {"Content-Type": dialect.mime, "Cache-Control": "no-store"}
    response = web.StreamResponse(headers=headers)
    try:
        await response.prepare(request)
        chunk = stream.begin()
        while True:
            done = bool(batch) and isinstance(batch[-1], OrosError | Said)
            chunk += b"".join(piece(stream, step) for step in batch)
            if chunk:
                async with asyncio.timeout(STALL):
                    await response.write(chunk)
            if done:
                return response
            try:
                async with asyncio.timeout(BEAT):
                    batch, chunk = await following(steps), b""
            except TimeoutError:
                batch, chunk = (), stream.wait()
    except (ConnectionError, TimeoutError):
        if request.transport is not None:
            request.transport.abort()
        return response


async def following(steps: Steps) -> Batch:
    """The next steps, all that are there: who reads slowly gets more at once."""
    found = [*await steps.get()]
    while not steps.empty():
        found += steps.get_nowait()
    return found


def says(step: Step | OrosError) -> bool:
    """Whether a step has something of the answer."""
    return not isinstance(step, Begun | Progress | OrosError)


def piece(stream: Stream, step: Step | OrosError) -> bytes:
    """A step, or what went wrong, as bytes of the stream."""
    match step:
        case OrosError():
            return stream.failed(step)
        case Said():
            return stream.end(step)
        case _:
            return stream.take(step)


def refused(dialect: Dialect, error: OrosError, status: int = 0) -> web.Response:
    """An error as an answer; it has the status of its code unless another is given."""
    status = status or STATUS.get(error.code, 500)
    headers = {}
    if error.retry_after is not None or status in LATER:
        headers["Retry-After"] = str(max(1, round(error.retry_after or 0.0)))
    return web.json_response(dialect.error(error, status), status=status, headers=headers)


@web.middleware
async def at_home(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let in who names this machine as such: no page that a browser was led to (DNS rebinding)."""
    origin = request.headers.get("Origin")
    if name_of(f"//{request.host}") not in LOOPBACK or (origin and name_of(origin) not in LOOPBACK):
        return web.json_response(
            {"error": {"message": "this door is for programs on this machine"}}, status=403
        )
    return await handler(request)


def name_of(url: str) -> str:
    """The host's name in a URL, "" if there is none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def address(listen: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT`. Raises: Invalid."""
    host, _, port = listen.rpartition(":")
    host = host.strip("[]") or "127.0.0.1"
    if host not in LOOPBACK or not port.isdecimal() or int(port) > 65535:
        hint = "for other machines put a proxy with TLS before it"
        raise Invalid(f"{listen!r} is no address on loopback, such as 127.0.0.1:8700", hint)
    return host, int(port)


def secret_of(request: web.Request) -> str:
    """The key of a request. Raises: NotAuthorized."""
    kind, _, bearer = request.headers.get("Authorization", "").partition(" ")
    found = bearer.strip() if kind.lower() == "bearer" else request.headers.get("x-api-key", "")
    if not found:
        raise NotAuthorized("a key is needed", "oros keys add NAME makes one")
    return found


async def body(request: web.Request) -> dict[str, Json]:
    """The body of a request. Raises: Invalid."""
    try:
        found = json.loads(await request.read())
    except (ValueError, RecursionError) as e:
        raise Invalid(f"the body is no JSON: {e}") from e
    if not isinstance(found, dict):
        raise Invalid("the body is no JSON object")
    return found
