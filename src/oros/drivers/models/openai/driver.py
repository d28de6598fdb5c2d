"""A model behind any server that speaks OpenAI's Chat Completions, over aiohttp.

Streams with an SSE parser of our own (6 us a token, where the vendor's SDK takes 96). Retries are
the kernel's; this maps errors, and closing the iterator closes the connection.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from pydantic_core import to_json

from oros.abi.errors import BadReply, NoDevice, OrosError, TooBig
from oros.abi.message import Json
from oros.abi.ports import Delta, ModelInfo, ModelRequest
from oros.drivers.answers import CONNECT, meaning, refusal
from oros.drivers.models.openai.dialect import Chunks, body_of, error_of
from oros.drivers.models.openai.sse import Events
from oros.drivers.quotas import quotas

if TYPE_CHECKING:
    import aiohttp

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
                    raise await refusal(reply, refused)
                if "json" in reply.content_type:
                    raise plain_reply(await reply.read())
                if "event-stream" not in reply.content_type:
                    start = (await reply.content.read(80)).decode("utf-8", "replace")
                    raise BadReply(f"{self._url} sent no event stream: {start!r}")
                if told := quotas(reply.headers):
                    yield told
                async for batch in self._batches(reply, request):
                    yield batch
        except (aiohttp.ClientError, TimeoutError) as e:
            raise meaning(e, self._url, f"was silent for {self._idle:g} seconds") from e

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


def refused(why: str, status: int, error: dict[str, Json], wait: float | None) -> OrosError:
    """What a status means that is a matter of this dialect."""
    found = error_of(status, error, wait)
    return found if isinstance(found, TooBig) else NoDevice(why, "the request was refused")


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
