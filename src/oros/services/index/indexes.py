"""The indexes of all folders that are mounted with one: started, followed, told of and dropped."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

from oros.abi.message import Json
from oros.abi.ports import Caller, Clock
from oros.abi.syscalls import Outcome
from oros.services.files.folder import Folder
from oros.services.files.labels import Labels, Settings
from oros.services.files.resolve import Root
from oros.services.index.documents import Documents
from oros.services.index.folder import IndexedFolder
from oros.services.index.indexer import Indexer
from oros.services.layers.workspace import Reviewed, Workspace
from oros.services.memory.live import Memory

Space = Workspace | Reviewed


class Indexes:
    """One indexer a mounted folder, by the mount's name."""

    def __init__(
        self, memory: Memory, documents: Documents, settings: Settings, clock: Clock
    ) -> None:
        self._memory, self._documents = memory, documents
        self._settings, self._clock = settings, clock
        self.known: dict[str, tuple[Indexer, IndexedFolder]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None

    def open(self, name: str, folder: Path) -> IndexedFolder:
        """The index of a folder, begun if it is new. Raises: NotFound, AccessDenied."""
        found = self.known.get(name)
        if found is not None and found[0].root.path == folder:
            return found[1]
        root = Root(folder)
        labels = Labels(self._settings, root.path)
        scope = f"files:/home/{name}"
        indexer = Indexer(root, scope, self._memory, self._documents, self._clock, labels)
        shown = Folder(folder, self._settings, self._documents)
        server = IndexedFolder(shown, indexer, self._memory, self._documents)
        self._end(name)
        self.known[name] = (indexer, server)
        self._begin(name)
        return server

    async def drop(self, name: str) -> None:
        """Forget an index and all its rows."""
        self._end(name)
        self.known.pop(name, None)
        await self._memory.drop(f"files:/home/{name}")

    def status(self, name: str) -> dict[str, Any] | None:
        """How far an index is (see Indexer.status); None without one."""
        found = self.known.get(name)
        return None if found is None else found[0].status()

    async def keep(self) -> None:
        """Keep all of them true, until cancelled."""
        try:
            async with asyncio.TaskGroup() as self._group:
                for name in self.known:
                    self._begin(name)
                await asyncio.Event().wait()
        finally:
            self._group = None
            self._tasks.clear()

    def _begin(self, name: str) -> None:
        if self._group is not None:
            self._tasks[name] = self._group.create_task(self.known[name][0].keep())

    def _end(self, name: str) -> None:
        if (task := self._tasks.pop(name, None)) is not None:
            task.cancel()


class IndexedSpace:
    """A FileServer: a folder with a process's layers over it, and the index of what is in it."""

    def __init__(self, space: Space, indexed: IndexedFolder) -> None:
        self._space = space
        self._indexed = indexed
        self.read, self.list, self.stat = space.read, space.list, space.stat
        self.write, self.remove = space.write, space.remove

    async def search(self, who: Caller, path: str, query: str, limit: int) -> Outcome:
        """What the index finds; lines that only the process's own changes hold come first."""
        found = await self._indexed.search(who, path, query, limit)
        if not self._space.changed(who.pid):
            return found
        lines = await self._space.search(who, path, query, limit)
        value: dict[str, Any] = dict(found.value)
        there = {(h["path"], h.get("line")) for h in value["hits"]}
        own: list[Json] = [
            {"place": f"line {h['line']}", "score": 1.0, **h}
            for h in lines.value["hits"]
            if (h["path"], h["line"]) not in there
        ]
        value["hits"] = [*own, *value["hits"]][:limit]
        return replace(found, value=value, label=found.label | lines.label)
