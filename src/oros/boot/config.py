"""The configuration file: HOME/config.toml, every key known, every fault named.

default_model = "local"          # a name below, or of the built-in ones
remember = "local"               # who notes facts of what ended: a model that costs nothing,
                                 # or one by its name; "off" for nobody
synchronous = "NORMAL"           # or "FULL": durable at power loss too

[models."acme/large"]            # any OpenAI-compatible server, or one of another dialect
base_url = "https://api.example.com/v1"
dialect = "openai"               # or responses, anthropic, gemini, ollama
platform = "vllm"                # whose quirks it has, if its host does not tell
model = "large-2"                # its name there
key = "acme"                     # the secret that holds the key: oros secret set acme --host ...
key_env = "ACME_API_KEY"         # or the variable that does; never the key itself
fallbacks = ["acme/small", "local"]  # where a process goes on if this one fails, in this order
window = 128000                  # tokens
slots = 4                        # calls side by side, at most; without it that is learned
price = [1000000, 4000000, 100000]   # micro-dollars per million tokens: in, out, cached in
                                 # (and a fourth: in, and written to the cache); without it, that
                                 # of services/prices.toml, or none is known
cans = ["tools", "image"]        # without it, what its dialect has
effort = "low"                   # how much it thinks, as its platform calls it
keep_alive = "10m"               # how long an Ollama server keeps it in memory
idle = 120                       # seconds without a byte until a server counts as hung
small = false                    # true: the code-first program is its default

[models."mine"]                  # a file of weights of your own, run in the box
gguf = "/home/ann/models/llama-3.2-3b-q4.gguf"
window = 16384                   # less if memory is short
slots = 4                        # answers that may be in the making side by side
gpu_layers = -1                  # on a graphics card where the build has one; -1 is all

[aliases]                        # names for models: one, or a list to fall back along
fast = "acme/small"
best = ["acme/large", "acme/small"]

[embed]                          # meaning for memory and search, by any such server
base_url = "https://api.example.com/v1"
model = "embed-1"
key_env = "ACME_API_KEY"

[door]                           # models and programs for other clients: docs/doors.md
listen = "127.0.0.1:8700"        # on loopback; nothing is opened without it, or `oros serve`
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal

from oros.abi import wire
from oros.abi.errors import Invalid
from oros.boot.names import Names
from oros.sdk.address import fault

FILE = "config.toml"

HOMES = {
    "anthropic": "https://api.anthropic.com",
    "gemini": "https://generativelanguage.googleapis.com/v1beta",
    "ollama": "http://127.0.0.1:11434",
}
"""Where models of a dialect are, if their address is not given."""


@dataclass(frozen=True, slots=True)
class RemoteModel:
    """A model behind a server."""

    base_url: str = ""
    model: str = ""
    key: str = ""
    dialect: Literal["openai", "responses", "anthropic", "gemini", "ollama"] = "openai"
    platform: str = ""
    key_env: str = ""
    fallbacks: tuple[str, ...] = ()
    window: int = 32768
    slots: int | None = None
    price: tuple[int, int, int] | tuple[int, int, int, int] | None = None
    cans: tuple[str, ...] | None = None
    small: bool = False
    idle: float = 120.0
    effort: str = ""
    keep_alive: str = ""
    gguf: str = ""
    gpu_layers: int = -1

    def __post_init__(self) -> None:
        """A vendor's own address need not be given. Raises: ValueError."""
        if not self.base_url and not self.gguf:
            if self.dialect not in HOMES:
                raise ValueError("base_url (a server) or gguf (a file of weights) is missing")
            object.__setattr__(self, "base_url", HOMES[self.dialect])


@dataclass(frozen=True, slots=True)
class RemoteEmbedder:
    """What makes vectors of texts, behind an OpenAI-compatible server."""

    base_url: str
    model: str
    key_env: str = ""


@dataclass(frozen=True, slots=True)
class Door:
    """Where other clients come in; "" for nowhere."""

    listen: str = ""


@dataclass(frozen=True, slots=True)
class Config:
    """What can be set."""

    default_model: str = "local"
    synchronous: Literal["NORMAL", "FULL"] = "NORMAL"
    models: Mapping[str, RemoteModel] = field(default_factory=dict)
    aliases: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    remember: str = "local"
    embed: RemoteEmbedder | None = None
    door: Door = Door()


def load(home: Path) -> Config:
    """Read the configuration; none is the default one. Raises: Invalid, AccessDenied."""
    path = home / FILE
    try:
        return parsed(path.read_text("utf-8"), str(path))
    except FileNotFoundError:
        return Config()
    except OSError as e:
        raise fault(path, e) from e
    except UnicodeDecodeError as e:
        raise Invalid(f"{path}: {e}", "mend the file") from e


def parsed(text: str, path: str) -> Config:
    """A configuration from its text; `path` is named in what is wrong. Raises: Invalid."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as e:
        raise Invalid(f"{path}: {e}", "mend the file") from e
    known(data, Config, path)
    models = data.get("models", {})
    if not isinstance(models, dict):
        raise Invalid(f"{path}: models is no table", 'a model is a table: [models."NAME"]')
    for name, model in models.items():
        if not isinstance(model, dict):
            raise Invalid(f"{path}: models.{name} is no table")
        known(model, RemoteModel, f"{path}: models.{name}")
    try:
        found: Config = wire.decode(Config, wire.dumps(data))
    except Invalid as e:
        raise Invalid(f"{path}: {e.why}", "mend the file") from e
    return found


def names_of(config: Config) -> Names:
    """What names of models mean."""
    aliases = {a: (n,) if isinstance(n, str) else n for a, n in config.aliases.items()}
    fallbacks = {name: model.fallbacks for name, model in config.models.items()}
    return Names(config.default_model, aliases, fallbacks)


def known(data: Mapping[str, object], kind: type, where: str) -> None:
    """Refuse keys that mean nothing. Raises: Invalid."""
    names = [f.name for f in fields(kind)]
    for key in data:
        if key not in names:
            raise Invalid(f"{where}: there is no key {key!r}", f"keys: {' '.join(names)}")
