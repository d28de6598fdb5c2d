"""All folders that processes work in, and what a person asks of their changes there.

/proc/PID/diff       what a process has changed and is not in the folder, as a unified diff
/proc/PID/layers     its layers: which call made each, where it stands; written to, it acts:
{"do": "commit" | "discard" | "undo" | "redo", "to": SEQ, "force": true}
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from oros.abi.errors import AccessDenied, Invalid, NotFound
from oros.abi.ids import PERSON, Pid
from oros.abi.message import Json
from oros.abi.ports import Caller
from oros.services.files.faults import explained
from oros.services.files.folder import Texts
from oros.services.files.labels import Settings
from oros.services.files.names import show
from oros.services.layers.change import Change, Record
from oros.services.layers.diff import text_of
from oros.services.layers.held import runs_later
from oros.services.layers.tree import remove_tree
from oros.services.layers.workspace import Origin, Reviewed, Workspace
from oros.services.threads import T, threaded

KEPT_SECONDS = 30 * 86400.0
"""How long a change can be undone: what it replaced takes room on the disk."""

ACTS = ("commit", "discard", "undo", "redo")


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be done with the changes of a process.

    `to`: undo all that came after this event of its journal; None is the last change. `force` also
    takes the place of what the user changed; `held` also brings in what would run later.
    """

    do: str
    to: int | None = None
    force: bool = False
    held: bool = False

    @classmethod
    def read(cls, data: bytes) -> "Request":
        """Raises: Invalid."""
        try:
            found = json.loads(data)
            made = cls(**found)
        except (ValueError, TypeError) as e:
            raise Invalid(f"no act on layers: {e}", f'{{"do": {" | ".join(ACTS)}}}') from e
        if made.do not in ACTS or not (made.to is None or isinstance(made.to, int)):
            raise Invalid(f"no act on layers: {made.do!r}", " ".join(ACTS))
        return made


class Workspaces:
    """The folders, each once."""

    def __init__(
        self,
        settings: Settings,
        home: Path,
        origin: Origin = lambda _: None,
        copies: Callable[[Pid], Iterable[Pid]] = lambda _: (),
        own: Path | None = None,
    ) -> None:
        """`home`: where layers are kept; `copies`: the processes that were forked from one.

        `own`: the machine's own folder, which no process sees.
        """
        self._settings = settings
        self._home = home
        self.origin, self.own = origin, own
        self.documents: Texts | None = None
        self._copies = copies
        self._spaces: dict[Path, Workspace] = {}

    def space(self, folder: Path) -> Workspace:
        """The workspace of a folder. Raises: NotFound, AccessDenied."""
        found = self._spaces.get(folder)
        if found is None:
            found = self._spaces[folder] = Workspace(folder, self._settings, self._home, self)
        return found

    def reviewed(self, folder: Path) -> Reviewed:
        """The same for processes whose changes wait for the person."""
        return Reviewed(self.space(folder))

    def note(self, pid: Pid, folder: Path) -> None:
        """A process makes a change in a folder."""
        known = self._folders(pid)
        if str(folder) not in known:
            self._settings.put_setting(f"folders:{pid}", json.dumps([*known, str(folder)]))

    def _folders(self, pid: Pid) -> list[str]:
        """Where a process has changes: a copy also where its original had some."""
        found = [str(f) for f in json.loads(self._settings.get_setting(f"folders:{pid}") or "[]")]
        source = self.origin(pid)
        return found if source is None else list(dict.fromkeys([*found, *self._folders(source[0])]))

    def of(self, pid: Pid) -> list[Workspace]:
        """The workspaces that a process has changes in. Raises: NotFound if a folder is gone."""
        return [self.space(Path(folder)) for folder in self._folders(pid)]

    async def won(self, pid: Pid) -> bool:
        """Whether changes of a process are in a folder. Raises: NotFound if a folder is gone."""

        def work(space: Workspace) -> bool:
            return any(c.rooms and c.state == "live" for c in space.stack(pid).changes)

        return any(await self._each(pid, work))

    async def _each(self, pid: Pid, work: Callable[[Workspace], T]) -> list[T]:
        """Look at what a process has in its folders, while nobody else works on it."""
        found: list[T] = []
        for space in self.of(pid):
            async with space.lock:
                found.append(await threaded(partial(work, space)))
        return found

    def sweep(self, now: float) -> list[str]:
        """Forget changes of which nothing waits and that were made long ago; the stacks' names.

        They are in the folder then, and can't be undone any more. `now`: seconds since 1970.
        """
        gone: list[str] = []
        for place in sorted(self._home.iterdir()) if self._home.exists() else ():
            key = f"layers:{place.name}"
            try:
                record = Record.read(json.loads(self._settings.get_setting(key) or "{}"))
            except (ValueError, KeyError, TypeError):
                continue  # not ours to judge; who asks for it is told
            last = max((c.at for c in record.changes), default=0) / 1e9
            waits = record.doing is not None or any(c.waits for c in record.changes)
            if not waits and last < now - KEPT_SECONDS and not any(place.glob("*.of-*")):
                remove_tree(place)
                self._settings.put_setting(key, json.dumps(Record().plain()))
                gone.append(place.name)
        return gone

    # ---- for people ----------------------------------------------------------------------------

    async def diff(self, pid: Pid) -> str:
        """What a process has changed and is not in the folder."""

        def work(space: Workspace) -> str:
            return text_of(space.base, space.stack(pid).seen())

        return "".join(await self._each(pid, work))

    async def layers(self, pid: Pid) -> list[Json]:
        """The changes of a process, oldest first."""

        def work(space: Workspace) -> list[Json]:
            return [row(space, pid, change) for change in space.stack(pid).changes]

        return [found for rows in await self._each(pid, work) for found in rows]

    async def act(self, who: Caller, pid: Pid, request: Request) -> Mapping[str, Json]:
        """Commit, discard, undo or redo; what was done, and what could not be and why.

        `left`: the changes that an undo did not take back.

        Raises: AccessDenied for any but the person, NotFound if there is nothing to do it to.
        """
        if who.pid != PERSON:
            raise AccessDenied("only the person commits and undoes", "ask for it")
        done: list[Json] = []
        waits: dict[str, str] = {}
        live = 0
        for space in self.of(pid):
            async with space.lock:
                with explained(str(space.base.path), root=True):
                    for copy in self._copies(pid):  # before it is too late to see what waited
                        space.stack(copy)
                    some, left = await threaded(partial(perform, space, pid, request))
            done += some
            waits |= left
            live += sum(c.state == "live" for c in space.stack(pid).changes)
        if not done and not waits:
            raise NotFound(f"process {pid} has nothing to {request.do}", f"oros diff {pid}")
        found = {"done": done, "waits": {show(p): why for p, why in waits.items()}}
        return found | ({"left": live} if request.do == "undo" and live else {})


def perform(space: Workspace, pid: Pid, request: Request) -> tuple[list[Json], dict[str, str]]:
    """Act on one folder's changes: what was done, what was not and why."""
    stack = space.stack(pid)
    match request.do:
        case "commit":
            before = sorted(stack.seen())
            held = anything if request.held or request.force else runs_later
            since = before_of(stack.changes)
            waits = space.settle(pid, since, held, force=request.force)
            return [show(p) for p in before if p not in stack.seen()], waits
        case "discard":
            return [show(p) for p in stack.discard()], {}
        case "undo":
            return undo(space, pid, request.to)
        case _:
            return redo(space, pid)


def anything(_: str) -> str:
    """Nothing waits for a further word."""
    return ""


def undo(space: Workspace, pid: Pid, to: int | None) -> tuple[list[Json], dict[str, str]]:
    """Undo the last change, or all after an event, the last first."""
    stack = space.stack(pid)
    live = [c for c in stack.changes if c.state == "live"]
    chosen = live[-1:] if to is None else [c for c in live if c.seq > to]
    waits: dict[str, str] = {}
    for change in reversed(chosen):
        waits |= stack.undo(change)
    return [row(space, pid, c) for c in reversed(chosen)], waits


def redo(space: Workspace, pid: Pid) -> tuple[list[Json], dict[str, str]]:
    """Do again what was undone last."""
    stack = space.stack(pid)
    undone = [c for c in stack.changes if c.state == "undone"]
    if not undone:
        return [], {}
    waits = stack.redo(undone[0], undone[0].at)
    return [row(space, pid, undone[0])], waits


def before_of(changes: list[Change]) -> int:
    """From when on changes in the folder are the user's, for layers that wait: the first one's."""
    return min((c.since for c in changes if c.waits), default=0)


def row(space: Workspace, pid: Pid, change: Change) -> dict[str, Json]:
    """A change as `oros diff -o json` shows it."""
    layer = space.stack(pid).layer(change)
    paths = [p for p, e in layer.entries.items() if p not in change.same and e.what != "dir"]
    state = "undone"
    if change.state == "live":
        state = "waits" if change.pending is None else "in part" if change.pending else "in"
    return {
        "layer": change.number,
        "seq": change.seq,
        "state": state,
        "at": change.at / 1e9,
        "folder": str(space.base.path),
        "paths": [show(p) for p in paths[:100]],
        "count": len(paths),
        "waits": {show(p): w for p, w in (change.pending or {}).items()},
    }
