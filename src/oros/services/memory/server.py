"""`/mem`: memory as files. To write is to remember, to search is to recall, to remove is to forget.

    /mem/self/NAME      what this process remembers; a fork sees what was there at the fork, too
    /mem/user/NAME      what all processes of the user share
    /mem/app/NAME       what the processes of one app share
    /mem/always/NAME    what stands before every later process; only the user's own words

The person sees all, others' under `process/PID` and `app/APP`. What is read carries the labels that
it was written under. What a process trusts more than the writer, the writer can't replace.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from oros.abi.errors import AccessDenied, Invalid, NotFound, OrosError, TooBig
from oros.abi.ids import PERSON, Pid
from oros.abi.labels import USER, Integrity, Label, join
from oros.abi.message import Json, Message, TextPart, say
from oros.abi.ports import Caller, Clock
from oros.abi.syscalls import Outcome
from oros.paging.context import Page, size
from oros.paging.find import ENOUGH, search, terms
from oros.services.memory.live import Memory
from oros.services.memory.pieces import pieces
from oros.services.memory.rows import Kept, Kind, Row, label_plain

MOST = 1 << 20
"""Bytes of one note."""
MOST_HITS = 8
"""Notes that are looked at for what a process was not told to look for."""
REMEMBERED = "Remembered from before:"
RECALLED = 4000
"""Tokens that a search gives at most."""
STANDING = 8000
"""Characters of what stands before every process."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a process is. `app` is "" for none; `forked`: from which process, and when.

    `forked` begins with the nearest, and goes back to the first; times are seconds since 1970.
    """

    pid: Pid
    app: str = ""
    forked: tuple[tuple[Pid, float], ...] = ()


Whose = Callable[[Pid], Owner]
Ended = Callable[[Pid, Pid], tuple[str, Label]]
"""What a finished process came to, for a reader: `/mem/ended/PID`. Raises: NotFound."""


def nothing_ended(_: Pid, pid: Pid) -> tuple[str, Label]:
    """Where nobody notes what processes came to."""
    raise NotFound(f"/mem/ended/{pid}: no such place", "there are self, user, app and always")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a path leads: a scope, its folder `at`, and a source in it, "" for all of it."""

    at: str
    scope: str
    source: str


class MemoryServer:
    """The FileServer of `/mem`.

    `whose` tells whose a process is; `secret` whether a text holds the value of a secret.
    """

    def __init__(
        self,
        memory: Memory,
        clock: Clock,
        whose: Whose,
        secret: Callable[[str], bool],
        ended: Ended = nothing_ended,
    ) -> None:
        self._memory = memory
        self._clock = clock
        self._whose = whose
        self._secret = secret
        self._ended = ended

    # ---- who sees what -------------------------------------------------------------------------

    def _scopes(self, who: Caller) -> dict[str, tuple[str, float]]:
        """Scopes that a caller sees, with their folders and until when a row of it may be."""
        ever = float("inf")
        if who.pid == PERSON:
            return {s: (folder_of(s), ever) for s in self._memory.store.scopes() if folder_of(s)}
        owner = self._whose(who.pid)
        found = {
            f"process:{owner.pid}": ("self", ever),
            "user": ("user", ever),
            "always": ("always", ever),
        }
        if owner.app:
            found[f"app:{owner.app}"] = ("app", ever)
        limit = ever
        for pid, at in owner.forked:
            limit = min(limit, at)
            found[f"process:{pid}"] = ("self", limit)
        return found

    def _place(self, who: Caller, path: str) -> Place:
        """Where a path leads. Raises: NotFound, AccessDenied."""
        head, _, rest = path.strip("/").partition("/")
        if head in ("user", "always"):
            return Place(head, head, rest)
        if who.pid == PERSON and head in ("app", "process"):
            name, _, rest = rest.partition("/")
            if name:
                return Place(f"{head}/{name}", f"{head}:{name}", rest)
        elif who.pid != PERSON and head == "self":
            return Place("self", f"process:{who.pid}", rest)
        elif who.pid != PERSON and head == "app":
            if app := self._whose(who.pid).app:
                return Place("app", f"app:{app}", rest)
            raise NotFound("/mem/app: this process belongs to no app", "use /mem/self or /mem/user")
        elif head == "process":
            raise AccessDenied(f"/mem/{path}: another process's memory", "yours is /mem/self")
        raise NotFound(f"/mem/{path}: no such place", "there are self, user, app and always")

    async def _rows(self, who: Caller, place: Place) -> list[Kept]:
        """The rows at a place, in order; of a fork also what it inherited and has not replaced."""
        found: dict[str, list[Kept]] = {}
        for scope, (at, until) in self._scopes(who).items():
            if at != place.at:
                continue
            here: dict[str, list[Kept]] = {}
            for kept in await self._memory.rows(scope):
                if kept.row.at <= until and under(kept.source, place.source):
                    here.setdefault(kept.source, []).append(kept)
            found = here | found
        return [kept for name in sorted(found) for kept in found[name]]

    # ---- calls ---------------------------------------------------------------------------------

    async def read(self, who: Caller, path: str, offset: int, limit: int) -> Outcome:
        """A page of a note, and when and by whom it was written. Raises: NotFound, Invalid."""
        if offset < 0 or limit <= 0:
            raise Invalid("offset must be 0 or more, limit at least 1")
        head, _, name = path.strip("/").partition("/")
        if head == "ended" and name.isdigit():
            text, label = self._ended(who.pid, Pid(int(name)))
            value: dict[str, Json] = {"path": path, "size": len(text), "next": None}
            return Outcome(value, (TextPart(text),), label=who.label | label)
        place = self._place(who, path)
        rows = [k for k in await self._rows(who, place) if k.source == place.source]
        if not place.source or not rows:
            raise NotFound(f"/mem/{path}: nothing is remembered by this name", "list or search")
        data = "".join(k.row.text for k in rows).encode("utf-8", "replace")
        start = border(data, min(offset, len(data)))
        end = border(data, min(start + max(limit, 4), len(data)))
        value = {
            "path": path,
            "size": len(data),
            "offset": start,
            "next": end if end < len(data) else None,
            **told(rows[0]),
        }
        text = data[start:end].decode("utf-8", "replace")
        return Outcome(value, (TextPart(text),), label=who.label | labels(rows))

    async def write(self, who: Caller, path: str, data: bytes) -> Outcome:
        """Remember a text under the caller's label; what had the name is replaced.

        Raises: AccessDenied (a secret, or what is trusted more), Invalid, TooBig, NoSpace.
        """
        place = self._place(who, path)
        text = self._text(who, place, data)
        if place.scope != f"process:{who.pid}":
            self._may_replace(who, await self._memory.rows(place.scope, place.source))
        kind: Kind = "fact" if place.source.startswith("facts/") else "note"
        kind = "always" if place.scope == "always" else kind
        now = self._clock.wall()
        rows = [
            Row(piece, where, kind=kind, label=who.label, by=(who.pid, 0), at=now)
            for where, piece in pieces(text)
        ]
        await self._memory.put(place.scope, place.source, rows)
        return Outcome({"path": path, "size": len(data)}, label=who.label)

    def _text(self, who: Caller, place: Place, data: bytes) -> str:
        """The text of a note that may be kept. Raises: AccessDenied, Invalid, TooBig."""
        if not place.source:
            raise Invalid("a folder can't be written", "name a note in it, as /mem/user/NAME")
        if len(data) > MOST:
            raise TooBig(f"a note has at most {MOST >> 20} MB", "keep it as a file")
        if place.scope == "always" and who.label.integrity < Integrity.USER:
            why = "only the user's own words stand before every process"
            raise AccessDenied(why, "write it to /mem/user, or ask the user to")
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as e:
            raise Invalid("memory keeps text only", "keep it as a file") from e
        if not text.strip():
            raise Invalid("there is nothing to remember", "remove forgets a note")
        if self._secret(text) or self._secret(place.source):
            hint = "name it instead: {{secret:NAME}}"
            raise AccessDenied("this holds the value of a secret, which is never remembered", hint)
        return text

    def _may_replace(self, who: Caller, rows: Iterable[Kept]) -> None:
        """Raises: AccessDenied for what is trusted more than the caller."""
        if any(k.row.label.integrity > who.label.integrity for k in rows):
            why = "what is remembered there is trusted more than what this process has read"
            raise AccessDenied(why, "use another name, or /mem/self")

    async def list(self, who: Caller, path: str, depth: int, head: int, limit: int) -> Outcome:
        """Notes in order of their names; the root shows the folders that the caller sees."""
        if depth < 1 or limit < 1 or head < 0:
            raise Invalid("depth and limit must be at least 1, head 0 or more")
        if not path.strip("/"):
            shown = sorted({at for at, _ in self._scopes(who).values()})
            folders: list[Json] = [{"path": at, "kind": "dir", "size": 0} for at in shown]
            return Outcome({"entries": folders, "more": False}, label=who.label)
        place = self._place(who, path)
        rows = await self._rows(who, place)
        if place.source and not rows:
            raise NotFound(f"/mem/{path}: nothing is remembered by this name", "list or search")
        named: dict[str, list[Kept]] = {}
        for kept in rows:
            named.setdefault(kept.source, []).append(kept)
        entries: list[Json] = [entry(place.at, found, head) for found in named.values()]
        value = {"entries": entries[:limit], "more": len(entries) > limit}
        return Outcome(value, label=who.label | labels(rows))

    async def search(self, who: Caller, path: str, query: str, limit: int) -> Outcome:
        """What answers a query, best first, in one folder or in all that the caller sees.

        Hits are `{"path", "text", "score", "id", "at", "from"}`; `from` is the process.
        """
        if not query.strip() or limit < 1:
            raise Invalid("the query is empty, or the limit below 1")
        seen = self._scopes(who)
        source = ""
        if path.strip("/"):
            place = self._place(who, path)
            source = place.source
            seen = {s: x for s, x in seen.items() if x[0] == place.at}

        def may(kept: Kept) -> bool:
            return kept.row.at <= seen[kept.scope][1] and under(kept.source, source)

        found = await self._memory.search(list(seen), query, tokens=RECALLED, limit=limit, only=may)
        hits: list[Json] = [
            {
                "path": f"{seen[h.kept.scope][0]}/{h.kept.source}",
                "text": h.kept.row.text,
                "score": round(h.score, 4),
                "id": h.kept.id,
                **told(h.kept),
            }
            for h in found.hits
        ]
        label = who.label | labels(h.kept for h in found.hits)
        return Outcome({"hits": hits, "more": found.more}, label=label)

    async def recall(self, pid: Pid, text: str, tokens: int) -> Message | None:
        """What is remembered that has to do with a text, for a process that did not ask for it.

        Only what is trusted as the user's own words: so it changes nothing of what may be done.
        """
        seen = self._scopes(Caller(pid, "", USER))
        if not terms(text) or not seen.keys() & self._memory.store.scopes().keys():
            return None

        def may(kept: Kept) -> bool:
            own = kept.row.label.integrity >= Integrity.USER and kept.row.label.readers is None
            return own and kept.scope != "always" and kept.row.at <= seen[kept.scope][1]

        asked = self._memory.search(list(seen), text, tokens=tokens, limit=MOST_HITS, only=may)
        try:
            found = await asked
        except OrosError:
            return None  # nobody asked for it: who searches is told what is wrong
        pages = [
            Page(n, "turn", say("user", h.kept.row.text, h.kept.row.label), 0, n)
            for n, h in enumerate(found.hits)
        ]
        lines, room = [REMEMBERED], tokens - size(REMEMBERED)
        used = []
        for hit in search(pages, text, MOST_HITS):
            kept = found.hits[hit.page.id].kept
            line = f"[/mem/{seen[kept.scope][0]}/{kept.source}: {hit.text}]"
            if hit.cover >= ENOUGH and size(line) <= room:
                room -= size(line)
                lines.append(line)
                used.append(kept)
        return say("user", "\n".join(lines), labels(used)) if used else None

    async def stat(self, who: Caller, path: str) -> Outcome:
        """`{"path", "kind", "size", "time", "label"}`."""
        place = self._place(who, path)
        if not place.source:
            return Outcome({"path": path, "kind": "dir", "size": 0}, label=who.label)
        rows = [k for k in await self._rows(who, place) if k.source == place.source]
        if not rows:
            raise NotFound(f"/mem/{path}: nothing is remembered by this name", "list or search")
        label = labels(rows)
        value = {**entry(place.at, rows, 0), "time": rows[0].row.at, "label": label_plain(label)}
        return Outcome(value, label=who.label | label)

    async def remove(self, who: Caller, path: str) -> Outcome:
        """Forget a note. Raises: NotFound, AccessDenied for what is trusted more."""
        place = self._place(who, path)
        rows = await self._memory.rows(place.scope, place.source) if place.source else []
        if not rows:
            raise NotFound(f"/mem/{path}: nothing of its own is remembered by this name", "list")
        if place.scope != f"process:{who.pid}":
            self._may_replace(who, rows)
        await self._memory.forget(*(k.id for k in rows))
        return Outcome({"path": path}, label=who.label)


def folder_of(scope: str) -> str:
    """The folder in which the person sees a scope; "" for one that is seen elsewhere."""
    kind, _, name = scope.partition(":")
    if kind in ("user", "always"):
        return kind
    return f"{kind}/{name}" if kind in ("app", "process") else ""


def under(source: str, path: str) -> bool:
    """Whether a source is what a path names, or beneath it."""
    return not path or source == path or source.startswith(path + "/")


def border(data: bytes, at: int) -> int:
    """The nearest place from `at` down that splits no character."""
    while 0 < at < len(data) and data[at] & 0xC0 == 0x80:
        at -= 1
    return at


def labels(rows: Iterable[Kept]) -> Label:
    """The join of rows' labels; of none, that of no data."""
    found = [k.row.label for k in rows]
    return join(found) if found else Label(Integrity.USER)


def told(kept: Kept) -> dict[str, Json]:
    """When a row was written, and by which process."""
    return {"at": kept.row.at, "from": kept.row.by[0]}


def entry(at: str, rows: Sequence[Kept], head: int) -> dict[str, Json]:
    """A note as a listing shows it."""
    text = "".join(k.row.text for k in rows)
    size = len(text.encode("utf-8", "replace"))
    found: dict[str, Json] = {"path": f"{at}/{rows[0].source}", "kind": "file", "size": size}
    if head:
        found["head"] = text[:head]
    return found | told(rows[0])


def standing(rows: Iterable[Kept], most: int = STANDING) -> str:
    """What is put before every process: the notes of the scope `always`, "" if there are none.

    Only the user's own words; what does not fit is left out whole, and said.
    """
    notes: dict[str, str] = {}
    for kept in rows:
        if kept.row.kind == "always" and kept.row.label.integrity >= Integrity.USER:
            notes[kept.source] = notes.get(kept.source, "") + kept.row.text
    lines, left = [], most
    for name, text in sorted(notes.items()):
        line = f"- {name}: {' '.join(text.split())}"
        if len(line) > left:
            lines.append(f"- (more in /mem/always/{name})")
            continue
        left -= len(line)
        lines.append(line)
    return "\n".join(["What the user wants you to know always:", *lines]) if lines else ""
