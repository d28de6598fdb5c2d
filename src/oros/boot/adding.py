"""A model of a server, or a file of weights, is added to the configuration, and written down.

The file is edited as text, so that comments and order stay; what came out is read before it takes
the place of the old one, and must say what was meant and nothing else.
"""

import asyncio
import json
import os
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from oros.abi.errors import Exists, Invalid, NoDevice
from oros.abi.message import Json
from oros.boot.config import FILE, Config, parsed
from oros.boot.dialects import CANS, OF_OPENAI
from oros.boot.models import Secret, named
from oros.drivers.models.llamacpp.driver import check
from oros.drivers.private import write_private
from oros.sdk.address import fault
from oros.services.console import Long, Report
from oros.services.weights.offers import Offer, Platform, looked_at, offered, platform_of

SHOWN = 200
"""Names of models in an error or a list at most."""

BARE = re.compile(r"[A-Za-z0-9_-]+")
HEADER = re.compile(r"^\s*\[", re.MULTILINE)


class Adding:
    """Adds models to one home's configuration. `taken` is told what the file says now."""

    def __init__(self, home: Path, secret: Secret, taken: Callable[[Config], None]) -> None:
        self._path = home / FILE
        self._secret = secret
        self._taken = taken

    def longs(self) -> dict[str, Long]:
        """What a person may do."""
        return {"models.offers": self.listed, "models.add": self.added}

    async def listed(self, args: Mapping[str, Json], _: Report) -> Json:
        """What a server offers: `{"name", "base_url", "host", "key_env", "models": [...]}`."""
        name, platform, found = await self._offers(args)
        rows = [
            {"model": o.model, "window": o.window, "price": o.price, "cans": list(o.cans)}
            for o in found[:SHOWN]
        ]
        about = {"name": name, "base_url": platform.base_url, "key_env": platform.key_env}
        return about | {"host": urlsplit(platform.base_url).hostname, "models": rows}

    async def added(self, args: Mapping[str, Json], _: Report) -> Json:
        """Add one model of a server. Raises: Invalid, Exists, NoDevice, and as `offered` does."""
        file = Path(str(args.get("where") or ""))
        if file.suffix == ".gguf":
            called, table = f"mine/{file.stem}", await asyncio.to_thread(weights, file, args)
        else:
            name, platform, found = await self._offers(args)
            chosen = choice(found, str(args.get("model") or ""))
            chosen = await looked_at(platform, chosen, self._key(platform, args))
            called, table = f"{name}/{chosen.model}", settings(platform, chosen, args)
        called = str(args.get("as") or called)
        aliases = [str(a) for a in args.get("aliases") or ()]
        made = await asyncio.to_thread(
            self._write, called, table, aliases, default=bool(args.get("default"))
        )
        self._taken(made)
        return {"added": called, **table, "file": str(self._path)}

    async def _offers(self, args: Mapping[str, Json]) -> tuple[str, Platform, list[Offer]]:
        name, platform = platform_of(str(args.get("where") or ""), str(args.get("dialect") or ""))
        return name, platform, await offered(platform, self._key(platform, args))

    def _key(self, platform: Platform, args: Mapping[str, Json]) -> str | None:
        """The key: of the secret that was named, else of the variable."""
        if secret := str(args.get("key") or ""):
            host = urlsplit(platform.base_url).hostname or ""
            found = self._secret(secret, host)
            if found is None:
                why = f"there is no secret {secret!r} for {host}"
                raise NoDevice(why, f"oros secret set {secret} --host {host}")
            return found
        return os.environ.get(str(args.get("key_env") or "") or platform.key_env) or None

    def _write(
        self, called: str, table: Mapping[str, Json], aliases: Sequence[str], *, default: bool
    ) -> Config:
        try:
            old = self._path.read_text("utf-8") if self._path.exists() else ""
        except (OSError, UnicodeDecodeError) as e:
            raise Invalid(f"{self._path}: {e}", "mend the file") from e
        text = edited(old, called, table, aliases, default=default)
        config = parsed(text, str(self._path))
        named(config)
        try:
            write_private(self._path, text.encode())
        except OSError as e:
            raise fault(self._path, e) from e
        return config


def choice(found: Sequence[Offer], model: str) -> Offer:
    """The offer of a name; without a name the only one. Raises: Invalid, NoDevice."""
    names = " ".join(o.model for o in found[:SHOWN])
    if not model and len(found) > 1:
        raise Invalid(f"it offers {len(found)} models: which one?", f"--model of: {names}")
    fitting = [o for o in found if o.model == model or not model]
    if not fitting:
        raise NoDevice(f"it offers no model {model!r}", f"models: {names}")
    return fitting[0]


def settings(platform: Platform, chosen: Offer, args: Mapping[str, Json]) -> dict[str, Json]:
    """The table of a model; what the server told of it stands unless the person says otherwise."""
    table: dict[str, Json] = {"base_url": platform.base_url, "model": chosen.model}
    if platform.dialect != "openai":
        table["dialect"] = platform.dialect
    if args.get("key"):
        table["key"] = str(args["key"])
    elif env := str(args.get("key_env") or platform.key_env):
        table["key_env"] = env
    whose = (platform.platform or chosen.platform) if platform.dialect in OF_OPENAI else ""
    if whose:
        table["platform"] = whose
    window, price = args.get("window") or chosen.window, args.get("price") or chosen.price
    if window:
        table["window"] = int(window)
    if price:
        table["price"] = [int(p) for p in price]
    more = {*platform.cans, *chosen.cans, *map(str, args.get("cans") or ())}
    more |= {"schema"} if whose else set()  # these bind every model by a grammar
    if more or chosen.lacks:  # else it is left to what its dialect has
        table["cans"] = sorted((CANS[platform.dialect] | more) - {*chosen.lacks})
    if args.get("fallbacks"):
        table["fallbacks"] = [str(f) for f in args["fallbacks"]]
    return table


def weights(file: Path, args: Mapping[str, Json]) -> dict[str, Json]:
    """The table of a file of weights. Raises: NoDevice, Corrupt, Invalid (a path from nowhere)."""
    if not file.is_absolute():
        raise Invalid(f"{file} is no whole path", "say it from the root")
    check(file, "oros models add FILE.gguf, with a GGUF file that is there")
    table: dict[str, Json] = {"gguf": str(file)}
    if args.get("window"):
        table["window"] = int(args["window"])
    if args.get("fallbacks"):
        table["fallbacks"] = [str(f) for f in args["fallbacks"]]
    return table


def edited(
    text: str, called: str, table: Mapping[str, Json], aliases: Sequence[str], *, default: bool
) -> str:
    """The text of a configuration with a model more. Raises: Exists; Invalid if it can't be."""
    was = read(text)
    if called in was.get("models", {}):
        raise Exists(f"there is a model {called!r} already", "--as NAME, or edit config.toml")
    wanted = deepcopy(was)
    wanted.setdefault("models", {})[called] = dict(table)
    lines = [f"{key} = {value(v)}" for key, v in table.items()]
    made = "\n".join([f"[models.{quoted(called)}]", *lines])
    for alias in aliases:
        if alias in was.get("aliases", {}):
            raise Exists(f"there is an alias {alias!r} already", "edit config.toml")
        wanted.setdefault("aliases", {})[alias] = called
        text = under(text, "aliases", f"{quoted(alias)} = {value(called)}")
    if default:
        wanted["default_model"] = called
        text = on_top(text, "default_model", value(called))
    text = f"{text.rstrip()}\n\n{made}\n".lstrip()
    if read(text) != wanted:
        raise Invalid("config.toml is written in a way that can't be edited here", f"add: {made}")
    return text


def read(text: str) -> dict[str, Any]:
    """A configuration as plain values. Raises: Invalid."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as e:
        raise Invalid(f"{FILE}: {e}", "mend the file") from e


def under(text: str, table: str, line: str) -> str:
    """A line put under the header of a table, which is made if there is none."""
    header = re.search(rf"^[ \t]*\[{table}\][ \t]*(#.*)?$", text, re.MULTILINE)
    if header is None:
        return f"{text.rstrip()}\n\n[{table}]\n{line}\n"
    return f"{text[: header.end()]}\n{line}{text[header.end() :]}"


def on_top(text: str, key: str, said: str) -> str:
    """A key of no table, set: in its line if it has one, else in a first one."""
    first = HEADER.search(text)
    end = first.start() if first else len(text)
    line = re.compile(rf"^({key}[ \t]*=[ \t]*)(\"[^\"\n]*\"|'[^'\n]*')", re.MULTILINE)
    head, count = line.subn(lambda m: m[1] + said, text[:end], count=1)
    return head + text[end:] if count else f"{key} = {said}\n{text}"


def quoted(name: str) -> str:
    """A key of TOML."""
    return name if BARE.fullmatch(name) else value(name)


def value(of: Json) -> str:
    """A string, a number or a list as TOML; their JSON is that, but for one character."""
    return json.dumps(of, ensure_ascii=False).replace("\x7f", "\\u007f")
