"""`/proc`: the process table as files. `ps` is `list /proc`, `explain` reads a call's file.

    /proc                       a row for each process
    /proc/PID/status            the row, as JSON
    /proc/PID/context           what stands in its window
    /proc/PID/pages             the pages of its conversation, a line each; search finds words
    /proc/PID/pages/N           one page, whole, also when it left the window
    /proc/PID/calls/cN          one call: intent, verdict, outcome
    /proc/PID/calls/cN/NAME     a part of its outcome: a table, a figure, the whole of long output
    /proc/PID/grants            what it may do on its user's behalf, and what it asks
    /proc/PID/diff, layers      what it changed in folders (see layers/workspaces.py)

A process sees itself and what is below it; the person and pid 1 see all.
"""

import json
from base64 import b64encode
from dataclasses import asdict
from functools import lru_cache

from oros.abi.errors import AccessDenied, NotFound, OrosError, Unsupported
from oros.abi.events import OWNERS, CallReturned
from oros.abi.ids import INIT, PERSON, Pid
from oros.abi.labels import SYSTEM, Label, join
from oros.abi.message import FilePart, ImagePart, Json, TextPart
from oros.abi.ports import Caller
from oros.abi.syscalls import Outcome
from oros.kernel.machine import Machine
from oros.kernel.process import Process
from oros.paging import find
from oros.paging.context import listed, stub
from oros.services.explain import explain, grants
from oros.services.layers.workspaces import Request, Workspaces
from oros.services.races import Races


def row(m: Machine, process: Process) -> dict[str, Json]:
    """A process as `ps` shows it. Times are seconds since 1970; money is micro-dollars."""
    used = process.usage
    return {
        "path": str(process.pid),
        "kind": "process",
        "pid": process.pid,
        "ppid": process.ppid,
        "state": str(process.state),
        "on": process.on,
        "nice": m.effective_nice(process) if process.alive and process.nice else process.nice,
        "program": process.program,
        "model": process.model,
        "home": process.home,
        "goal": process.goal,
        "tokens_in": used.tokens_in,
        "tokens_out": used.tokens_out,
        "cached": used.cached,
        "micros": used.micros,
        "seconds": round(used.seconds, 3),
        "calls": used.calls,
        "started": process.started,
        "changed": process.changed,
        "status": process.status,
        "why": process.why,
        "integrity": int(process.label.integrity),
        "race": process.race,
        "window": owned(process.window),
    }


@lru_cache(1024)
def owned(window: tuple[int, ...]) -> dict[str, Json]:
    """The tokens of a window by whom they are for; many rows share a window."""
    return {o: n for o, n in zip(OWNERS, window, strict=False) if n}


def room(m: Machine, process: Process) -> int:
    """Tokens of its model's window; 0 if that model is not there any more."""
    try:
        return m.world.model(process.model).info.window
    except OrosError:
        return 0


def policy(process: Process) -> dict[str, Json]:
    """What a process may do: the mounts it sees, what a sandbox must hold, its own limits."""
    limits = {k: v for k, v in asdict(process.limits).items() if v is not None}
    mounts = [
        {"at": p.path, "source": p.source, "right": p.right, "needs": list(p.needs)}
        for p in process.mounts
    ]
    return {"mounts": mounts, "limits": limits}


class ProcServer:
    """The FileServer of `/proc`."""

    def __init__(self, machine: Machine, spaces: Workspaces, races: Races) -> None:
        self._m = machine
        self._spaces = spaces
        self._races = races

    def _visible(self, who: Caller, process: Process) -> bool:
        return who.pid <= INIT or self._m.table.is_below(process, who.pid)

    def _find(self, who: Caller, path: str) -> tuple[Process, list[str]]:
        head, _, rest = path.partition("/")
        if not head.isdigit():
            raise NotFound(f"/proc/{head}: not a process id")
        process = self._m.find(Pid(int(head)))
        if not self._visible(who, process):
            raise AccessDenied(f"/proc/{head}: process {head} is not yours")
        return process, [p for p in rest.split("/") if p]

    async def list(self, who: Caller, path: str, depth: int, head: int, limit: int) -> Outcome:
        """All processes at the root, else a process's files.

        With depth 2 those that ended, too; with `head` what each may do.
        """
        m = self._m
        if path:
            process, rest = self._find(who, path)
            if rest == ["pages"]:
                return self._pages(process, limit)
            names = ("status", "context", "pages", "calls", "grants", "diff", "layers")
            files: list[Json] = [{"path": f"{path}/{n}", "kind": "file"} for n in names]
            return Outcome(value={"entries": files, "more": False}, label=SYSTEM)
        rows = [p for p in m.table if p.pid and self._visible(who, p)]
        if depth > 1:
            rows = [p for p in m.done.values() if self._visible(who, p)] + rows
        rows.sort(key=lambda p: p.pid)
        shown: list[Json] = [row(m, p) | (policy(p) if head else {}) for p in rows[:limit]]
        label = join(p.label for p in rows[:limit])  # a goal is the words of whoever started it
        return Outcome(value={"entries": shown, "more": len(rows) > limit}, label=label)

    async def read(self, who: Caller, path: str, offset: int, limit: int) -> Outcome:
        """A file of a process, as text."""
        m = self._m
        process, rest = self._find(who, path)
        match rest:
            case [] | ["status"]:
                shown = row(m, process) | policy(process) | {"room": room(m, process)}
                text = json.dumps(shown, indent=1)
            case ["grants"]:
                text = json.dumps(grants(self._m, process), indent=1, ensure_ascii=False)
            case ["context"]:
                image = m.journal.peek(process.pid)
                text = "\n\n".join(f"[{x.role}] {x.text}" for x in image.context.window())
            case ["pages", *number]:
                text = self._page(process, "/".join(number))
            case ["calls", call]:
                text = json.dumps(explain(self._m, process, call), indent=1, ensure_ascii=False)
            case ["calls", call, name]:
                part, data = self._part(process, call, name)
                if not part.mime.startswith("text/"):
                    return picture(who, path, part, data, process.label)
                text = data.decode("utf-8", "replace")
            case ["diff"]:
                text = await self._spaces.diff(process.pid)
            case ["layers"]:
                text = json.dumps(await self._spaces.layers(process.pid), indent=1)
            case _:
                names = "status context pages/N calls/cN diff layers"
                raise NotFound(f"/proc/{path}: no such file", names)
        cut = text[offset : offset + limit]
        after = offset + limit if offset + limit < len(text) else None
        value = {"path": path, "size": len(text), "offset": offset, "next": after}
        return Outcome(value=value, parts=(TextPart(cut),), label=process.label)

    def _part(self, process: Process, call: str, name: str) -> tuple[FilePart | ImagePart, bytes]:
        """A part of an outcome, and what is in it. Raises: NotFound."""
        there = []
        for fact in self._m.journal.facts(process.pid):
            if isinstance(fact.event, CallReturned) and fact.event.id == call:
                there = [p for p in fact.event.outcome.parts if isinstance(p, FilePart | ImagePart)]
        found = next((p for p in there if name_of(p) == name), None)
        if found is None:
            names = " ".join(map(name_of, there)) or "none"
            raise NotFound(f"call {call} of process {process.pid} has no part {name}", names)
        return found, self._m.world.store.get_blob(found.blob)

    def _pages(self, process: Process, limit: int) -> Outcome:
        pages = self._m.journal.peek(process.pid).context.pages
        rows: list[Json] = [
            {
                "path": f"{process.pid}/pages/{p.id}",
                "kind": "file",
                "size": len(p.message.text),
                "resident": p.resident,
                "head": stub(p),
            }
            for p in pages[-limit:]
        ]
        return Outcome({"entries": rows, "more": len(pages) > limit}, label=process.label)

    def _page(self, process: Process, number: str) -> str:
        pages = self._m.journal.peek(process.pid).context.pages
        if not number:
            return "\n".join(map(stub, pages))
        if not number.isdigit() or int(number) >= len(pages):
            raise NotFound(f"process {process.pid} has pages 0 to {len(pages) - 1}")
        return f"[{pages[int(number)].message.role}] {listed(pages[int(number)].message)}"

    async def stat(self, who: Caller, path: str) -> Outcome:
        """The row of a process."""
        if not path:
            return Outcome(value={"path": "", "kind": "dir", "size": len(self._m.table)})
        process, _ = self._find(who, path)
        return Outcome(value=row(self._m, process), label=process.label)

    async def write(self, who: Caller, path: str, data: bytes) -> Outcome:
        """Only `PID/layers`: commit, discard, undo, redo. Else processes are changed by calls."""
        process, rest = self._find(who, path)
        if rest != ["layers"]:
            raise Unsupported(f"/proc/{path} can't be written", "use kill, nice or send")
        request = Request.read(data)
        if request.do not in ("commit", "redo"):
            value = await self._spaces.act(who, process.pid, request)
        else:
            async with self._races.one(process, force=request.force) as lost:
                value = await self._spaces.act(who, process.pid, request)
            value = {**value, "lost": lost}
        return Outcome(value=value, label=SYSTEM)

    async def search(self, who: Caller, path: str, query: str, limit: int) -> Outcome:
        """Processes whose goal contains the query; below `PID/pages`, pages that hold its words."""
        if path:
            process, rest = self._find(who, path)
            if rest[:1] != ["pages"]:
                raise Unsupported(f"/proc/{path} can't be searched", "search /proc/self/pages")
            context = self._m.journal.peek(process.pid).context
            pages = context.gone() if who.pid == process.pid else context.pages
            best = find.search(pages, query, limit + 1)
            rows: list[Json] = [
                {"path": f"{process.pid}/pages/{h.page.id}", "line": 1, "text": h.text}
                for h in best
            ]
            value = {"hits": rows[:limit], "more": len(rows) > limit}
            return Outcome(value=value, label=process.label)
        found = [p for p in self._m.table if self._visible(who, p)]
        hits: list[Json] = [
            {"path": f"{p.pid}/status", "line": 1, "text": p.goal}
            for p in found
            if query.lower() in p.goal.lower()
        ]
        label = join(p.label for p in found)
        return Outcome(value={"hits": hits[:limit], "more": len(hits) > limit}, label=label)

    async def remove(self, who: Caller, path: str) -> Outcome:  # noqa: ARG002
        """Not by files."""
        raise Unsupported("/proc can't be written", "use kill")


def name_of(part: FilePart | ImagePart) -> str:
    """How a part is called; a picture by what stands for it."""
    return part.name if isinstance(part, FilePart) else part.alt


def picture(
    who: Caller, path: str, part: FilePart | ImagePart, data: bytes, label: Label
) -> Outcome:
    """A part that is not text: its bytes for the person, the part itself for a model that sees."""
    value: dict[str, Json] = {"path": path, "size": len(data), "kind": part.mime, "next": None}
    if who.pid == PERSON:
        value["base64"] = b64encode(data).decode()
    return Outcome(value, (part,), label=label)
