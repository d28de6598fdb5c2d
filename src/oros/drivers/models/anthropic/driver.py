"""A model behind Anthropic's Messages: the streaming driver in this dialect."""

from collections.abc import Callable

from oros.abi.ports import ModelInfo
from oros.drivers.models.anthropic.dialect import Anthropic
from oros.drivers.streaming import IDLE, StreamingModel

BASE = "https://api.anthropic.com"
CANS = frozenset({"tools", "schema", "image", "cancel"})


class AnthropicModel(StreamingModel):
    """A `Model` at `base_url` (up to, and without, `/v1`), called `model` there."""

    def __init__(
        self,
        name: str,
        base_url: str = BASE,
        model: str = "",
        *,
        info: ModelInfo | None = None,
        key: Callable[[], str | None] = lambda: None,
        idle: float = IDLE,
        effort: str = "",
    ) -> None:
        info = info or ModelInfo(name, 200_000, 4, CANS)
        base = base_url.rstrip("/").removesuffix("/v1")
        there = model or name
        dialect = Anthropic(there, effort)
        super().__init__(dialect, base, there, info=info, key=key, idle=idle)
