"""The changes of one process to one folder: a layer for each call that changed something.

Each waits until it is committed, is in the folder, or was undone. Where they stand is one record in
the machine's settings; an application that a crash cut is finished or forgotten by `recover`.
Not safe for use side by side: whoever calls holds the folder's lock.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from oros.abi.errors import Corrupt
from oros.abi.message import Json
from oros.services.files.faults import explained
from oros.services.files.labels import Settings
from oros.services.files.resolve import Root
from oros.services.layers.alike import unchanged
from oros.services.layers.apply import Apply
from oros.services.layers.change import WAITS, Change, Doing, Record, copied
from oros.services.layers.compose import Seen, above, blocked, compose
from oros.services.layers.plan import Known, Plan, Stamp, plan
from oros.services.layers.squash import squash
from oros.services.layers.tree import Layer, remove_tree
from oros.services.layers.union import Union

DIRECT = 8
"""Layers that are mounted one over another; more are squashed into one before."""

FOR_EVER = 1 << 62
"""A time after all others: nothing is taken for the user's own change."""

KNOWN = "known.json"
MEANWHILE = "it was changed while this was brought in"

Wanted = Callable[[str], str]
"""Why a path must not come into the folder by itself; "" if it may."""


class Stack:
    """One process's changes to `base`, kept in the folder `home`."""

    def __init__(self, home: Path, settings: Settings, name: str, base: Root) -> None:
        """Raises: Corrupt."""
        self._top = home
        self.name = name
        self._home = home / name
        self._settings = settings
        self._key = f"layers:{name}"
        self._base = base
        self._layers: dict[int, Layer] = {}
        self._seen: dict[str, Seen] | None = None
        self._view: Path | None = None
        found = settings.get_setting(self._key)
        self.fresh = found is None
        try:
            self._record = Record.read(json.loads(found)) if found else Record()
        except (ValueError, KeyError, TypeError) as e:
            raise Corrupt(f"what is kept under {self._key!r} can't be read", "restore it") from e

    @property
    def changes(self) -> list[Change]:
        """All of them, oldest first; those that were undone last."""
        return self._record.changes

    def find(self, key: str) -> Change | None:
        """The change that a call made."""
        return next((c for c in self.changes if c.key == key), None)

    # ---- what the process sees -----------------------------------------------------------------

    def seen(self) -> Mapping[str, Seen]:
        """By path, what the process has changed and is not in the folder."""
        if self._seen is None:
            waiting = [c for c in self.changes if c.waits]
            self._seen = compose((self.layer(c), c.shows) for c in waiting)
        return self._seen

    def view(self) -> Root:
        """The folder as the process sees it."""
        seen = self.seen()
        return Union(self._base, seen) if seen else self._base

    def trees(self) -> list[str]:
        """The layers to be mounted over the folder, topmost first."""
        waiting = [c for c in self.changes if c.waits]
        whole = all(c.pending is None and not c.same for c in waiting)
        if whole and len(waiting) <= DIRECT:
            return [str(self._place(c)) for c in reversed(waiting)]
        if self._view is None:
            place = self._home / f"view{self._record.next}"
            remove_tree(place)
            squash(self.seen(), place)
            self._view = place
        return [str(self._view)]

    def layer(self, change: Change) -> Layer:
        """The layer of a change, looked at once."""
        found = self._layers.get(change.number)
        if found is None:
            found = self._layers[change.number] = Layer(self._place(change))
        return found

    def _place(self, change: Change) -> Path:
        return self._top / (change.place or f"{self.name}/{change.number}")

    # ---- copies --------------------------------------------------------------------------------

    def inherit(self, other: "Stack", at: int) -> None:
        """Begin with what waited in another's stack as of an event of its journal.

        Trees are shared; one goes with the last that uses it: each copy leaves a mark beside it.
        """
        self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
        for change in [c for c in other.changes if c.waits and c.seq <= at]:
            place = change.place or f"{other.name}/{change.number}"
            self._mark(place).touch()
            self.changes.append(copied(change, self._take(), place))
        self._save()

    def _mark(self, place: str) -> Path:
        return self._top / f"{place}.of-{self.name}"

    def _drop_tree(self, change: Change) -> None:
        """Remove a tree, unless a copy uses it still."""
        tree = self._place(change)
        if change.place:
            self._mark(change.place).unlink(missing_ok=True)
        else:
            tree.with_name(f"{tree.name}.left").touch()
        marks = tree.parent.glob(f"{tree.name}.of-*")
        left = tree.with_name(f"{tree.name}.left")
        if left.exists() and not any(marks):
            remove_tree(tree)
            left.unlink()

    # ---- making --------------------------------------------------------------------------------

    def add(
        self, key: str, seq: int, fill: Callable[[Path], list[str]], since: int = 0
    ) -> Change | None:
        """Take in what a call changed; `fill` makes the layer's tree. None: it changed nothing.

        What had been undone can't be done again after it. Raises: what `fill` raises.
        """
        number, view = self._take(), self.view()
        self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
        place = self._home / str(number)
        remove_tree(place)  # a crash left it
        left = fill(place)
        layer = Layer(place)
        same = [path for path in layer.entries if unchanged(layer, path, view)]
        if len(same) == len(layer.entries):
            remove_tree(place)
            return None
        for gone in [c for c in self.changes if c.state == "undone"]:
            self._forget(gone)
        change = Change(number, key, seq, time.time_ns(), since, same=same, left=left)
        self.changes.append(change)
        self._layers[number] = layer
        self._save()
        return change

    def note(self, change: Change, outcome: str) -> None:
        """Keep what the call came to that made a change."""
        change.outcome = outcome
        self._save()

    def drop(self, change: Change) -> None:
        """Forget a change of which nothing is in the folder, nor on its way there."""
        if self._record.doing is None and not change.rooms:
            self._forget(change)
            self._save()

    # ---- into the folder and out of it ---------------------------------------------------------

    def commit(self, since: int, held: Wanted, *, force: bool = False) -> dict[str, str]:
        """Bring all that waits into the folder, in order; what could not come, and why.

        Args:
            since: nanoseconds since 1970; what changed from then on, but not by us, is the user's:
                for a change that waits already, from when its maker could not know of it.
            held: why a path must wait for the user's own word.
            force: take the place of what the user changed too; an undo brings it back.
        """
        self._ready()
        for change in [c for c in self.changes if c.waits]:
            self._bring_in(change, min(since, change.since or since), held, force=force)
        return {p: w for c in self.changes if c.waits for p, w in (c.pending or {}).items()}

    def _bring_in(self, change: Change, since: int, held: Wanted, *, force: bool) -> None:
        layer = self.layer(change)
        before = compose(
            (self.layer(c), c.shows) for c in self.changes if c.waits and c.number < change.number
        )
        asked = {p: blocked(p, before) or held(p) for p in layer.entries if change.shows(p)}
        known, since = ({}, FOR_EVER) if force else (self._known(), since)
        made = plan(self._base, layer, known, since, lambda p: asked.get(p) == "")
        done = [p for p in made.done if p in asked]
        pending = {
            p: why or made.conflicts.get(p, WAITS) for p, why in asked.items() if p not in done
        }
        if done:
            self._apply(change, layer, made, done, pending, back=False)
        else:
            change.pending = pending
            self._save()

    def undo(self, change: Change) -> dict[str, str]:
        """Take a change out of the folder and out of sight; what the user changed since stays."""
        if change.state == "undone":
            return {}
        self._ready()
        if change.state == "live":
            layer = self.layer(change)
            change.was = [p for p in layer.entries if p not in change.same and not change.shows(p)]
            change.state = "undoing"
            self._save()
        conflicts: dict[str, str] = {}
        for room in reversed(change.rooms):
            inverse = Layer(Apply(self._base, self._room(room)).inverse)
            made = plan(self._base, inverse, self._known(), change.at, lambda _: True)
            conflicts |= made.conflicts
            missed = self._apply(change, inverse, made, [], change.pending or {}, back=True)
            conflicts |= missed
            change.was = [p for p in change.was if p not in made.conflicts and p not in missed]
        change.state = "undone"
        self._save()
        return conflicts

    def redo(self, change: Change, since: int) -> dict[str, str]:
        """Bring an undone change back to where it was; what the user changed since stays."""
        if change.state != "undone":
            return {}
        self._ready()
        change.state, was, change.was = "live", set(change.was), []
        if not was:
            self._save()
            return {}
        waited = change.pending or {}
        change.pending = dict.fromkeys([*waited, *was], WAITS)
        self._bring_in(
            change, since, lambda p: "" if p in was else waited.get(p, WAITS), force=False
        )
        return {p: w for p, w in (change.pending or {}).items() if p in was}

    def discard(self) -> list[str]:
        """Drop all that is not in the folder; the paths."""
        self._resume()
        dropped = sorted(self.seen())
        for change in [c for c in self.changes if c.waits]:
            if change.rooms:
                change.pending = {}
            else:
                self._forget(change)
        self._save()
        return dropped

    def recover(self) -> None:
        """Finish or forget what a crash cut. Raises: OSError; NotFound (the folder is gone)."""
        self._resume()
        for change in [c for c in self.changes if c.state == "undoing"]:
            self.undo(change)

    def _ready(self) -> None:
        """Before the folder is touched. Raises: OSError; NotFound (it is gone)."""
        _ = self._base.live
        self._resume()

    def _resume(self) -> None:
        """Finish or forget an application that stopped, as its disk was full or its folder gone."""
        doing = self._record.doing
        if doing is not None:
            act = Apply(self._base, self._room(doing.room))
            change = next(c for c in self.changes if c.number == doing.number)
            if act.decided:
                self._finish(act, change, doing)
            else:
                self._forgo(act)

    def _apply(
        self,
        change: Change,
        layer: Layer,
        made: Plan,
        done: list[str],
        pending: dict[str, str],
        *,
        back: bool,
    ) -> dict[str, str]:
        """Bring a layer in; what was not as planned any more when its turn came, and why."""
        doing = Doing(self._take(), change.number, back, done, pending)
        self._record.doing = doing
        self._save()
        act = Apply(self._base, self._room(doing.room))
        try:
            with explained(str(self._base.path), root=True):
                act.prepare(layer, made, moves=back)
        except BaseException:
            with suppress(OSError):  # no room even for that: the next who comes does it
                self._forgo(act)
            raise
        return self._finish(act, change, doing)

    def _forgo(self, act: Apply) -> None:
        """An application that was not decided is none."""
        self._remember(act.forget())
        self._record.doing = None
        self._save()
        act.clear()

    def _finish(self, act: Apply, change: Change, doing: Doing) -> dict[str, str]:
        was: Known = {}
        if doing.back:  # what it holds is staged, and goes to the folder as it is
            room = self._room(change.rooms[-1])
            was = Apply(self._base, room).replaced()
            remove_tree(room)
        with explained(str(self._base.path), root=True):
            left = act.finish()
        self._remember(left)
        self._tell_others(was, left)
        missed = dict.fromkeys(act.missed, MEANWHILE)
        if doing.back:
            change.rooms.pop()
        else:
            change.rooms.append(doing.room)
            again = (_entry(path, doing.done) for path in missed)
            change.pending = doing.pending | {p: MEANWHILE for p in again if p}
        self._record.doing = None
        self._save()
        if doing.back:
            remove_tree(self._room(doing.room))
        return missed

    # ---- what is kept --------------------------------------------------------------------------

    def _known(self) -> Known:
        """How we left each path of the folder."""
        try:
            data = json.loads((self._home / KNOWN).read_text())
        except FileNotFoundError:
            return {}
        return {p: None if s is None else Stamp(*s) for p, s in data.items()}

    def _remember(self, left: Known) -> None:
        if not left:
            return
        both = {**self._known(), **left}
        _write(self._home / KNOWN, {p: None if s is None else list(s) for p, s in both.items()})

    def _tell_others(self, was: Known, left: Known) -> None:
        """What other processes had left is back: it is theirs still, and not the user's doing."""
        back = {p: (list(s), now) for p, s in was.items() if s and (now := left.get(p))}
        mark = self.name.rpartition("-")[2]
        for place in self._top.glob(f"*-{mark}/{KNOWN}") if back else ():
            known = json.loads(place.read_text())
            mine = {p: list(now) for p, (old, now) in back.items() if known.get(p) == old}
            if mine:
                _write(place, known | mine)

    def _room(self, number: int) -> Path:
        return self._home / f"room{number}"

    def _take(self) -> int:
        """A number that nothing here has."""
        self._record.next += 1
        return self._record.next

    def _forget(self, change: Change) -> None:
        self.changes.remove(change)
        self._layers.pop(change.number, None)
        self._drop_tree(change)
        for room in change.rooms:
            remove_tree(self._room(room))

    def _save(self) -> None:
        self._seen = None
        waiting = {c.number for c in self.changes if c.waits}  # each layer held is open
        self._layers = {n: layer for n, layer in self._layers.items() if n in waiting}
        if self._view is not None:
            remove_tree(self._view)
            self._view = None
        self._settings.put_setting(self._key, json.dumps(self._record.plain()))


def _write(place: Path, data: Json) -> None:
    part = place.with_suffix(".part")
    part.write_text(json.dumps(data))
    part.rename(place)


def _entry(path: str, done: Sequence[str]) -> str:
    """The path of a layer that a step belongs to: of what goes with a folder, the folder."""
    return next((p for p in (path, *above(path)) if p in done), "")
