"""`/home`: folders that the user mounted by name, for all processes to read, or to write, too.

A process changes them as it changes its own folder: in layers, which are shown, undone and
committed. Where a folder is mounted to read, or is the machine's own, that is what it says.
"""

import json
import re
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from oros.abi.errors import AccessDenied, Invalid, NotFound, Unsupported
from oros.abi.labels import SYSTEM
from oros.abi.message import Json
from oros.abi.ports import Caller, FileServer
from oros.abi.syscalls import Outcome
from oros.services.files.faults import explained
from oros.services.files.labels import Settings

KEY = "homes"
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
AT = "/home/"


@dataclass(frozen=True, slots=True)
class Home:
    """A mounted folder: its name, where it is on the host, and what may be done with it."""

    name: str
    folder: str
    read_only: bool = False
    index: bool = False


class Homes:
    """The folders that are mounted; a FileServer whose top lists them.

    `serve` makes the server of one when it is first used.
    """

    def __init__(self, settings: Settings, serve: Callable[[Home], FileServer]) -> None:
        self._settings = settings
        self._serve = serve
        self._servers: dict[str, FileServer] = {}
        self.mounted: dict[str, Home] = {
            h["name"]: Home(**h) for h in json.loads(settings.get_setting(KEY) or "[]")
        }

    def reviewed(self, serve: Callable[[Home], FileServer]) -> "Homes":
        """The same folders for processes whose changes wait, by servers that know it."""
        found = copy(self)
        found._serve, found._servers = serve, {}  # noqa: SLF001 - another way to make one
        return found

    # ---- for people ----------------------------------------------------------------------------

    def mount(self, folder: str, name: str, *, read_only: bool, index: bool) -> Home:
        """Mount a folder; the same name again changes it. Raises: Invalid, NotFound, AccessDenied.

        `name`: such as `notes` or `/home/notes`; "" takes the folder's own.
        """
        path = Path(folder)
        with explained(folder):
            path = path.resolve(strict=True)
            if not path.is_dir():
                raise Invalid(f"{folder} is no folder")
        name = name.removeprefix(AT).strip("/") or re.sub(r"[^a-z0-9._-]+", "-", path.name.lower())
        if not NAME.fullmatch(name):
            raise Invalid(f"{name!r} is no name for a mount", "such as /home/notes: a-z 0-9 . _ -")
        home = Home(name, str(path), read_only, index)
        server = self._serve(home)
        self._servers[name] = server
        self.mounted[name] = home
        self._save()
        return home

    def unmount(self, name: str) -> Home:
        """Show it to nobody any more; the folder stays as it is. Raises: NotFound."""
        home = self.find(name)
        del self.mounted[home.name]
        self._servers.pop(home.name, None)
        self._save()
        return home

    def find(self, name: str) -> Home:
        """Raises: NotFound."""
        found = self.mounted.get(name.removeprefix(AT).strip("/"))
        if found is None:
            there = " ".join(f"{AT}{n}" for n in self.mounted) or "none"
            raise NotFound(f"{name}: nothing is mounted there", f"mounted: {there}")
        return found

    def server(self, name: str) -> FileServer:
        """What serves a mounted folder. Raises: NotFound, AccessDenied."""
        home = self.find(name)
        if home.name not in self._servers:
            self._servers[home.name] = self._serve(home)
        return self._servers[home.name]

    def _save(self) -> None:
        rows = [asdict(h) for _, h in sorted(self.mounted.items())]
        self._settings.put_setting(KEY, json.dumps(rows))

    # ---- the file server -----------------------------------------------------------------------

    def _at(self, path: str) -> tuple[Home, FileServer, str]:
        name, _, rest = path.partition("/")
        return self.find(name), self.server(name), rest

    async def read(self, who: Caller, path: str, offset: int, limit: int) -> Outcome:
        """As the folder's."""
        home, server, rest = self._at(path)
        return beneath(home, await server.read(who, rest, offset, limit))

    async def list(self, who: Caller, path: str, depth: int, head: int, limit: int) -> Outcome:
        """The mounted folders, or as the folder's."""
        if path:
            home, server, rest = self._at(path)
            return beneath(home, await server.list(who, rest, depth, head, limit))
        rows: list[Json] = [{"path": n, "kind": "dir"} for n in sorted(self.mounted)]
        return Outcome({"entries": rows[:limit], "more": len(rows) > limit}, label=SYSTEM)

    async def search(self, who: Caller, path: str, query: str, limit: int) -> Outcome:
        """As the folder's; of all of them at the top, so many of each."""
        names = [path] if path else sorted(self.mounted)
        hits: list[Json] = []
        parts: list[str] = []
        label, more = who.label, False
        for name in names:
            home, server, rest = self._at(name)
            found = beneath(home, await server.search(who, rest, query, limit))
            value: dict[str, Any] = found.value if isinstance(found.value, dict) else {}
            hits += value.get("hits", [])
            parts += [f"{AT}{home.name}: {value['index']}"] if value.get("index") else []
            label, more = label | found.label, more or bool(value.get("more"))
        hits.sort(key=lambda h: -float(h.get("score") or 0.0) if isinstance(h, dict) else 0.0)
        whole: dict[str, Json] = {"hits": hits[:limit], "more": more or len(hits) > limit}
        if parts:  # an index that is not whole says so
            whole["index"] = "; ".join(parts)
        return Outcome(whole, label=label)

    async def stat(self, who: Caller, path: str) -> Outcome:
        """As the folder's."""
        if not path:
            return Outcome({"path": "", "kind": "dir", "size": len(self.mounted)}, label=SYSTEM)
        home, server, rest = self._at(path)
        return beneath(home, await server.stat(who, rest))

    async def write(self, who: Caller, path: str, data: bytes) -> Outcome:
        """As the folder's, unless it is mounted to read."""
        home, server, rest = self._writable(path)
        return beneath(home, await server.write(who, rest, data))

    async def remove(self, who: Caller, path: str) -> Outcome:
        """As the folder's, unless it is mounted to read."""
        home, server, rest = self._writable(path)
        return beneath(home, await server.remove(who, rest))

    def _writable(self, path: str) -> tuple[Home, FileServer, str]:
        if not path:
            raise Unsupported("/home itself can't be written", "oros mount DIR /home/NAME")
        home, server, rest = self._at(path)
        if home.read_only:
            raise AccessDenied(f"{AT}{home.name} is mounted to read", "oros mount it without --ro")
        return home, server, rest


def beneath(home: Home, outcome: Outcome) -> Outcome:
    """An outcome of a folder's server, with its paths as they are beneath `/home`."""
    return replace(outcome, value=_below(home.name, outcome.value))


def _below(name: str, value: Json) -> Json:
    if isinstance(value, list):
        return [_below(name, v) for v in value]
    if not isinstance(value, Mapping):
        return value
    found = {k: _below(name, v) if type(v) is list else v for k, v in value.items()}
    if isinstance(found.get("path"), str):
        found["path"] = f"{name}/{found['path']}".rstrip("/")
    return found
