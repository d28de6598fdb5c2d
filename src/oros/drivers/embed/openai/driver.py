"""An `Embedder` behind any server that speaks OpenAI's embeddings call, over aiohttp.

Retries are the caller's; this maps errors. Vectors are scaled to length 1, whoever sends them.
"""

import array
import asyncio
import json
import math
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from oros.abi.errors import BadReply
from oros.drivers.answers import CONNECT, meaning, refusal

if TYPE_CHECKING:
    import aiohttp

TOTAL = 60.0
"""Seconds for one request."""
BATCH = 64
MOST = 64 << 20
"""Bytes of an answer."""


class OpenAIEmbedder:
    """Vectors of `model` at `base_url` (up to `/v1`). `key` is asked at each call.

    `before` goes before a text that is asked, for models that want it told apart.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        key: Callable[[], str | None] = lambda: None,
        before: str = "",
        total: float = TOTAL,
    ) -> None:
        self._url = base_url.rstrip("/") + "/embeddings"
        self._model = model
        self._key = key
        self._before = before
        self._total = total
        self._session: aiohttp.ClientSession | None = None
        self.name = f"{model}@{base_url}"
        self.dims = 0

    async def embed(self, texts: Sequence[str], *, query: bool = False) -> list[bytes]:
        """A vector for each text. Raises: as the port documents."""
        found: list[bytes] = []
        asked = [self._before + t for t in texts] if query else list(texts)
        for start in range(0, len(asked), BATCH):
            found += await self._batch(asked[start : start + BATCH])
        return found

    async def _batch(self, texts: list[str]) -> list[bytes]:
        import aiohttp

        body = {"model": self._model, "input": texts, "encoding_format": "float"}
        key = self._key()
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        try:
            async with self._opened().post(
                self._url, data=json.dumps(body).encode(), headers=headers
            ) as reply:
                if reply.status != 200:
                    raise await refusal(reply, lambda why, *_: BadReply(why))
                data = await reply.content.read(MOST)
                while more := await reply.content.read(MOST):
                    data += more
                    if len(data) > MOST:
                        raise BadReply(f"{self._url} sent more than {MOST >> 20} MB")
        except (aiohttp.ClientError, TimeoutError) as e:
            raise meaning(e, self._url, f"took longer than {self._total:g} seconds") from e
        return self._vectors(data, len(texts))

    def _vectors(self, data: bytes, count: int) -> list[bytes]:
        """The vectors in an answer, in the order of the texts. Raises: BadReply."""
        try:
            rows = sorted(json.loads(data)["data"], key=lambda r: r["index"])
            found = [unit(r["embedding"]) for r in rows]
        except (ValueError, KeyError, TypeError) as e:
            raise BadReply(f"{self._url} sent no vectors: {data[:80]!r}") from e
        sizes = {len(v) // 4 for v in found}
        if len(found) != count or len(sizes) != 1 or (self.dims and sizes != {self.dims}):
            raise BadReply(f"{self._url} sent {len(found)} vectors of {sorted(sizes)}, not {count}")
        self.dims = sizes.pop()
        return found

    def _opened(self) -> "aiohttp.ClientSession":
        import aiohttp

        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(self._total, sock_connect=CONNECT),
                headers={"Content-Type": "application/json"},
            )
        return self._session

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            await asyncio.sleep(0)
            self._session = None


def unit(numbers: Sequence[Any]) -> bytes:
    """A vector of length 1. Raises: ValueError for one without a direction."""
    size = math.sqrt(sum(x * x for x in numbers))
    if not math.isfinite(size) or not size:
        raise ValueError("a vector without a direction")
    found = array.array("f", [x / size for x in numbers])
    if sys.byteorder == "big":
        found.byteswap()
    return found.tobytes()
