"""What has to be done to a folder so that a layer is in it, and what must not be touched.

A plan is made from looks only. A path that is no longer as the layer's maker knew it is the user's:
it is a conflict, and stays as it is with all that lies in it.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from oros.abi.message import Json
from oros.services.files.entry import kind_of
from oros.services.files.names import show
from oros.services.files.resolve import Root
from oros.services.files.walk import walk
from oros.services.layers.alike import unchanged
from oros.services.layers.compose import above
from oros.services.layers.tree import Entry, Layer


class Stamp(NamedTuple):
    """By what a file is known again: whoever changes it can't set its ctime back."""

    kind: str
    inode: int
    size: int
    mtime: int
    ctime: int
    mode: int

    @classmethod
    def of(cls, status: os.stat_result) -> "Stamp":
        """The stamp of a status."""
        kind = kind_of(status.st_mode)
        size = 0 if kind == "dir" else status.st_size
        times = status.st_mtime_ns, status.st_ctime_ns
        return cls(kind, status.st_ino, size, *times, status.st_mode)

    def same(self, other: "Stamp") -> bool:
        """Equal but for the ctime, which a further name changes."""
        return self._replace(ctime=0) == other._replace(ctime=0)


Known = Mapping[str, Stamp | None]
"""Paths as they were seen or left; None is nothing there."""

Do = Literal["drop", "rmdir", "make", "put", "set"]


@dataclass(frozen=True, slots=True)
class Step:
    """One act on a path. `number` names what was staged; `was` is what it takes the place of."""

    do: Do
    path: str
    number: int = 0
    was: Stamp | None = None
    mode: int = 0
    mtime: int = 0

    def plain(self) -> list[Json]:
        """As JSON."""
        was = None if self.was is None else list(self.was)
        return [self.do, self.path, self.number, was, self.mode, self.mtime]

    @classmethod
    def read(cls, data: list[Json]) -> "Step":
        """From JSON."""
        do, path, number, was, mode, mtime = data
        return cls(do, path, number, None if was is None else Stamp(*was), mode, mtime)


@dataclass(slots=True)
class Plan:
    """Steps in their order, and what is left alone: path -> why."""

    steps: list[Step] = field(default_factory=list)
    conflicts: dict[str, str] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)
    """The paths of the layer that will be in the folder."""


def plan(
    target: Root, layer: Layer, known: Known, since: int, wanted: Callable[[str], bool]
) -> Plan:
    """How `layer` comes into `target`.

    Args:
        target: the folder.
        layer: what is to be in it.
        known: paths as the layer's maker saw them, or as we left them ourselves.
        since: nanoseconds since 1970; what changed from then on and is not known is the user's.
        wanted: paths that take part; folders above them do anyway.

    Raises: OSError.
    """
    return _Planner(target, layer, known, since).run(wanted)


class _Planner:
    def __init__(self, target: Root, layer: Layer, known: Known, since: int) -> None:
        self._target = target
        self._layer = layer
        self._known = known
        self._since = since
        self._plan = Plan()
        self._number = 0

    def run(self, wanted: Callable[[str], bool]) -> Plan:
        shut: set[str] = set()
        last: list[Step] = []
        ways = {way for path in self._layer.entries if wanted(path) for way in above(path)}
        for path, entry in self._layer.entries.items():
            around = path.rpartition("/")[0]
            if around in shut or not (wanted(path) or path in ways):
                shut.add(path)
                if around in self._plan.conflicts:
                    self._plan.conflicts[path] = self._plan.conflicts[around]
                continue
            try:
                now = self._now(path)
            except OSError as e:
                self._refuse(path, f"it can't be reached: {e.strerror}")
                continue
            if self._is_so(path, entry, now):
                self._plan.done.append(path)
            elif why := self._theirs(path, entry, now):
                self._refuse(path, why)
                if entry.what != "dir":
                    continue
                shut.add(path)
            else:
                self._steps(path, entry, now)
                self._plan.done.append(path)
                if entry.what == "dir":
                    last += self._meta(path, entry.mode, entry.mtime, now)
        top = self._layer.top()
        mode = stat.S_IMODE(top.st_mode)
        last += self._meta("", mode, top.st_mtime_ns, os.fstat(self._target.fd))
        self._plan.steps += sorted(last, key=lambda s: s.path.count("/") + bool(s.path))[::-1]
        return self._plan

    def _is_so(self, path: str, entry: Entry, now: os.stat_result | None) -> bool:
        """Whether it is as wanted, whoever did it: a copy of the process, or the user."""
        if now is None or entry.what == "gone":
            return now is None and entry.what == "gone"
        return entry.what != "dir" and unchanged(self._layer, path, self._target)

    def _refuse(self, path: str, why: str) -> None:
        self._plan.conflicts[path] = why

    def _now(self, path: str) -> os.stat_result | None:
        try:
            return self._target.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as e:
            if e.errno == errno.ELOOP and self._replaced(path):
                return None  # a link above is itself replaced by a folder
            raise

    def _replaced(self, path: str) -> bool:
        return any(s.path == path.rpartition("/")[0] and s.do == "make" for s in self._plan.steps)

    def _theirs(self, path: str, entry: Entry, now: os.stat_result | None) -> str:
        """Why a path must be left alone, "" if it need not."""
        is_dir = now is not None and stat.S_ISDIR(now.st_mode)
        if is_dir and entry.what == "dir" and not entry.opaque:
            return ""
        if now is not None and (why := _stuck(now)):
            return why
        if (path in self._known or not is_dir) and (why := self._changed(path, now)):
            return why
        return self._inside(path) if is_dir else ""

    def _changed(self, path: str, now: os.stat_result | None) -> str:
        if path not in self._known:
            if now is not None and now.st_ctime_ns >= self._since:
                return "you changed it"
            return ""
        was = self._known[path]
        if was is None:
            return "" if now is None else "you made one of that name"
        if now is None:
            return "you removed it"
        mark = Stamp.of(now)
        if was.kind == "dir" == mark.kind:
            return ""
        return "" if mark == was else "you changed it"

    def _inside(self, path: str) -> str:
        """Whether a folder that is to go holds something of the user's."""
        try:
            return self._theirs_inside(path)
        except OSError as e:
            return f"it can't be looked through: {e.strerror}"

    def _theirs_inside(self, path: str) -> str:
        for seen in walk(self._target, path, stats=True, skip=frozenset()):
            inherited = seen.kind == "dir" and seen.path not in self._known
            if seen.stat is None:
                continue
            if why := _stuck(seen.stat):
                return f"{show(seen.path)} is in it: {why}"
            if not inherited and (why := self._changed(seen.path, seen.stat)):
                return f"{show(seen.path)} is in it, and {why}"
        return ""

    def _steps(self, path: str, entry: Entry, now: os.stat_result | None) -> None:
        steps = self._plan.steps
        is_dir = now is not None and stat.S_ISDIR(now.st_mode)
        was = None if now is None else Stamp.of(now)
        if is_dir and entry.what != "dir":
            steps += self._gone(path)
        elif is_dir and entry.opaque:
            steps += self._hidden(path)
        elif now is not None and not is_dir and entry.what in ("gone", "dir"):
            steps.append(Step("drop", path, 0, was))
        if entry.what in ("file", "link"):
            self._number += 1
            steps.append(Step("put", path, self._number, None if is_dir else was))
        elif entry.what == "dir" and not is_dir:
            self._number += 1
            steps.append(Step("make", path, self._number))

    def _gone(self, path: str) -> Iterator[Step]:
        """Steps that remove a folder and all in it, the deepest first."""
        inside = list(walk(self._target, path, stats=True, skip=frozenset()))
        for seen in reversed(inside):
            if seen.stat is not None:
                do: Do = "rmdir" if seen.kind == "dir" else "drop"
                yield Step(do, seen.path, 0, Stamp.of(seen.stat))
        yield Step("rmdir", path, 0, Stamp.of(self._target.lstat(path)))

    def _hidden(self, path: str) -> Iterator[Step]:
        """Steps that remove what an opaque folder hides: what the layer has nothing of."""
        for seen in walk(self._target, path, depth=1, stats=True, skip=frozenset()):
            if seen.stat is None or seen.path in self._layer.entries:
                continue
            if seen.kind == "dir":
                yield from self._gone(seen.path)
            else:
                yield Step("drop", seen.path, 0, Stamp.of(seen.stat))

    def _meta(self, path: str, mode: int, mtime: int, now: os.stat_result | None) -> Iterator[Step]:
        """The mode and time of a folder, unless the user has been in it."""
        if now is None or not stat.S_ISDIR(now.st_mode):
            yield Step("set", path, 0, None, mode, mtime)
            return
        was, mark = self._known.get(path), Stamp.of(now)
        if was is None and now.st_ctime_ns >= self._since:
            return
        if was is not None and was.mtime != mark.mtime:
            return
        yield Step("set", path, 0, mark, mode, mtime)


def _stuck(now: os.stat_result) -> str:
    """Why something can't be removed in a way that it could be brought back."""
    kind = kind_of(now.st_mode)
    if kind not in ("file", "dir", "link"):
        return f"it is no ordinary file but a {kind}"
    if kind == "dir" and os.geteuid() != 0 and now.st_mode & 0o700 != 0o700:
        return "its folder can't be looked through"
    return ""
