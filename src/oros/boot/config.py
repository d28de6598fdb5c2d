"""The configuration file: HOME/config.toml, every key known, every fault named.

default_model = "local"          # a name below, or of the built-in ones
remember = "local"               # who notes facts of what ended: a model that costs nothing,
                                 # or one by its name; "off" for nobody
synchronous = "NORMAL"           # or "FULL": durable at power loss too

[models."acme/large"]            # any OpenAI-compatible server
base_url = "https://api.example.com/v1"
model = "large-2"                # its name there
key_env = "ACME_API_KEY"         # the variable that holds the key; never the key itself
window = 128000                  # tokens
slots = 4                        # calls side by side
price = [1000000, 4000000, 100000]   # micro-dollars per million tokens: in, out, cached in
cans = ["tools", "image"]
idle = 120                       # seconds without a byte until a server counts as hung
small = false                    # true: the code-first program is its default

[models."mine"]                  # a file of weights of your own, run in the box
gguf = "/home/ann/models/llama-3.2-3b-q4.gguf"
window = 16384                   # less if memory is short
slots = 4                        # answers that may be in the making side by side
gpu_layers = -1                  # on a graphics card where the build has one; -1 is all

[embed]                          # meaning for memory and search, by any such server
base_url = "https://api.example.com/v1"
model = "embed-1"
key_env = "ACME_API_KEY"
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal

from oros.abi import wire
from oros.abi.errors import Invalid
from oros.sdk.address import fault

FILE = "config.toml"


@dataclass(frozen=True, slots=True)
class RemoteModel:
    """A model behind an OpenAI-compatible server."""

    base_url: str = ""
    model: str = ""
    key_env: str = ""
    window: int = 32768
    slots: int = 4
    price: tuple[int, int, int] | None = None
    cans: tuple[str, ...] = ("tools",)
    small: bool = False
    idle: float = 120.0
    gguf: str = ""
    gpu_layers: int = -1


@dataclass(frozen=True, slots=True)
class RemoteEmbedder:
    """What makes vectors of texts, behind an OpenAI-compatible server."""

    base_url: str
    model: str
    key_env: str = ""


@dataclass(frozen=True, slots=True)
class Config:
    """What can be set."""

    default_model: str = "local"
    synchronous: Literal["NORMAL", "FULL"] = "NORMAL"
    models: Mapping[str, RemoteModel] = field(default_factory=dict)
    remember: str = "local"
    embed: RemoteEmbedder | None = None


def load(home: Path) -> Config:
    """Read the configuration; none is the default one. Raises: Invalid, AccessDenied."""
    path = home / FILE
    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return Config()
    except OSError as e:
        raise fault(path, e) from e
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise Invalid(f"{path}: {e}", "mend the file") from e
    known(data, Config, f"{path}")
    models = data.get("models", {})
    if not isinstance(models, dict):
        raise Invalid(f"{path}: models is no table", 'a model is a table: [models."NAME"]')
    for name, model in models.items():
        if not isinstance(model, dict):
            raise Invalid(f"{path}: models.{name} is no table")
        known(model, RemoteModel, f"{path}: models.{name}")
        if not model.get("base_url") and not model.get("gguf"):
            why = f"{path}: models.{name} has no base_url"
            raise Invalid(why, "base_url for a server, gguf for a file of weights")
    try:
        found: Config = wire.decode(Config, wire.dumps(data))
    except Invalid as e:
        raise Invalid(f"{path}: {e.why}", "mend the file") from e
    return found


def known(data: Mapping[str, object], kind: type, where: str) -> None:
    """Refuse keys that mean nothing. Raises: Invalid."""
    names = [f.name for f in fields(kind)]
    for key in data:
        if key not in names:
            raise Invalid(f"{where}: there is no key {key!r}", f"keys: {' '.join(names)}")
