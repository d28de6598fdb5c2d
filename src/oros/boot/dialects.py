"""Drivers of remote models, by the dialect that the configuration names: one table."""

from collections.abc import Callable

from oros.abi.errors import Invalid
from oros.abi.ports import Model, ModelInfo
from oros.boot.config import RemoteModel
from oros.drivers.models.anthropic.driver import AnthropicModel
from oros.drivers.models.gemini.driver import GeminiModel
from oros.drivers.models.ollama.driver import OllamaModel
from oros.drivers.models.openai.driver import OpenAIModel, ResponsesModel

MAKERS: dict[str, Callable[..., Model]] = {
    "anthropic": AnthropicModel,
    "gemini": GeminiModel,
    "ollama": OllamaModel,
    "openai": OpenAIModel,
    "responses": ResponsesModel,
}
OF_OPENAI = ("openai", "responses")
"""The dialects that many platforms speak, each with its quirks."""


def driver_of(
    name: str, remote: RemoteModel, info: ModelInfo, key: Callable[[], str | None]
) -> Model:
    """The driver of a model of the configuration. Raises: Invalid, NoDevice (no such platform)."""
    more = {"platform": remote.platform} if remote.platform else {}
    if more and remote.dialect not in OF_OPENAI:
        why = f"models.{name}: a platform is named for the dialects {' and '.join(OF_OPENAI)} only"
        raise Invalid(why, "take it out of config.toml")
    make = MAKERS[remote.dialect]
    model = remote.model or name
    return make(name, remote.base_url, model, info=info, key=key, idle=remote.idle, **more)
