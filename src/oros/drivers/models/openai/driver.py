"""A model behind any server that speaks a dialect of OpenAI's: the streaming driver in it.

Streams with an SSE parser of our own (6 us a token, where the vendor's SDK takes 96).
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import ClassVar

from oros.abi.ports import Delta, Finished, ModelInfo, ModelRequest, Quota
from oros.drivers.answers import body_of
from oros.drivers.models.openai.chat import Chat
from oros.drivers.models.openai.dialect import OpenAIDialect
from oros.drivers.models.openai.quirks import quirks_of
from oros.drivers.models.openai.responses import Responses
from oros.drivers.streaming import IDLE, StreamingModel, parsed

MOST = 1 << 20
"""Bytes of what a server tells of itself, at most."""


class OpenAIModel(StreamingModel):
    """A `Model` at `base_url` (up to `/v1`), called `model` there, that speaks Chat Completions.

    `platform` names its quirks; without, its host does. A server that tells of its slots is asked
    for them before the first request: so many calls are made side by side, each asker has a slot of
    its own as long as there are enough, and the window is no larger than theirs.

    Raises: NoDevice for an unknown platform.
    """

    dialect: ClassVar[type[OpenAIDialect]] = Chat

    def __init__(  # noqa: PLR0913 - what the configuration sets, by name
        self,
        name: str,
        base_url: str,
        model: str = "",
        *,
        info: ModelInfo | None = None,
        key: Callable[[], str | None] = lambda: None,
        idle: float = IDLE,
        platform: str = "",
        effort: str = "",
    ) -> None:
        said = self.dialect(quirks_of(platform, base_url), model or name, effort)
        info = info or ModelInfo(name, 32768, 4, frozenset({"tools"}))
        if not said.resumes or not said.quirks.begun:
            info = replace(info, cans=info.cans - {"resume"})
        super().__init__(said, base_url, said.model, info=info, key=key, idle=idle)
        self._places = said.places
        self._slots = self._asks = said.quirks.slots

    def generate(self, request: ModelRequest) -> AsyncIterator[Sequence[Delta]]:
        """Stream an answer. Raises: as the port documents."""
        return self._placed(request) if self._slots else super().generate(request)

    async def _placed(self, request: ModelRequest) -> AsyncIterator[Sequence[Delta]]:
        """The same, in a slot of the server."""
        if self._asks:
            await self._ask()
        with self._places.taken(request.affinity) as place:
            asked = request if place is not None else replace(request, affinity="")
            async with aclosing(super().generate(asked)) as batches:  # type: ignore[type-var]  # a generator
                async for batch in batches:
                    if place is not None and isinstance(batch[-1], Finished):
                        self._places.seen(place, batch[-1].usage)
                    yield batch

    async def _ask(self) -> None:
        """Ask for the slots, once; a server that is not there is met by the request itself."""
        import aiohttp

        url = f"{self._base.removesuffix('/v1')}/props"
        try:
            async with self._opened().get(url, headers=self._headers()) as reply:
                told = await body_of(reply, MOST) if reply.status == 200 else b"null"
        except (aiohttp.ClientError, TimeoutError):
            return
        self._asks = False
        known = slots_of(told)
        if known is not None:
            self._places.count, window = known
            self.info = replace(self.info, window=min(self.info.window, window))

    def _limits(self) -> list[Delta]:
        """As many calls as the server has slots."""
        count = self._places.count
        return [Quota("calls", count, count, 0.0)] if count else []


class ResponsesModel(OpenAIModel):
    """The same in the dialect of Responses."""

    dialect: ClassVar[type[OpenAIDialect]] = Responses


def slots_of(told: bytes) -> tuple[int, int] | None:
    """How many slots a llama.cpp server has, and the tokens of each; None if it does not tell."""
    try:
        props = parsed(told)
    except (ValueError, RecursionError):
        return None
    match props:
        case {"total_slots": int(count), "default_generation_settings": {"n_ctx": int(window)}}:
            return (count, window) if count > 0 and window > 0 else None
        case _:
            return None
