"""Models by name: the built-in ones, and those of config.toml; each made when first used."""

import ipaddress
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from oros.abi.errors import Corrupt, NoDevice, NotAuthorized, OrosError
from oros.abi.manifest import Program
from oros.abi.message import Json
from oros.abi.ports import Model, ModelInfo
from oros.boot.config import FILE, Config, RemoteModel, names_of
from oros.boot.dialects import driver_of, info_of_remote
from oros.boot.names import Names, stays, suited
from oros.drivers.models.constrained import ConstrainedModel
from oros.drivers.models.llamacpp.driver import LlamaCppModel
from oros.drivers.models.llamacpp.engine import free_memory
from oros.scheduling.moves import HERE
from oros.services.console import Long, Query, Report
from oros.services.trial import trial
from oros.services.weights import discover
from oros.services.weights.catalog import BUNDLES, BY_NAME, CATALOG, Weights, default_model
from oros.services.weights.pull import complete, place, pull, pull_all

LOCAL = "local"
LOCAL_CANS = frozenset({"schema", "grammar", "resume", "cancel", "count", HERE})
SLOTS = 4
"""Answers of the model in the box that may be in the making; its worker shares the machine out."""
BEGIN, WIDEST = 4, 64
"""Calls side by side to a server that nobody knows, to begin with and at most."""

Secret = Callable[[str, str], str | None]
"""The value of a secret by its name, if a host may be sent it."""


class Models:
    """The registry; a call gives the model of a name. Raises: NoDevice with the names there are."""

    def __init__(self, config: Config, folder: Path, secret: Secret = lambda _, __: None) -> None:
        """Raises: Invalid, if a name in the configuration means nothing."""
        self._folder = folder
        self._secret = secret
        self._made: dict[str, Model] = {}
        self._let_go: list[Model] = []
        self._config = Config()
        self.configure(config)

    def configure(self, config: Config) -> None:
        """Take a configuration; models that it changed are made anew. Raises: Invalid."""
        names = named(config)
        old, self._config, self._names = self._config, config, names
        for name in [n for n in self._made if n not in BY_NAME]:
            if config.models.get(name) != old.models.get(name):
                self._let_go.append(self._made.pop(name))

    def __call__(self, name: str) -> Model:
        """The model of a name; "" is the default, `local` the built-in one."""
        wanted = self.resolve(name)
        found = self._made.get(wanted)
        if found is None:
            found = self._made[wanted] = self._make(wanted)
        return found

    def resolve(self, name: str) -> str:
        """The full name of the first model that a name means. Raises: NoDevice."""
        wanted = self._names.chain(name)[0]
        if wanted in self._config.models or wanted in BY_NAME:
            return wanted
        if wanted == LOCAL:
            return self._local().name
        names = " ".join([LOCAL, *BY_NAME, *self._config.models, *self._config.aliases])
        raise NoDevice(f"there is no model {wanted!r}", f"models: {names}")

    def ways(self, asked: str, now: str) -> Iterator[Model]:
        """The models that are left on a list behind the one in use; those that can be had."""
        return self._had(self._names.onward(asked, now, self._full))

    def _full(self, name: str) -> str:
        """The full name of a model; a name that means none stays as it is."""
        try:
            return self.resolve(name)
        except NoDevice:
            return name

    def suited(self, model: Model, program: Program, named: str) -> Model:
        """The model that a program gets. Raises: Unsupported."""
        return suited(model, program, named, self._others(model))

    def _others(self, model: Model) -> Iterator[Model]:
        """What may take a model's place: its list, what aliases name, what is here; then the rest.

        The rest only if the model is not here itself: nothing leaves the machine unsaid.
        """
        listed = [*self._names.chain("")[1:], *self._config.aliases, LOCAL]
        return self._had([*listed, *(() if stays(model) else self._config.models)])

    def _had(self, names: list[str]) -> Iterator[Model]:
        for name in names:
            try:
                yield self(name)
            except OrosError:
                continue

    def names(self) -> dict[str, list[str]]:
        """The names that can be asked now, with the models that each is a name for, in full.

        Those of the configuration, and what is here.
        """
        here = [w.name for w in CATALOG if place(w, self._folder).exists()]
        local = [LOCAL] if here else []
        names = (*local, *here, *self._config.models, *self._config.aliases)
        return {n: [*map(self._full, self._names.means(n))] for n in names}

    def _local(self) -> Weights:
        """The built-in model in use, else the one here that fits the memory, else one to fetch."""
        for spec in CATALOG:
            if spec.general and spec.name in self._made:
                return spec
        chosen = default_model(free_memory())
        here = [w for w in CATALOG if w.general and place(w, self._folder).exists()]
        return chosen if chosen in here or not here else here[-1]

    def _make(self, name: str) -> Model:
        remote = self._config.models.get(name)
        if remote is not None and remote.gguf:
            return own_model(name, remote, self._cache())
        if remote is not None:
            return remote_model(name, remote, self._secret)
        spec = BY_NAME[name]
        path = place(spec, self._folder)
        if not path.exists():
            size = f"{spec.size / 1e9:.1f} GB"
            raise NoDevice(f"{name} is not on this machine yet ({size})", "oros models pull")
        if (there := path.stat().st_size) != spec.size:
            why = f"{path} holds {there} bytes, {name} has {spec.size}"
            raise Corrupt(why, f"oros models pull {name}")
        local = LlamaCppModel(path, info_of(spec), repack=spec.repack, keep=self._cache())
        return ConstrainedModel(local)

    def _cache(self) -> Path | None:
        """The folder for what can be lost, beside that of the weights."""
        cache = self._folder.parent / "cache"
        try:
            cache.mkdir(mode=0o700, exist_ok=True)
        except OSError:
            return None
        return cache

    async def close(self) -> None:
        """Close all that were made."""
        for model in (*self._made.values(), *self._let_go):
            await model.close()

    # ---- what a person may ask -----------------------------------------------------------------

    def queries(self) -> dict[str, Query]:
        """Questions about models."""
        return {"models": self.listed}

    def longs(self) -> dict[str, Long]:
        """Long work on models."""
        return {"models.pull": self.pulled, "models.test": self.tested}

    async def listed(self, _: Mapping[str, Json]) -> Json:
        """Models that can be used by name, then what else was found on this machine."""
        default = self.resolve("")
        rows = [self._row(spec) for spec in CATALOG]
        rows += [self._bundle_row(name) for name in BUNDLES]
        rows += [remote_row(name, remote) for name, remote in self._config.models.items()]
        for row in rows:
            row["default"] = row["name"] == default
            row["aliases"] = self._aliases(row["name"])
            row["fallbacks"] = self._names.chain(row["name"])[1:]
        found = [*await discover.servers(), *discover.files()]
        rows += [
            {"name": f.name, "state": f"found: {f.kind}", "about": f.where, "size": f.size}
            for f in found
        ]
        return rows

    def _aliases(self, name: str) -> list[str]:
        """The aliases that mean a model, in the first place."""
        return [a for a in self._config.aliases if self._names.chain(a)[0] == name]

    def _row(self, spec: Weights) -> dict[str, Json]:
        """A built-in model as `oros models` shows it."""
        here = place(spec, self._folder).exists()
        state = "here" if here else f"to fetch: {spec.size / 1e9:.1f} GB"
        row: dict[str, Json] = {"name": spec.name, "state": state, "size": spec.size}
        return row | {"window": spec.window, "slots": SLOTS, "about": spec.about}

    def _bundle_row(self, name: str) -> dict[str, Json]:
        """A model of several files as `oros models` shows it: no slots, as it answers nobody."""
        bundle = BUNDLES[name]
        state = (
            "here" if complete(bundle, self._folder) else f"to fetch: {bundle.size / 1e9:.2f} GB"
        )
        return {"name": name, "state": state, "size": bundle.size, "about": bundle.about}

    async def pulled(self, args: Mapping[str, Json], report: Report) -> Json:
        """Fetch a built-in model: the one named, or the one that suits this machine."""
        name = str(args.get("name") or LOCAL)
        if name in BUNDLES:
            paths = await pull_all(BUNDLES[name], self._folder, report)
            return {"name": name, "path": str(paths[0]), "about": BUNDLES[name].about}
        if name == LOCAL:
            spec = default_model(free_memory())
        elif name in BY_NAME:
            spec = BY_NAME[name]
        else:
            raise NoDevice(
                f"{name!r} is no built-in model", f"models: {' '.join([*BY_NAME, *BUNDLES])}"
            )
        path = await pull(spec, self._folder, report, elsewhere)
        return {"name": spec.name, "path": str(path), "about": spec.about}

    async def tested(self, args: Mapping[str, Json], _: Report) -> Json:
        """Try a model. Raises: what its driver raises."""
        return await trial(self(str(args.get("name") or "")))


def named(config: Config) -> Names:
    """What names of models mean in a configuration. Raises: Invalid, if one means nothing."""
    names = names_of(config)
    names.check([LOCAL, *BY_NAME, *config.models], FILE)
    return names


def remote_model(name: str, remote: RemoteModel, secret: Secret) -> Model:
    """A model of the configuration; its key is read at each call."""
    host = urlsplit(remote.base_url).hostname or ""
    info = info_of_remote(name, remote)
    cans = info.cans | {HERE} if on_loopback(host) else info.cans - {HERE}
    slots, widest = (BEGIN, WIDEST) if remote.slots is None else (remote.slots, remote.slots)
    info = replace(info, cans=cans, slots=slots, widest=widest)

    def key() -> str | None:
        if not remote.key:
            return os.environ.get(remote.key_env) if remote.key_env else None
        found = secret(remote.key, host)
        if found is None:
            why = f"there is no secret {remote.key!r} for {host}"
            raise NotAuthorized(why, f"oros secret set {remote.key} --host {host}")
        return found

    model = driver_of(name, remote, info, key)
    return model if "tools" in info.cans else ConstrainedModel(model)


def own_model(name: str, own: RemoteModel, keep: Path | None) -> Model:
    """A file of weights that the configuration names, run in the box; tools are always made."""
    info = ModelInfo(
        name, own.window, own.slots or SLOTS, LOCAL_CANS, own.price or (0, 0, 0), own.small
    )
    path = Path(own.gguf).expanduser()
    mend = f"mend the path of {name} in {FILE}, or oros models add FILE.gguf"
    local = LlamaCppModel(path, info, keep=keep, gpu_layers=own.gpu_layers, mend=mend)
    return ConstrainedModel(local)


def remote_row(name: str, remote: RemoteModel) -> dict[str, Json]:
    """A model of the configuration as `oros models` shows it."""
    where, state = remote.base_url, "remote"
    if remote.gguf:
        where = remote.gguf
        state = "here" if Path(where).expanduser().is_file() else "not there"
    row: dict[str, Json] = {"name": name, "state": state, "size": 0, "about": where}
    return row | {"window": remote.window, "slots": remote.slots or BEGIN}


def on_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def info_of(spec: Weights) -> ModelInfo:
    """What a built-in model is and can."""
    price = (0, 0, 0)
    return ModelInfo(spec.name, spec.window, SLOTS, LOCAL_CANS, price, small=True, about=spec.about)


def elsewhere() -> list[Path]:
    """Files on this machine that may be copies of a built-in model."""
    return [Path(f.where) for f in discover.files()]
