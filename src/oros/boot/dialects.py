"""Drivers of remote models, by the dialect that the configuration names: one table."""

from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import urlsplit

from oros.abi.errors import Invalid
from oros.abi.ports import Model, ModelInfo
from oros.boot.config import RemoteModel
from oros.drivers.clock.wall import WallClock
from oros.drivers.models.anthropic.driver import CANS as ANTHROPIC
from oros.drivers.models.anthropic.driver import AnthropicModel
from oros.drivers.models.gemini.driver import CANS as GEMINI
from oros.drivers.models.gemini.driver import GeminiModel
from oros.drivers.models.ollama.dialect import Ollama
from oros.drivers.models.ollama.driver import OllamaModel
from oros.drivers.models.openai.driver import OpenAIModel, ResponsesModel
from oros.services.prices import price_of

MAKERS: dict[str, Callable[..., Model]] = {
    "anthropic": AnthropicModel,
    "gemini": GeminiModel,
    "ollama": OllamaModel,
    "openai": OpenAIModel,
    "responses": ResponsesModel,
}
CANS: dict[str, frozenset[str]] = {
    "anthropic": ANTHROPIC,
    "gemini": GEMINI,
    "ollama": frozenset({"tools", "schema", "cancel"}),
    "openai": frozenset({"tools"}),
    "responses": frozenset({"tools"}),
}
"""What the models of a dialect can, if it is not said: all of a vendor's, or the least."""

OF_OPENAI = ("openai", "responses")
"""The dialects that many platforms speak, each with its quirks."""


def info_of_remote(name: str, remote: RemoteModel) -> ModelInfo:
    """What a model of the configuration is and can, and what it costs if that is known."""
    cans = CANS[remote.dialect] if remote.cans is None else frozenset(remote.cans)
    cans -= {"count"}  # what these drivers tell of a text is a guess
    price = remote.price or known_price(name, remote)
    return ModelInfo(name, remote.window, remote.slots or 1, cans, price, remote.small)


def known_price(name: str, remote: RemoteModel) -> tuple[int, ...] | None:
    """What a model costs by the table; one on a server of one's own costs nothing."""
    model = remote.model or name
    if remote.dialect == "ollama":
        return None if "cloud" in model.lower() else (0, 0, 0)
    host = urlsplit(remote.base_url).hostname or ""
    today = datetime.fromtimestamp(WallClock().wall(), UTC).date()
    return price_of(host, model, remote.window, today)


def driver_of(
    name: str, remote: RemoteModel, info: ModelInfo, key: Callable[[], str | None]
) -> Model:
    """The driver of a model of the configuration. Raises: Invalid, NoDevice (no such platform)."""
    make, model = MAKERS[remote.dialect], remote.model or name
    more = own(name, remote)
    return make(name, remote.base_url, model, info=info, key=key, idle=remote.idle, **more)


def own(name: str, remote: RemoteModel) -> dict[str, object]:
    """What is set that only some dialects have. Raises: Invalid, if this one has not."""
    settings = {
        "platform": (remote.platform, OF_OPENAI),
        "effort": (remote.effort, tuple(MAKERS)),
        "keep_alive": (remote.keep_alive, ("ollama",)),
    }
    for setting, (value, dialects) in settings.items():
        if value and remote.dialect not in dialects:
            why = f"models.{name}: {setting} is for the dialects {', '.join(dialects)} only"
            raise Invalid(why, "take it out of config.toml")
    if remote.dialect == "ollama":
        return {"how": Ollama(remote.effort, remote.keep_alive)}
    found = {s: value for s, (value, _) in settings.items() if value}
    return dict(found)
