"""A model of an Ollama server, by its own API: the streaming driver in this dialect."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from oros.abi.errors import BadReply
from oros.abi.message import Json
from oros.abi.ports import ModelInfo, ModelRequest
from oros.drivers.answers import refusal
from oros.drivers.models.ollama.dialect import SMALL, Ollama, fits, text_of
from oros.drivers.streaming import IDLE, StreamingModel, encoded, refused
from oros.drivers.wording import size

BASE = "http://127.0.0.1:11434"
CANS = frozenset({"tools", "schema", "image", "cancel"})


class OllamaModel(StreamingModel):
    """A `Model` at `base_url` (without `/api` or `/v1`), called `model` there.

    The window is that of `info`, or the model's own if that is smaller: it is asked for before the
    first prompt that is not small.
    """

    def __init__(
        self,
        name: str,
        base_url: str = BASE,
        model: str = "",
        *,
        info: ModelInfo | None = None,
        key: Callable[[], str | None] = lambda: None,
        idle: float = IDLE,
        how: Ollama | None = None,
    ) -> None:
        info = info or ModelInfo(name, 8192, 1, CANS)
        base = base_url.rstrip("/").removesuffix("/v1").removesuffix("/api")
        super().__init__(how or Ollama(), base, model or name, info=info, key=key, idle=idle)
        self._knows = False

    async def _ready(self, request: ModelRequest) -> None:
        """Never more than the window is sent. Raises: TooBig, and what `show` raises."""
        fits(request, self.info)
        if not self._knows and size(text_of(request)) > SMALL:
            own = window_of(await self._show())
            self._knows = True
            if own is not None and own < self.info.window:
                self.info = replace(self.info, window=own)
                fits(request, self.info)

    async def _show(self) -> Mapping[str, Json]:
        """What the server knows of the model. Raises: BadReply, and what a status means."""
        url, data = f"{self._base}/api/show", encoded({"model": self._model})
        async with self._opened().post(url, data=data, headers=self._headers()) as reply:
            if reply.status != 200:
                raise await refusal(reply, refused, self._dialect.refused)
            try:
                found = await reply.json(content_type=None)
            except ValueError as e:
                raise BadReply("the server told of its model in no JSON") from e
        if not isinstance(found, dict):
            raise BadReply("the server told of its model in no object")
        return found


def window_of(shown: Mapping[str, Json]) -> int | None:
    """The window that a model was made for, in tokens; None if the server does not tell."""
    info = shown.get("model_info")
    sizes = [v for k, v in info.items() if k.endswith(".context_length")] if info else []
    return sizes[0] if sizes and isinstance(sizes[0], int) and sizes[0] > 0 else None
