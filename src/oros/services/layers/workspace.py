"""A folder of the host as processes see it, each through its own changes; the person sees it bare.

A call's changes become a layer; it comes into the folder at once unless they are to be reviewed.
What the user changed meanwhile, and what would run later, waits in the layer and is named.
"""

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from oros.abi.errors import AccessDenied, Invalid, OrosError
from oros.abi.ids import PERSON, Pid, Seq
from oros.abi.labels import Label, foreign
from oros.abi.message import Json
from oros.abi.ports import Caller
from oros.abi.syscalls import Outcome
from oros.services.files import marks
from oros.services.files.faults import explained
from oros.services.files.folder import Folder, Texts
from oros.services.files.labels import Labels, Settings
from oros.services.files.names import show
from oros.services.files.resolve import Root
from oros.services.layers.change import Change
from oros.services.layers.fill import Fill, removed, written
from oros.services.layers.held import runs_later
from oros.services.layers.stack import Stack
from oros.services.threads import threaded

Origin = Callable[[Pid], tuple[Pid, Seq] | None]
"""Whose changes, as of which event of that one's journal, a process began with."""


class Registry(Protocol):
    """Told which folders a process has changes in; knows which processes are copies."""

    origin: Origin
    own: Path | None
    documents: Texts | None

    def note(self, pid: Pid, folder: Path) -> None:
        """A process has a first change in a folder."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a call's changes. `waits`: paths that are not in the folder, and why.

    `fault`: why none of them could be brought into it.
    """

    change: Change | None
    waits: Mapping[str, str]
    fault: OrosError | None = None


class Workspace:
    """One folder of the host; a FileServer."""

    def __init__(self, folder: Path, settings: Settings, home: Path, registry: Registry) -> None:
        """`home`: where layers are kept. Raises: NotFound, AccessDenied for the folder."""
        self.base = Root(folder)
        self.base.hidden = hidden(self.base.path, registry.own)
        self.labels = Labels(settings, self.base.path)
        self._texts = registry.documents
        self._plain = Folder.on(self.base, self.labels, self._texts)
        self._settings = settings
        self._home = home
        self._registry = registry
        self._mark = sha256(os.fsencode(self.base.path)).hexdigest()[:12]
        self._stacks: dict[Pid, Stack] = {}
        self.lock = asyncio.Lock()

    # ---- the changes of a process --------------------------------------------------------------

    def stack(self, pid: Pid) -> Stack:
        """The changes of a process to this folder; what a crash cut is settled first."""
        found = self._stacks.get(pid)
        if found is None:
            found = Stack(self._home, self._settings, f"{pid}-{self._mark}", self.base)
            with explained(str(self.base.path), root=True):
                found.recover()
                source = self._registry.origin(pid) if found.fresh else None
                if source is not None:
                    found.inherit(self.stack(source[0]), source[1])
                    self._share_labels(found, self.scoped(source[0]), self.scoped(pid))
            self._stacks[pid] = found
        return found

    @staticmethod
    def _share_labels(stack: Stack, theirs: Labels, own: Labels) -> None:
        for path, seen in stack.seen().items():
            if seen.entry.what == "file":
                theirs.share(path, seen.layer.root.lstat(path), own)

    def scoped(self, pid: Pid) -> Labels:
        """The labels of files that are only in a process's layers."""
        return Labels(self._settings, self.base.path, f"{pid}/")

    def changed(self, pid: Pid) -> bool:
        """Whether a process sees anything else than what is in the folder."""
        return pid != PERSON and bool(self.stack(pid).seen())

    def sight(self, pid: Pid) -> Folder:
        """The folder as a process sees it, to read."""
        stack = self.stack(pid)
        if not stack.seen():
            return self._plain
        return Folder.on(stack.view(), Sight(self.labels, self.scoped(pid), stack), self._texts)

    async def take(
        self,
        who: Caller,
        fill: Callable[[Stack], Fill],
        *,
        review: bool,
        note: Callable[[Stack, Change], str] | None = None,
    ) -> Taken:
        """Make a layer of what a call changed, and bring it into the folder if it may.

        A call that is made again after a crash finds the layer that it made. `note` gives the blob
        of what the call came to, before anything is in the folder; then the layer waits if it can't
        be brought there. Without one there is no layer of a call that fails. Raises: OrosError.
        """
        seq = int(who.key.rpartition(":")[2] or 0) if who.key.rpartition(":")[2].isdigit() else 0

        def work() -> Taken:
            _ = self.base.live  # once for all that follows
            stack = self.stack(who.pid)
            change = stack.find(who.key)
            if change is None:
                self._registry.note(who.pid, self.base.path)
                change = stack.add(who.key, seq, fill(stack), since_of(who))
                if change is not None and note is not None:
                    stack.note(change, note(stack, change))
            if change is None:
                return Taken(None, {})
            if review or reviewed(who.label):
                return Taken(change, dict(change.pending or {}))
            taken = self.brought(who, change)
            if taken.fault and note is None:
                stack.drop(change)
                raise taken.fault
            return taken

        async with self.lock:
            with explained(str(self.base.path), root=True):
                return await threaded(work)

    def brought(self, who: Caller, change: Change) -> Taken:
        """Bring a call's changes into the folder, after those that wait before them."""
        try:
            with explained(str(self.base.path), root=True):
                self.settle(who.pid, since_of(who))
        except OrosError as e:
            return Taken(change, {}, e)
        return Taken(change, dict(change.pending or {}))

    def settle(
        self, pid: Pid, since: int, held: Callable[[str], str] = runs_later, *, force: bool = False
    ) -> dict[str, str]:
        """Bring what waits into the folder, with its labels; what could not come, and why."""
        stack = self.stack(pid)
        before, over = dict(stack.seen()), self.scoped(pid)
        for path in before:
            over.announce(path, self.labels)
        try:
            return stack.commit(since, held, force=force)
        finally:
            after = stack.seen()
            for path in before.keys() - after.keys():
                over.hand(path, self.base.found(path), self.labels)

    # ---- the file server -----------------------------------------------------------------------

    async def read(self, who: Caller, path: str, offset: int, limit: int) -> Outcome:
        """As Folder.read, of what the caller sees."""
        return await self._seen(who).read(who, path, offset, limit)

    async def list(self, who: Caller, path: str, depth: int, head: int, limit: int) -> Outcome:
        """As Folder.list."""
        return await self._seen(who).list(who, path, depth, head, limit)

    async def search(self, who: Caller, path: str, query: str, limit: int) -> Outcome:
        """As Folder.search."""
        return await self._seen(who).search(who, path, query, limit)

    async def stat(self, who: Caller, path: str) -> Outcome:
        """As Folder.stat."""
        return await self._seen(who).stat(who, path)

    async def write(self, who: Caller, path: str, data: bytes, *, review: bool = False) -> Outcome:
        """As Folder.write, in a layer; `waits` says why it is not in the folder yet."""
        if who.pid == PERSON:
            return await self._plain.write(who, path, data)
        path = self._seen(who).spelled(path)
        if not path:
            raise Invalid("a folder can't be written", "name a file in it")

        def fill(stack: Stack) -> Fill:
            made = written(stack.view(), path, data)

            def labelled(place: Path) -> list[str]:
                self.scoped(who.pid).expect(path, who.label)
                left = made(place)
                marks.put(place / path, who.label)
                self.scoped(who.pid).keep(path, Root(place).lstat(path), who.label)
                return left

            return labelled

        taken = await self.take(who, fill, review=review)
        return Outcome({"path": show(path), "size": len(data)} | told(taken), label=who.label)

    async def remove(self, who: Caller, path: str, *, review: bool = False) -> Outcome:
        """As Folder.remove, in a layer."""
        if who.pid == PERSON:
            return await self._plain.remove(who, path)
        path = self._seen(who).spelled(path)
        if not path:
            raise AccessDenied("a mounted folder can't be removed", "remove what is in it")
        taken = await self.take(who, lambda s: removed(s.view(), path), review=review)
        return Outcome({"path": show(path)} | told(taken), label=who.label)

    def _seen(self, who: Caller) -> Folder:
        _ = self.base.live
        return self._plain if who.pid == PERSON else self.sight(who.pid)


class Reviewed:
    """A Workspace whose processes' changes all wait for the person; a FileServer."""

    def __init__(self, space: Workspace) -> None:
        self.space = space
        self.read, self.list = space.read, space.list
        self.search, self.stat, self.changed = space.search, space.stat, space.changed

    async def write(self, who: Caller, path: str, data: bytes) -> Outcome:
        """As the workspace's."""
        return await self.space.write(who, path, data, review=True)

    async def remove(self, who: Caller, path: str) -> Outcome:
        """As the workspace's."""
        return await self.space.remove(who, path, review=True)


class Sight:
    """Labels of a folder under a process's changes; only to look."""

    def __init__(self, base: Labels, over: Labels, stack: Stack) -> None:
        self._base = base
        self._over = over
        self._stack = stack

    def of(self, path: str, status: os.stat_result) -> Label:
        """The label of a file, where it really is."""
        return (self._over if path in self._stack.seen() else self._base).of(path, status)

    def within(self, path: str = "") -> Label:
        """The label of what may hold anything of any file beneath a folder."""
        return self._base.within(path) | self._over.within(path)

    def expect(self, path: str, label: Label) -> None:
        """Nothing is written through a sight."""

    def keep(self, path: str, status: os.stat_result, label: Label) -> None:
        """Nothing is written through a sight."""

    def drop(self, path: str) -> None:
        """Nothing is removed through a sight."""


def hidden(folder: Path, own: Path | None) -> str:
    """Where the machine's own folder lies beneath one, "" if it does not. Raises: AccessDenied.

    Its keys and journals are no process's business, so that one is no folder to work in.
    """
    if own is None:
        return ""
    own = own.resolve()
    if folder == own or own in folder.parents:
        raise AccessDenied(f"{show(str(folder))} is the machine's own", "use another folder")
    return str(own.relative_to(folder)) if folder in own.parents else ""


def reviewed(label: Label) -> bool:
    """Whether the changes of a process with this label wait for the person."""
    return bool(foreign(label))


def since_of(who: Caller) -> int:
    """From when on a change in the folder is the user's: nanoseconds since 1970."""
    return int(who.since * 1e9)


def told(taken: Taken) -> dict[str, Json]:
    """What a caller is told of its changes: which layer they are, what waits and why."""
    if taken.change is None:
        return {}
    value: dict[str, Json] = {"layer": taken.change.number}
    if taken.fault:
        value["waits"] = f"all that is not in the folder: {taken.fault}"
    elif taken.change.pending is None:
        value["waits"] = "all of it, for a review"
    elif taken.waits:
        value["waits"] = {show(p): w for p, w in list(taken.waits.items())[:20]}
    return value
