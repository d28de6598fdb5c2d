"""Installed apps: their tools as the kernel calls them, pinned as they were when installed.

What a server says of its tools is kept at the install and is what models are shown; a server whose
tools differ later is suspended until the person looks and installs it again. Without a manifest a
tool is shown by its name and arguments alone: what a server writes is others' text.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from oros.abi import hidden, wire
from oros.abi.errors import AccessDenied, Corrupt, Invalid, NotFound
from oros.abi.message import Json
from oros.abi.ports import Caller, Clock, Tool, ToolSpec
from oros.abi.syscalls import Outcome
from oros.drivers.private import write_private
from oros.monitor.plans import acts_of
from oros.services.apps.manifest import NAME, App, Server, parse

MANIFEST = "app.toml"
LOOK = 60.0
"""Seconds after which a server is asked again whether its tools are as they were."""


class ToolServer(Protocol):
    """What serves the tools of an app."""

    async def tools(self) -> list[dict[str, Json]]:
        """The tools as it describes them."""

    async def call(self, tool: str, args: Mapping[str, Json], who: Caller) -> Outcome:
        """Call one."""

    async def close(self) -> None:
        """Let go."""


Connect = Callable[[str, str, str], ToolServer]
"""A server by the app's name, its address and its socket ("" for none)."""


@dataclass(frozen=True, slots=True)
class Installed:
    """An app as it is kept: its manifest, and the tools as they were described at the install."""

    app: App
    described: tuple[Mapping[str, Json], ...]

    @property
    def pin(self) -> str:
        """A hash of all that the server says of its tools."""
        return pin_of(self.described)


def pin_of(described: Sequence[Mapping[str, Json]]) -> str:
    """SHA-256 over name, description, schemas and annotations of all tools, sorted by name."""
    kept = ("name", "title", "description", "inputSchema", "outputSchema", "annotations")
    rows = sorted(
        ({k: t[k] for k in kept if t.get(k) is not None} for t in described),
        key=lambda t: str(t["name"]),
    )
    text = json.dumps(rows, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def changes(old: Sequence[Mapping[str, Json]], new: Sequence[Mapping[str, Json]]) -> list[str]:
    """What differs between two descriptions of the same tools, a line each."""
    before, after = ({str(t["name"]): t for t in side} for side in (old, new))
    found = [f"{n} is gone" for n in before if n not in after]
    found += [f"{n} is new" for n in after if n not in before]
    for name in before.keys() & after.keys():
        for key in sorted({*before[name], *after[name]}):
            was, now = before[name].get(key), after[name].get(key)
            if was != now and pin_of([before[name]]) != pin_of([after[name]]):
                found.append(f"{name}: {key} was {short(was)}, is {short(now)}")
    return sorted(found)


def short(value: Json) -> str:
    """A value in one line, without what people don't see."""
    text = hidden.strip(json.dumps(value, ensure_ascii=False))[0]
    return text if len(text) <= 160 else text[:160] + "..."


class Apps(Mapping[str, Tool]):
    """The tools of all installed apps by their full name, such as `mail.send`."""

    def __init__(
        self, folder: Path, connect: Connect, clock: Clock, more: Mapping[str, Tool] | None = None
    ) -> None:
        """`folder` keeps what is installed; `more`: tools that come with the machine."""
        self._folder = folder
        self._connect = connect
        self._clock = clock
        self._more = dict(more or {})
        self._apps: dict[str, Running] = {}
        self._tools: dict[str, Tool] = dict(self._more)

    def load(self) -> None:
        """Take in what is installed. Raises: Corrupt."""
        for path in sorted(self._folder.glob("*.json")) if self._folder.is_dir() else ():
            try:
                kept: Installed = wire.decode(Installed, path.read_text("utf-8"))
            except (Invalid, OSError, UnicodeDecodeError) as e:
                raise Corrupt(f"{path}: it can't be read: {e}", "move it aside") from e
            self._start(kept)

    def __getitem__(self, name: str) -> Tool:
        return self._tools[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tools)

    def __len__(self) -> int:
        return len(self._tools)

    async def install(self, source: str, name: str = "") -> Json:
        """Install from a folder with a manifest, or (worst-case types) from a server's address.

        Nothing of it is run. Raises: Invalid, NotFound, and what the server raises.
        """
        app = self._read(source, name)
        server = self._connect(app.name, app.server.url, app.server.socket)
        try:
            described = tuple(await server.tools())
        finally:
            await server.close()
        listed = {str(t["name"]) for t in described}
        if missing := sorted(app.tools.keys() - listed):
            raise Invalid(f"{app.name}: its server has no tool {' '.join(missing)}")
        kept = Installed(app, described)
        self._keep(kept)
        await self.drop(app.name)
        self._start(kept)
        return self._row(self._apps[app.name])

    def _read(self, source: str, name: str) -> App:
        if source.startswith(("http://", "https://")):
            if not NAME.fullmatch(name):
                raise Invalid("install: an address needs a name", "oros install URL --name NAME")
            return App(name, server=Server(source), typed=False)
        path = Path(source)
        path = path / MANIFEST if path.is_dir() else path
        try:
            app = parse(path.read_text("utf-8"), str(path))
        except FileNotFoundError as e:
            raise NotFound(f"{path}: there is no manifest", f"an app has an {MANIFEST}") from e
        except (OSError, UnicodeDecodeError) as e:
            raise Invalid(f"{path}: {e}") from e
        if app.server.socket:  # it is named from the manifest's own folder
            socket = str((path.parent / app.server.socket).absolute())
            app = replace(app, server=replace(app.server, socket=socket))
        return app

    def _keep(self, kept: Installed) -> None:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        write_private(self._folder / f"{kept.app.name}.json", wire.encode(kept))

    async def remove(self, name: str) -> None:
        """Forget an app. Raises: NotFound."""
        if name not in self._apps:
            raise NotFound(f"there is no app {name!r}", f"apps: {' '.join(self._apps) or 'none'}")
        await self.drop(name)
        (self._folder / f"{name}.json").unlink(missing_ok=True)

    async def drop(self, name: str) -> None:
        """Let go of an app's server and tools."""
        running = self._apps.pop(name, None)
        if running is not None:
            for tool in running.tools():
                self._tools.pop(tool, None)
            await running.server.close()

    def _start(self, kept: Installed) -> None:
        app = kept.app
        server = self._connect(app.name, app.server.url, app.server.socket)
        running = self._apps[app.name] = Running(kept, server, self._clock)
        self._tools |= running.tools()

    def _row(self, running: "Running") -> Json:
        app = running.kept.app
        acts = acts_of(t.spec for t in running.tools().values())
        return {
            "name": app.name,
            "version": app.version,
            "about": app.about,
            "typed": app.typed,
            "tools": sorted(running.tools()),
            "acts": acts,
            "pin": running.kept.pin,
            "suspended": running.differs,
        }

    def rows(self) -> Json:
        """All apps, for a listing."""
        return [self._row(r) for r in self._apps.values()]

    async def close(self) -> None:
        """Let go of all servers."""
        for running in self._apps.values():
            await running.server.close()


class Running:
    """One app and its server. `differs`: what its tools are now that they were not; none: all."""

    def __init__(self, kept: Installed, server: ToolServer, clock: Clock) -> None:
        self.kept = kept
        self.server = server
        self.differs: list[str] = []
        self._clock = clock
        self._looked: float | None = None

    def tools(self) -> dict[str, Tool]:
        """The tools, by their full names."""
        found = {}
        for told in self.kept.described:
            spec = self._spec(told)
            found[spec.name] = Tool(spec, Device(self, str(told["name"])))
        return found

    def _spec(self, told: Mapping[str, Json]) -> ToolSpec:
        app, name = self.kept.app, str(told["name"])
        typed = app.tools.get(name)
        about = typed.about if typed is not None else ""
        schema = told.get("inputSchema")
        schema = schema if isinstance(schema, dict) else {}
        return ToolSpec(f"{app.name}.{name}", about, schema, app.effect(name), app.act(name))

    async def same(self) -> None:
        """Make sure that the tools are those that were installed. Raises: AccessDenied."""
        now = self._clock.monotonic()
        if self._looked is None or now - self._looked > LOOK:
            described = await self.server.tools()
            same = pin_of(described) == self.kept.pin
            self.differs = [] if same else changes(self.kept.described, described)
            self._looked = now
        if self.differs:
            name = self.kept.app.name
            why = f"the app {name} is suspended: its tools changed: {'; '.join(self.differs)[:600]}"
            raise AccessDenied(why, "the user may look (oros apps) and install it again")


class Device:
    """One tool of an app, as the kernel calls it."""

    def __init__(self, running: Running, tool: str) -> None:
        self._running = running
        self._tool = tool

    async def perform(self, who: Caller, args: Mapping[str, Json]) -> Outcome:
        """Call it, if its server is still what was installed."""
        await self._running.same()
        return await self._running.server.call(self._tool, args.get("args") or {}, who)

    async def reconcile(self, _: Caller, __: Mapping[str, Json]) -> Outcome | None:
        """Whether a call happened can't be asked of such a server."""
        return None
