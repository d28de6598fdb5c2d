"""A model behind Google's Gemini API: the streaming driver in this dialect."""

from collections.abc import Callable

from oros.abi.ports import ModelInfo
from oros.drivers.models.gemini.dialect import Gemini
from oros.drivers.streaming import IDLE, StreamingModel

BASE = "https://generativelanguage.googleapis.com/v1beta"
CANS = frozenset({"tools", "schema", "image", "audio", "cancel"})


class GeminiModel(StreamingModel):
    """A `Model` at `base_url` (up to `/v1beta`), called `model` there."""

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
        info = info or ModelInfo(name, 1_000_000, 4, CANS)
        super().__init__(Gemini(effort), base_url, model or name, info=info, key=key, idle=idle)
