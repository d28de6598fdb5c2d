"""A part of a file server as a server of its own: what the call `mount` shows elsewhere."""

from collections.abc import Mapping
from dataclasses import replace

from oros.abi.message import Json
from oros.abi.ports import Caller, FileServer
from oros.abi.syscalls import Outcome


class Below:
    """The FileServer of what lies below `top` in another one."""

    def __init__(self, server: FileServer, top: str) -> None:
        self._server = server
        self._top = top.strip("/")

    def _inner(self, path: str) -> str:
        return f"{self._top}/{path}".rstrip("/")

    def _outer(self, outcome: Outcome) -> Outcome:
        return replace(outcome, value=self._cut(outcome.value))

    def _cut(self, value: Json) -> Json:
        if isinstance(value, list):
            return [self._cut(v) for v in value]
        if not isinstance(value, Mapping):
            return value
        found = {k: self._cut(v) if type(v) is list else v for k, v in value.items()}
        if isinstance(found.get("path"), str):
            found["path"] = found["path"].removeprefix(self._top).lstrip("/")
        return found

    async def read(self, who: Caller, path: str, offset: int, limit: int) -> Outcome:
        """As the other's."""
        return self._outer(await self._server.read(who, self._inner(path), offset, limit))

    async def write(self, who: Caller, path: str, data: bytes) -> Outcome:
        """As the other's."""
        return self._outer(await self._server.write(who, self._inner(path), data))

    async def list(self, who: Caller, path: str, depth: int, head: int, limit: int) -> Outcome:
        """As the other's."""
        return self._outer(await self._server.list(who, self._inner(path), depth, head, limit))

    async def search(self, who: Caller, path: str, query: str, limit: int) -> Outcome:
        """As the other's."""
        return self._outer(await self._server.search(who, self._inner(path), query, limit))

    async def stat(self, who: Caller, path: str) -> Outcome:
        """As the other's."""
        return self._outer(await self._server.stat(who, self._inner(path)))

    async def remove(self, who: Caller, path: str) -> Outcome:
        """As the other's."""
        return self._outer(await self._server.remove(who, self._inner(path)))
