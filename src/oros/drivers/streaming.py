"""A model behind an HTTP server that streams its answer; what is said there is a dialect's matter.

Retries are the kernel's; this maps errors, and closing the iterator closes the connection.
"""

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic_core import from_json, to_json

from oros.abi.errors import BadReply, NoDevice, OrosError, TooBig
from oros.abi.events import Finish
from oros.abi.grants import Usage
from oros.abi.message import Json, ReasoningPart
from oros.abi.ports import AskDelta, Delta, Finished, ModelInfo, ModelRequest, TextDelta
from oros.drivers.answers import CONNECT, ERROR, body_of, error_in, meaning, refusal
from oros.drivers.frames import Events, Frames
from oros.drivers.quotas import quotas
from oros.drivers.wording import over_window, priced, size

if TYPE_CHECKING:
    import aiohttp

IDLE = 120.0
"""Seconds without a byte after which a stream counts as hung."""

REFUSALS = 16
"""Requests at most until one is no more changed for what the server refuses."""

SLACK = 4096
"""Pieces or characters over the limit that a server may count otherwise than we do."""


class Fold(ABC):
    """Folds the frames of one answer into deltas; a dialect says what a frame means.

    `finish` and `usage` are set as frames tell them, `done` by the frame that is the last one.
    """

    def __init__(self, request: ModelRequest, info: ModelInfo) -> None:
        self.request = request
        self.info = info
        self.finish: Finish | None = None
        self.usage: Usage | None = None
        self.done = False
        self._pieces = self._chars = 0

    @abstractmethod
    def heard(self, frame: dict[str, Json], found: list[Delta]) -> None:
        """Add the deltas of a frame. What it raises of a wrong shape becomes a BadReply."""

    def take(self, data: bytes) -> list[Delta]:
        """The deltas of one frame. Raises: BadReply, or what error the frame holds."""
        try:
            frame = parsed(data)
        except (ValueError, RecursionError) as e:
            raise BadReply(f"the server sent no JSON: {data[:80]!r}") from e
        if not isinstance(frame, dict):
            raise BadReply(f"the server sent no object: {data[:80]!r}")
        found: list[Delta] = []
        try:
            self.heard(frame, found)
        except (AttributeError, LookupError, TypeError, ValueError) as e:
            raise BadReply(f"the server sent what is no chunk: {data[:80]!r}") from e
        self._pieces += len(found)
        for delta in found:
            if isinstance(delta, TextDelta):
                self._chars += len(delta.text)
            elif isinstance(delta, AskDelta):
                self._chars += len(delta.args)
        return found

    @property
    def flooded(self) -> bool:
        """Whether far more came than was asked for: this server will not end by itself."""
        most = self.request.max_tokens
        return self._pieces > 2 * most + SLACK or self._chars > 32 * most + SLACK

    def cut(self) -> Finished:
        """The last delta of an answer that is cut off here; its usage is an estimate."""
        return Finished("length", self._estimate())

    def _estimate(self) -> Usage:
        read = sum(size(m.text) for m in self.request.messages)
        return priced(Usage(read, self._pieces), self.info)

    def end(self) -> Finished:
        """The last delta; what a server did not count is estimated, as it was not free.

        Raises: BadReply if the stream stopped without an end.
        """
        if self.finish is None:
            raise BadReply("the stream stopped without an end")
        return Finished(self.finish, self.usage or self._estimate())


class Heard:
    """The bytes of an answer as they come, to deltas; `over` once there is no more to come."""

    def __init__(self, frames: Frames, fold: Fold) -> None:
        self._frames = frames
        self._fold = fold
        self.over = False

    def feed(self, piece: bytes) -> list[Delta]:
        """The deltas of a piece; of none, as the stream has ended, the last. Raises: BadReply."""
        fold = self._fold
        if not piece:
            self.over = True
            return [fold.end()]
        batch: list[Delta] = []
        for data in self._frames.feed(piece):
            batch += fold.take(data)
            if fold.done:
                self.over = True
                return [*batch, fold.end()]
        if fold.flooded:  # leaving closes the connection: a server without an end is cut off
            self.over = True
            return [*batch, fold.cut()]
        return batch


class Dialect(ABC):
    """What is said to a kind of server and what its answers mean. Opens no connection."""

    mime = "event-stream"
    """Part of the content type that a stream has."""

    def frames(self) -> Frames:
        """What cuts a stream in frames."""
        return Events()

    @abstractmethod
    def path(self, model: str) -> str:
        """What follows the base URL."""

    @abstractmethod
    def headers(self, key: str | None) -> dict[str, str]:
        """What goes beside a request; the key goes here and nowhere else."""

    @abstractmethod
    def body(self, request: ModelRequest, model: str, info: ModelInfo) -> dict[str, Json]:
        """The body of a request. Raises: TooBig, Unsupported."""

    @abstractmethod
    def fold(self, request: ModelRequest, info: ModelInfo) -> Fold:
        """What reads the answer to a request."""

    @abstractmethod
    def refused(
        self, why: str, status: int, error: Mapping[str, Json], wait: float | None
    ) -> OrosError | None:
        """What an error means that is a matter of this dialect; 200 is one in a stream.

        None: what its status means anywhere.
        """

    def spoiled(self, error: OrosError) -> bool:  # noqa: ARG002 - for those that can tell
        """Whether a request was refused for the thoughts in it: it is sent again without."""
        return False

    def again(self, error: OrosError, request: ModelRequest) -> ModelRequest | None:
        """What is asked instead of a request that was refused; None: nothing."""
        bare = thoughtless(request)
        return bare if bare is not request and self.spoiled(error) else None


class StreamingModel:
    """A `Model` at `base_url`, called `model` there. `key` is asked at each call."""

    def __init__(
        self,
        dialect: Dialect,
        base_url: str,
        model: str,
        *,
        info: ModelInfo,
        key: Callable[[], str | None] = lambda: None,
        idle: float = IDLE,
    ) -> None:
        self.info = info
        self._dialect = dialect
        self._base = base_url.rstrip("/")
        self._model = model
        self._key = key
        self._idle = idle
        self._session: aiohttp.ClientSession | None = None
        self._keeps = False  # there was an answer, so a connection may be used again

    async def generate(self, request: ModelRequest) -> AsyncIterator[Sequence[Delta]]:
        """Stream an answer. Raises: as the port documents."""
        import aiohttp

        url = self._base + self._dialect.path(self._model)
        try:
            await self._ready(request)
            async with await self._asked(url, request) as reply:
                if self._dialect.mime not in reply.content_type:
                    raise await self._unstreamed(reply)
                if told := [*self._limits(), *quotas(reply.headers)]:
                    yield told
                heard = Heard(self._dialect.frames(), self._dialect.fold(request, self.info))
                while not heard.over:
                    if batch := heard.feed(await reply.content.readany()):
                        yield batch
        except (aiohttp.ClientError, TimeoutError) as e:
            raise meaning(e, url, f"was silent for {self._idle:g} seconds") from e

    def _limits(self) -> list[Delta]:
        """Quotas that are known by other ways than headers."""
        return []

    async def _ready(self, request: ModelRequest) -> None:
        """What is done before a request; a driver may have something. Raises: as `generate`."""

    async def _asked(self, url: str, request: ModelRequest) -> "aiohttp.ClientResponse":
        """The reply to a request, its status 200. Raises: what another status means.

        Thoughts can be refused when what stood before them has changed since, as it does when
        pages leave the window, or when another model had them: then they stay here.
        """
        for _ in range(REFUSALS):
            # Held until the answer ends: as bytes it is a third of what it is as objects.
            body = encoded(self._dialect.body(request, self._model, self.info))
            reply = await self._posted(url, body)
            self._keeps = True
            if reply.status == 200:
                return reply
            async with reply:
                error = await refusal(reply, refused, self._dialect.refused)
            instead = self._dialect.again(error, request)
            if instead is None:
                raise error
            request = instead
        raise NoDevice(f"{self.info.name} refuses whatever is asked", "look at its platform")

    async def _posted(self, url: str, body: bytes) -> "aiohttp.ClientResponse":
        """The reply to a body. A kept connection may be closed by now: that is no failure yet."""
        import aiohttp

        session, headers = self._opened(), self._headers()
        try:
            return await session.post(url, data=body, headers=headers)
        except aiohttp.ClientConnectorError:
            raise
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            if not self._keeps:
                raise
            return await session.post(url, data=body, headers=headers)

    async def _unstreamed(self, reply: "aiohttp.ClientResponse") -> OrosError:
        """What a 200 means that is no stream: mostly an error after all."""
        data = (await body_of(reply, ERROR)).decode("utf-8", "replace")
        if "json" not in reply.content_type:
            kind = self._dialect.mime.replace("-", " ")
            return BadReply(f"{reply.url.host} sent no {kind}: {data[:80]!r}")
        try:
            found = json.loads(data)
        except ValueError:
            return BadReply(f"{reply.url.host} sent broken JSON: {data[:80]!r}")
        if not isinstance(found, dict) or not found.get("error"):
            return BadReply(f"{reply.url.host} does not stream")
        error = error_in(data)
        why = f"{reply.url.host} said: {error['message']}"
        return self._dialect.refused(why, 200, error, None) or BadReply(why)

    def _opened(self) -> "aiohttp.ClientSession":
        import aiohttp

        if self._session is None:
            timeout = aiohttp.ClientTimeout(None, CONNECT, self._idle, CONNECT)
            connector = aiohttp.TCPConnector(limit=0)
            self._session = aiohttp.ClientSession(
                connector=connector, timeout=timeout, read_bufsize=1 << 18
            )
        return self._session

    def _headers(self) -> dict[str, str]:
        return {"Content-Type": "application/json", **self._dialect.headers(self._key())}

    async def count(self, text: str) -> int:
        """An estimate, a high one: to ask these servers would take a request."""
        return size(text)

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            await asyncio.sleep(0)
            self._session = None


def thoughtless(request: ModelRequest) -> ModelRequest:
    """A request without thoughts; one that has none is given back itself."""
    if not any(isinstance(p, ReasoningPart) for m in request.messages for p in m.parts):
        return request
    kept = tuple(
        replace(m, parts=tuple(p for p in m.parts if not isinstance(p, ReasoningPart)))
        for m in request.messages
    )
    return replace(request, messages=kept)


def refused(why: str, _: int, __: Mapping[str, Json], wait: float | None) -> OrosError:
    """What a status means that no dialect and no table knows."""
    if over_window(why):
        return TooBig(why, "a model with a larger window, or a smaller job", wait)
    return NoDevice(why, "the request was refused", wait)


def parsed(data: bytes) -> Json:
    """A frame's JSON, by the parser that takes a third of the time; half surrogates by the other.

    Raises: ValueError, RecursionError.
    """
    try:
        found: Json = from_json(data)
    except ValueError:
        found = json.loads(data)
    return found


def encoded(body: Mapping[str, Json]) -> bytes:
    """A body as JSON, by the encoder that takes a third; half surrogates by the other."""
    try:
        return to_json(body)
    except ValueError:
        return json.dumps(body).encode()
