"""A model behind any server that speaks a dialect of OpenAI's: the streaming driver in it.

Streams with an SSE parser of our own (6 us a token, where the vendor's SDK takes 96).
"""

from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

from oros.abi.ports import ModelInfo
from oros.drivers.models.openai.chat import Chat
from oros.drivers.models.openai.dialect import OpenAIDialect
from oros.drivers.models.openai.quirks import quirks_of
from oros.drivers.models.openai.responses import Responses
from oros.drivers.streaming import IDLE, StreamingModel


class OpenAIModel(StreamingModel):
    """A `Model` at `base_url` (up to `/v1`), called `model` there, that speaks Chat Completions.

    `platform` names its quirks; without, its host does. Raises: NoDevice for an unknown platform.
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


class ResponsesModel(OpenAIModel):
    """The same in the dialect of Responses."""

    dialect: ClassVar[type[OpenAIDialect]] = Responses
