"""A folder whose files are indexed: search finds lines that hold the words, then more."""

from typing import Any

from oros.abi.message import Json
from oros.abi.ports import Caller
from oros.abi.syscalls import Outcome
from oros.services.files.folder import Folder
from oros.services.files.names import show
from oros.services.index.chunks import exact
from oros.services.index.documents import PLAIN, Documents
from oros.services.index.indexer import Indexer, spelled
from oros.services.index.inside.page import Read
from oros.services.index.marks import Mark
from oros.services.memory.live import Memory
from oros.services.memory.rows import Hit
from oros.services.threads import threaded

SHOWN = 300
"""Characters of a row that a hit shows."""
DEEP = 4
"""Rows that are ranked for each hit that is wanted: those elsewhere are left out."""
MAX_SCANNED = 400
"""Documents of which the lines are looked at for the words as they stand."""


class IndexedFolder:
    """A FileServer over a Folder and its index; all but `search` is the folder's own."""

    def __init__(
        self, folder: Folder, indexer: Indexer, memory: Memory, documents: Documents
    ) -> None:
        self.folder = folder
        self.indexer = indexer
        self._memory = memory
        self._documents = documents
        self.read = folder.read
        self.write = folder.write
        self.list = folder.list
        self.stat = folder.stat
        self.remove = folder.remove

    async def search(self, who: Caller, path: str, query: str, limit: int) -> Outcome:
        """`{"hits": [{"path", "place", "line"?, "text", "score"}], "more", "index"?}`.

        First the lines and cells that hold the query as it stands (score 1), then rows of the index
        by how well they answer it (below 1). `index` says so when it is not complete.
        Raises: NotFound, AccessDenied, Invalid.
        """
        lines = await self.folder.search(who, path, query, limit)
        found: dict[str, Json] = dict(lines.value)
        top, marks = self.folder.spelled(path), self.indexer.marks()
        hits = [
            {"place": f"line {h['line']}", "score": 1.0, **h}
            for h in found["hits"]
            if not rendered(marks.get(spelled(h["path"])))
        ]
        more = bool(found["more"])
        if len(hits) < limit:
            cells, over = await self._cells(top, query, limit - len(hits))
            hits, more = [*hits, *cells], more or over
        if len(hits) < limit:
            ranked, over = await self._ranked(top, query, limit - len(hits), hits)
            hits, more = [*hits, *ranked], more or over
        value: dict[str, Any] = {"hits": hits, "more": more}
        status = self.indexer.status()
        if status["state"] != "ready":
            why = f": {status['why']}" if "why" in status else ""
            value["index"] = f"{status['state']}, {status['left']} files left{why}"
        return Outcome(value, label=lines.label | self.folder.label_of({h["path"] for h in hits}))

    async def _cells(self, top: str, query: str, limit: int) -> tuple[list[dict[str, Any]], bool]:
        """Lines of documents, and cells of sheets, that hold the query."""
        marks = self.indexer.marks()
        paths = [p for p in sorted(marks) if rendered(marks[p]) and below(p, top)]

        def work() -> list[dict[str, Any]]:
            hits: list[dict[str, Any]] = []
            for path in paths[:MAX_SCANNED]:
                known = self._documents.known(marks[path].hash)
                if isinstance(known, Read):
                    hits += [
                        {"path": show(path), "place": place, "text": text, "score": 1.0}
                        for place, text in exact(known.pages, query, limit - len(hits))
                    ]
                if len(hits) >= limit:
                    break
            return hits

        return await threaded(work), len(paths) > MAX_SCANNED

    async def _ranked(
        self, top: str, query: str, limit: int, had: list[dict[str, Any]]
    ) -> tuple[list[dict[str, Any]], bool]:
        scope = [self.indexer.scope]
        want = DEEP * (limit + len(had))
        found = await self._memory.search(scope, query, tokens=want * 1000, limit=want)
        inside = [h for h in found.hits if below(spelled(h.kept.source), top)]
        best = max((h.score for h in inside), default=1.0) or 1.0
        seen = {(h["path"], h["place"]) for h in had}
        hits = [shown(h, best) for h in inside]
        hits = [h for h in hits if (h["path"], h["place"]) not in seen]
        return hits[:limit], len(hits) > limit or found.more


def rendered(mark: Mark | None) -> bool:
    """Whether a file's text is another than its bytes: its lines are not what a person sees."""
    return mark is not None and mark.rows > 0 and mark.kind not in PLAIN


def below(path: str, top: str) -> bool:
    """Whether a path is a file or folder, or lies in it."""
    return not top or path == top or path.startswith(f"{top}/")


def shown(hit: Hit, best: float) -> dict[str, Any]:
    """A row as a hit: `score` of the best is just below that of a line that holds the words."""
    row = hit.kept.row
    text = row.text if len(row.text) <= SHOWN else f"{row.text[:SHOWN]}…"
    value: dict[str, Any] = {"path": hit.kept.source, "place": row.place}
    if row.place.startswith("line "):
        value["line"] = int(row.place.split()[1])
    return value | {"text": text, "score": round(0.99 * hit.score / best, 4)}
