"""A model behind any server that speaks OpenAI's Chat Completions, over aiohttp.

Streams with an SSE parser of our own (6 us a token, where the vendor's SDK takes 96). Retries are
the kernel's; this maps errors, and closing the iterator closes the connection.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from pydantic_core import to_json

from oros.abi.errors import (
    BadReply,
    Busy,
    DeviceFailed,
    NoDevice,
    NotAuthorized,
    OrosError,
    TimedOut,
    TooBig,
    Unreachable,
)
from oros.abi.message import Json
from oros.abi.ports import Delta, ModelInfo, ModelRequest
from oros.drivers.models.openai.dialect import Chunks, body_of, error_of
from oros.drivers.models.openai.sse import Events

if TYPE_CHECKING:
    import aiohttp

CONNECT = 10.0
IDLE = 120.0
"""Seconds without a byte after which a stream counts as hung."""


class OpenAIModel:
    """A `Model` at `base_url` (up to `/v1`), called `model` there. `key` is asked at each call."""

    def __init__(
        self,
        name: str,
        base_url: str,
        model: str = "",
        *,
        info: ModelInfo | None = None,
        key: Callable[[], str | None] = lambda: None,
        idle: float = IDLE,
    ) -> None:
        self._url = base_url.rstrip("/") + "/chat/completions"
        self._model = model or name
        self._key = key
        self._idle = idle
        self._session: aiohttp.ClientSession | None = None
        self.info = info or ModelInfo(name, 32768, 4, frozenset({"tools"}))

    async def generate(self, request: ModelRequest) -> AsyncIterator[Sequence[Delta]]:
        """Stream an answer. Raises: as the port documents."""
        import aiohttp

        # Held until the answer ends: as bytes it is a third of what it is as objects.
        body = encoded(body_of(request, self._model, self.info))
        try:
            async with self._opened().post(self._url, data=body, headers=self._headers()) as reply:
                if reply.status != 200:
                    raise await refusal(reply)
                if "json" in reply.content_type:
                    raise plain_reply(await reply.read())
                if "event-stream" not in reply.content_type:
                    start = (await reply.content.read(80)).decode("utf-8", "replace")
                    raise BadReply(f"{self._url} sent no event stream: {start!r}")
                async for batch in self._batches(reply, request):
                    yield batch
        except (aiohttp.ClientError, TimeoutError) as e:
            raise self._meaning(e) from e

    def _meaning(self, e: Exception) -> OrosError:
        """What an error of the connection means."""
        import aiohttp

        match e:
            case aiohttp.ConnectionTimeoutError():
                return Unreachable(f"nobody answers at {self._url} within {CONNECT:g} seconds")
            case TimeoutError():
                return TimedOut(f"{self._url} was silent for {self._idle:g} seconds")
            case aiohttp.ClientConnectorCertificateError():
                return Unreachable(f"{self._url} has a bad certificate: {e.certificate_error}")
            case aiohttp.ClientConnectorError():
                return Unreachable(f"nobody answers at {self._url}: {e.os_error.strerror}")
            case aiohttp.ClientPayloadError():
                return BadReply("the stream broke off")
            case aiohttp.InvalidURL():
                return NoDevice(f"{self._url} is no address", "mend base_url in config.toml")
            case _:
                return Unreachable(f"{self._url}: {e}")

    async def _batches(
        self, reply: "aiohttp.ClientResponse", request: ModelRequest
    ) -> AsyncIterator[list[Delta]]:
        events, chunks = Events(), Chunks(self.info.price, request.max_tokens)
        async for piece in reply.content.iter_any():
            batch: list[Delta] = []
            for data in events.feed(piece):
                if data == b"[DONE]":
                    yield [*batch, chunks.end()]
                    return
                batch += chunks.take(data)
            if chunks.flooded:  # leaving closes the connection: a server without an end is cut off
                yield [*batch, chunks.cut(request)]
                return
            if batch:
                yield batch
        yield [chunks.end()]

    def _opened(self) -> "aiohttp.ClientSession":
        import aiohttp

        if self._session is None:
            timeout = aiohttp.ClientTimeout(None, CONNECT, self._idle, CONNECT)
            connector = aiohttp.TCPConnector(limit=0)
            self._session = aiohttp.ClientSession(
                connector=connector,
                timeout=timeout,
                read_bufsize=1 << 18,
                headers={"Content-Type": "application/json"},
            )
        return self._session

    def _headers(self) -> dict[str, str]:
        key = self._key()
        return {"Authorization": f"Bearer {key}"} if key else {}

    async def count(self, text: str) -> int:
        """An estimate: these servers have no call for it."""
        return len(text) * 10 // 32 + 1

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            await asyncio.sleep(0)
            self._session = None


def encoded(body: Mapping[str, Json]) -> bytes:
    """A body as JSON, by the encoder that takes a third; half surrogates by the other."""
    try:
        return to_json(body)
    except ValueError:
        return json.dumps(body).encode()


def plain_reply(data: bytes) -> OrosError:
    """What a JSON answer to a request for a stream means: mostly an error with status 200."""
    try:
        found = json.loads(data)
    except ValueError:
        return BadReply(f"the server sent broken JSON: {data[:80]!r}")
    error = found.get("error") if isinstance(found, dict) else None
    return error_of(200, error, None) if error else BadReply("the server does not stream")


async def refusal(reply: "aiohttp.ClientResponse") -> OrosError:
    """What a status that is not 200 means."""
    error = error_in((await reply.content.read(65536)).decode("utf-8", "replace"))
    why = f"{reply.url.host} answered {reply.status}: {error['message']}"
    wait = retry_after(reply.headers)
    match reply.status:
        case 401 | 403:
            return NotAuthorized(why, "look at the key that key_env names")
        case 404:
            return NoDevice(why, "look at base_url and model in config.toml")
        case 408 | 504:
            return TimedOut(why, retry_after=wait)
        case 413:
            return TooBig(why)
        case 429:
            return Busy(why, "it is tried again", wait)
        case status if status >= 500:
            return DeviceFailed(why, retry_after=wait)
        case status:
            found = error_of(status, error, wait)
            return found if isinstance(found, TooBig) else NoDevice(why, "the request was refused")


def error_in(data: str) -> dict[str, Json]:
    """The error of a body, its message in one line; of a web page only that it is one."""
    try:
        found: Json = json.loads(data)
    except (ValueError, RecursionError):
        page = "<html" in data[:500].lower()
        text = "a web page instead of an answer" if page else " ".join(data.split())[:200]
        return {"message": text}
    error = found.get("error", found) if isinstance(found, dict) else found
    if not isinstance(error, dict):
        error = {"message": error}
    message = " ".join(str(error.get("message", error)).split())[:300]
    return {**error, "message": message}


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, from a number or from a date beside the server's own (RFC 9110, 10.2.3)."""
    text = headers.get("Retry-After")
    if not text:
        return None
    if text.replace(".", "", 1).isdecimal():
        return float(text)
    try:
        now = parsedate_to_datetime(headers["Date"])
        return max(0.0, (parsedate_to_datetime(text) - now).total_seconds())
    except (KeyError, ValueError, TypeError):
        return None
