"""Keys of the doors: capabilities with a budget, models, programs and an end. Each is a process.

The process waits for ever; its account is the key's budget, its mounts and its class are what the
key gives. What is asked with the key is done below it, so `ps`, `kill` and `nice` know it, and what
was spent is exact over restarts. Of the secret only the hash is kept.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Literal

from oros.abi import wire
from oros.abi.errors import Exists, Invalid, NotAuthorized, NotFound
from oros.abi.events import Parked, Spawned
from oros.abi.grants import NO_LIMITS, Limits, MountPoint, named
from oros.abi.ids import PERSON, Pid
from oros.abi.labels import USER, Integrity, Label
from oros.abi.manifest import Program
from oros.abi.message import Json
from oros.abi.ports import Store
from oros.abi.syscalls import Kill
from oros.kernel import control
from oros.kernel.changes import Change
from oros.kernel.machine import Machine
from oros.kernel.process import Process, State
from oros.monitor import namespace

KEY = Program("key", "a key of the doors", "door", "", standing=True)
SETTING = "doors.keys"
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
BYTES = 24
"""Of chance in a secret."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key as it is kept. `until`: seconds since 1970, 0 for ever. `models` and `apps` are globs.

    `mine`: what comes with it counts as the user's own words.
    """

    name: str
    hash: str
    pid: Pid
    until: float = 0.0
    models: tuple[str, ...] = ("*",)
    apps: tuple[str, ...] = ()
    mine: bool = False

    @property
    def label(self) -> Label:
        """The label of what comes with it."""
        return USER if self.mine else Label(Integrity.THIRD, None, frozenset({f"app:{self.name}"}))

    def gives(self, *names: str) -> bool:
        """Whether a model may be used, by any of its names."""
        return any(named(self.models, n) for n in names if n)

    def runs(self, program: str) -> bool:
        """Whether a program may be used as a model."""
        return named(self.apps, program)


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks: a key, its process, and what binds all that is done for one request."""

    key: Key
    row: Process
    limits: Limits = NO_LIMITS


@dataclass(frozen=True, slots=True)
class Wish:
    """A key as a person asks for it. `folder`: what its programs work in; "" for nothing at all."""

    name: str
    models: tuple[str, ...] = ("*",)
    apps: tuple[str, ...] = ()
    limits: Limits = NO_LIMITS
    seconds: float = 0.0
    nice: Literal[0, 1] = 1
    folder: str = ""
    mine: bool = False


class Keys:
    """The keys of one machine."""

    def __init__(self, machine: Machine, store: Store) -> None:
        self._m, self._store = machine, store
        rows = json.loads(store.get_setting(SETTING) or "[]")
        self._keys: dict[str, Key] = {k.hash: k for k in map(revived, rows)}

    async def add(self, wish: Wish) -> tuple[Key, str]:
        """Make a key; its secret is told here and never again. Raises: Invalid, Exists."""
        if not NAME.fullmatch(wish.name):
            raise Invalid(f"{wish.name!r} is no name for a key", "such as laptop: a-z 0-9 . _ -")
        if any(k.name == wish.name for k in self._keys.values()):
            raise Exists(f"there is a key {wish.name!r}", f"oros keys revoke {wish.name}")
        secret = f"oros-{self._m.world.random.token(BYTES)}"
        until = self._m.world.clock.wall() + wish.seconds if wish.seconds else 0.0
        pid = self._m.new_pid()
        rights = (wish.models, wish.apps, wish.mine)
        key = Key(wish.name, digest(secret), pid, until, *rights)
        self._keys[key.hash] = key  # at once: the name is taken
        try:
            await self._process(key, wish)
        except BaseException:
            del self._keys[key.hash]
            raise
        self._save()
        return key, secret

    def settle(self) -> None:
        """End the processes of keys that a crash left without one: half made, or half revoked."""
        known = {k.pid for k in self._keys.values()}
        for row in list(self._m.table):
            if row.program == KEY.name and row.alive and row.pid not in known:
                self._end(row.pid, "a key that is no more")

    async def _process(self, key: Key, wish: Wish) -> None:
        m, row = self._m, Process(key.pid)
        mounts: tuple[MountPoint, ...] = ()
        if wish.folder:
            mounts = (MountPoint(namespace.HOME, f"work:{wish.folder}", "rw"),)
        accounts, goal = (key.pid,), f"the key {key.name}"
        model = m.world.model("").info.name if wish.apps else ""
        event = Spawned(
            PERSON, KEY, goal, model, wish.nice, wish.limits, mounts, key.pid, accounts, key.label
        )

        def enter() -> None:
            m.table.add(row)
            m.accounts.open(row.pid, wish.limits)
            m.accounts.enter(row)

        await m.journal.sync((row, event), (row, Parked("message")), after=[enter])

    def revoke(self, name: str) -> Key:
        """Take a key back: it opens nothing any more, what it began ends. Raises: NotFound."""
        key = next((k for k in self._keys.values() if k.name == name), None)
        if key is None:
            there = " ".join(k.name for k in self._keys.values()) or "none"
            raise NotFound(f"there is no key {name!r}", f"keys: {there}")
        del self._keys[key.hash]
        self._save()
        self._end(key.pid, f"the key {name} was revoked")
        return key

    def _end(self, pid: Pid, why: str) -> None:
        """End a key's process and all that is paid by it, be it another's child."""
        for row in [r for r in self._m.table if pid in r.accounts]:
            if row.alive:  # the end of one may have been the end of another
                end(self._m, row.pid, why)

    def of(self, secret: str) -> tuple[Key, Process]:
        """The key of a secret, and its process. Raises: NotAuthorized."""
        key = self._keys.get(digest(secret))
        if key is None:
            raise NotAuthorized("this key opens nothing here", "oros keys add NAME makes one")
        if key.until and key.until <= self._m.world.clock.wall():
            raise NotAuthorized(f"the key {key.name} has expired", "oros keys add NAME --for 30d")
        row = self._m.find(key.pid)
        if not row.alive:
            raise NotAuthorized(f"the key {key.name} was ended", f"oros keys revoke {key.name}")
        if row.state is State.STOPPED:
            raise NotAuthorized(f"the key {key.name} is stopped", f"oros kill -CONT {key.pid}")
        return key, row

    def rows(self) -> list[dict[str, Json]]:
        """All keys as they are listed, with what was spent; no secret and no hash."""
        found = []
        for key in sorted(self._keys.values(), key=lambda k: k.name):
            row = self._m.find(key.pid)
            spent = self._m.accounts.spent(key.pid) or row.usage
            plain = asdict(key) | {"limits": wire.plain(row.limits), "spent": wire.plain(spent)}
            del plain["hash"]
            found.append(plain | {"nice": row.nice, "folder": folder_of(row), "alive": row.alive})
        return found

    def _save(self) -> None:
        rows = [asdict(k) for k in sorted(self._keys.values(), key=lambda k: k.name)]
        self._store.put_setting(SETTING, json.dumps(rows))


def revived(row: Mapping[str, Json]) -> Key:
    """A key as it was kept."""
    key = Key(**row)
    return replace(key, models=tuple(key.models), apps=tuple(key.apps))


def digest(secret: str) -> str:
    """What is kept of a secret: chance enough that its hash needs no salt."""
    return hashlib.sha256(secret.encode()).hexdigest()


def folder_of(row: Process) -> str:
    """The folder that a key's programs work in, "" for none."""
    points = [p.source for p in row.mounts if p.path == namespace.HOME]
    return points[0].removeprefix("work:") if points else ""


def end(m: Machine, pid: Pid, why: str) -> None:
    """End a process and all below it, as the person would."""
    change = control.perform(m, m.table[PERSON], Kill(pid, "KILL", why))
    if isinstance(change, Change):
        m.journal.write(*change.entries)
        for act in change.after:
            act()
