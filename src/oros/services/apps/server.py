"""`/apps`: the tools of installed apps as files, so that no model has to read all of them.

    /apps               a folder for each app
    /apps/APP           its tools, a line each
    /apps/APP/TOOL      how one is called: its schema, and what it does

To search is to find a tool by what it does. What is told is what was pinned at the install.
"""

import json
from collections.abc import Mapping

from oros.abi.errors import Invalid, NotFound, Unsupported
from oros.abi.labels import SYSTEM
from oros.abi.message import Json, TextPart, say
from oros.abi.ports import Caller, Tool, ToolSpec
from oros.abi.syscalls import Outcome
from oros.paging import find
from oros.paging.context import Page


def app_of(name: str) -> str:
    """The app of a tool's full name."""
    return name.partition(".")[0]


def path_of(name: str) -> str:
    """Where a tool stands below `/apps`."""
    return name.replace(".", "/", 1)


class AppsServer:
    """The FileServer of `/apps`."""

    def __init__(self, tools: Mapping[str, Tool]) -> None:
        """`tools` by their full name, as the kernel calls them; it may change."""
        self._tools = tools

    def _specs(self, path: str) -> list[ToolSpec]:
        """The tools at a path: all, an app's, or one. Raises: NotFound."""
        wanted = path.strip("/")
        found = [t.spec for _, t in sorted(self._tools.items())]
        if wanted:
            found = [s for s in found if wanted in (app_of(s.name), path_of(s.name))]
        if wanted and not found:
            apps = " ".join(sorted({app_of(n) for n in self._tools})) or "none"
            raise NotFound(f"/apps/{wanted}: there is no such app or tool", f"apps: {apps}")
        return found

    async def list(self, who: Caller, path: str, depth: int, head: int, limit: int) -> Outcome:  # noqa: ARG002 - the port's: no heads beside the lines
        """Apps, or the tools of one with how they are called. Raises: NotFound."""
        specs = self._specs(path)
        rows: list[Json]
        if path.strip("/") or depth > 1:
            rows = [{"path": path_of(s.name), "kind": "file", "head": s.line} for s in specs]
        else:
            names = [app_of(s.name) for s in specs]
            rows = [
                {"path": n, "kind": "dir", "size": names.count(n)} for n in dict.fromkeys(names)
            ]
        return Outcome({"entries": rows[:limit], "more": len(rows) > limit}, label=SYSTEM)

    async def read(self, who: Caller, path: str, offset: int, limit: int) -> Outcome:  # noqa: ARG002 - the port's: all may read
        """How a tool is called; of an app, its tools a line each. Raises: NotFound, Invalid."""
        if not path.strip("/"):
            raise Invalid("/apps is a folder", "list it, or search it by what a tool should do")
        specs = self._specs(path)
        text = "\n".join(s.line for s in specs)
        if path_of(specs[0].name) == path.strip("/"):
            text = json.dumps(told(specs[0]), indent=1, ensure_ascii=False)
        cut = text[offset : offset + limit]
        after = offset + limit if offset + limit < len(text) else None
        value = {"path": path, "size": len(text), "offset": offset, "next": after}
        return Outcome(value, (TextPart(cut),), label=SYSTEM)

    async def search(self, who: Caller, path: str, query: str, limit: int) -> Outcome:  # noqa: ARG002 - the port's: all may search
        """Tools whose names, arguments or descriptions hold words of the query, best first."""
        specs = self._specs(path)
        words = [s.line.replace(".", " ").replace("_", " ") for s in specs]
        pages = [Page(n, "turn", say("tool", w), 0, n) for n, w in enumerate(words)]
        found = [specs[h.page.id] for h in find.search(pages, query.replace("_", " "), limit + 1)]
        hits: list[Json] = [{"path": path_of(s.name), "line": 1, "text": s.line} for s in found]
        return Outcome({"hits": hits[:limit], "more": len(hits) > limit}, label=SYSTEM)

    async def stat(self, who: Caller, path: str) -> Outcome:  # noqa: ARG002 - the port's: all may look
        """The kind of a place, and how many tools there are in it. Raises: NotFound."""
        specs = self._specs(path)
        kind = "file" if path and path_of(specs[0].name) == path.strip("/") else "dir"
        return Outcome({"path": path, "kind": kind, "size": len(specs)}, label=SYSTEM)

    async def write(self, who: Caller, path: str, data: bytes) -> Outcome:  # noqa: ARG002 - the port's: nobody may
        """Not by files."""
        raise Unsupported("/apps can't be written", "the user installs apps: oros install")

    async def remove(self, who: Caller, path: str) -> Outcome:  # noqa: ARG002 - the port's: nobody may
        """Not by files."""
        raise Unsupported("/apps can't be written", "the user removes apps: oros remove")


def told(spec: ToolSpec) -> dict[str, Json]:
    """A tool as a model is told of it."""
    found: dict[str, Json] = {"tool": spec.name, "about": spec.about, "args": dict(spec.schema)}
    return found | {"effect": spec.effect, "call": 'call {"tool": "' + spec.name + '", "args": {}}'}
