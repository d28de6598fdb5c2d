"""Mounts and the sandbox, as the kernel asks for them: by source, by process."""

from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from oros.abi import wire
from oros.abi.errors import NoDevice, OrosError
from oros.abi.events import Forked, Spawned
from oros.abi.grants import MountPoint
from oros.abi.ids import PERSON, Pid, Seq
from oros.abi.message import Json
from oros.abi.ports import Device, FileServer, Row, Store
from oros.boot.memory import Mind
from oros.drivers.egress.netns.secrets import Secrets, none
from oros.drivers.egress.netns.way import Way
from oros.drivers.sandbox.bwrap.driver import BwrapSandbox
from oros.drivers.sandbox.zygote.warm import Zygote
from oros.kernel.machine import Machine
from oros.monitor.namespace import HOME, WEB
from oros.services.apps.server import AppsServer
from oros.services.console import Query
from oros.services.files.below import Below
from oros.services.homes import Home, Homes
from oros.services.index.indexes import IndexedSpace, Space
from oros.services.index.kinds import kinds
from oros.services.layers.workspaces import Workspaces
from oros.services.proc import ProcServer
from oros.services.races import Call, Races
from oros.services.run.cells import Cells
from oros.services.run.device import Means, RunDevice
from oros.services.run.device import Way as RunWay
from oros.services.run.earlier import Earlier, earlier


class Devices:
    """Makes a file server for each mount source, and a runner for each folder, when first used."""

    def __init__(self, store: Store, layers: Path, mind: Mind, secrets: Secrets = none) -> None:
        """`layers`: where what processes change in folders is kept."""
        self._secrets = secrets
        self._store = store
        self._sandbox = BwrapSandbox()
        self._mind = mind
        self._packages = packages()
        self.cells = Cells(self._zygote, self._past, self._alive)
        self._means = Means(self._sandbox, self._sandbox.python, self.cells, self._packages)
        self._spaces = Workspaces(store, layers, self._origin, self._copies, layers.parent)
        self._spaces.documents, self.indexes = mind.index(self._sandbox, self._sandbox.python)
        self.homes = Homes(store, lambda h: self._home(h, self._spaces.space(Path(h.folder))))
        self._reviewed = self.homes.reviewed(
            lambda h: self._home(h, self._spaces.reviewed(Path(h.folder)))
        )
        self._runners: dict[tuple[MountPoint, str], Device] = {}
        self.machine: Machine | None = None
        self._apps: AppsServer | None = None
        self._proc: ProcServer | None = None
        self._origins: dict[Pid, tuple[Pid, Seq] | None] = {}

    async def attach(self, machine: Machine, call: Call) -> None:
        """Serve a machine that has booted; `call` makes the person's calls."""
        self.machine = self._mind.machine = machine
        races = Races(machine, self._spaces.won, call)
        self._apps = AppsServer(machine.world.tools)
        self._proc = ProcServer(machine, self._spaces, races)
        await races.settle()
        for home in self.homes.mounted.values():
            with suppress(OrosError):  # a folder that is gone is told of when it is asked for
                self.homes.server(home.name)

    def server(self, source: str) -> FileServer:
        """The file server of a mount source. Raises: NoDevice, NotFound."""
        scheme, _, rest = source.partition(":")
        if scheme == "work":
            return self._spaces.space(Path(rest))
        if scheme == "review":
            return self._spaces.reviewed(Path(rest))
        servers: dict[str, FileServer | None] = {
            "proc": self._proc,
            "mem": self._mind.server,
            "home": self.homes,
            "home-review": self._reviewed,
            "apps": self._apps,
        }
        found = servers.get(scheme)
        if found is None:
            raise NoDevice(f"nothing serves {source!r}")
        return Below(found, rest) if rest else found

    def _home(self, home: Home, space: Space) -> FileServer:
        """What serves a mounted folder; over its index, if it has one."""
        if not home.index:
            return space
        return IndexedSpace(space, self.indexes.open(home.name, Path(home.folder)))

    def runner(self, mounts: tuple[MountPoint, ...]) -> Device:
        """What performs `run` in a namespace: the sandbox over its /work. Raises: NoDevice."""
        for point in mounts:
            if point.path == HOME:
                web = next((p.source for p in mounts if p.path == WEB), "")
                found = self._runners.get((point, web))
                if found is None:
                    scheme, _, root = point.source.partition(":")
                    found = RunDevice(
                        self._means,
                        self._spaces.space(Path(root)),
                        self._store,
                        point.right,
                        review=scheme == "review",
                        way=way_of(web, self._secrets),
                        needs=point.needs,
                    )
                    self._runners[point, web] = found
                return found
        raise NoDevice("this process has no folder to run in", "start it with a folder")

    async def _zygote(self) -> Zygote:
        """What interpreters are forked from. Raises: NotEnforced."""
        return Zygote(await self._sandbox.walls(), self._packages)

    def _past(self, pid: Pid) -> list[Earlier]:
        """The cells that a process's interpreter knew of when it was lost."""
        return [] if self.machine is None else earlier(self.machine.journal.rows(pid))

    def _alive(self, pid: Pid) -> bool:
        m = self.machine
        return m is not None and pid in m.table and m.table[pid].alive

    def _origin(self, pid: Pid) -> tuple[Pid, Seq] | None:
        """Whose changes a process began with: of what it was forked from, or of its parent's."""
        first = next(iter(self._store.events(pid, upto=Seq(1))), None)
        if first is None or self.machine is None:
            return None
        if pid not in self._origins:
            self._origins[pid] = self._found(first, self.machine)
        return self._origins[pid]

    def _found(self, first: Row, machine: Machine) -> tuple[Pid, Seq] | None:
        if first.kind == "forked":
            copied: Forked = wire.decode(Forked, first.body)
            return copied.of, copied.at
        made: Spawned = wire.decode(Spawned, first.body)
        if made.parent == PERSON:
            return None
        before = (r.seq for r in self._store.events(made.parent) if r.time <= first.time)
        at = max(before, default=0)
        parent = machine.journal.fold(made.parent, Seq(at)) if at else None
        if parent is None or folder_of(parent.mounts) != folder_of(made.mounts):
            return None
        return made.parent, Seq(at)

    def _copies(self, pid: Pid) -> list[Pid]:
        """The processes that began with the changes of one; of reaped ones, the last."""
        m = self.machine
        rows = () if m is None else (*m.table, *m.done.values())
        found = ((p.pid, self._origin(p.pid)) for p in rows)
        return [copy for copy, source in found if source is not None and source[0] == pid]

    def sweep(self, now: float) -> None:
        """Forget what was changed long ago and can't be undone any more."""
        self._spaces.sweep(now)

    def queries(self) -> dict[str, Query]:
        """What a person may ask about devices."""
        return {"doctor": self.doctor}

    async def doctor(self, _: Mapping[str, Json]) -> Json:
        """What the sandbox holds on this machine, found by running it; what can be read here."""
        report = await self._sandbox.probe()
        loaded: Mapping[str, str] = {}
        documents = self._mind.documents
        hears = "" if documents is None else documents.reader.reads("wav")
        with suppress(OrosError):  # `broken` says why
            loaded = (await self.cells.source()).loaded
        return {
            "sandbox": report.backend,
            "version": report.version,
            "works": report.works,
            "held": list(report.held),
            "not_held": dict(report.not_held),
            "fix": report.fix,
            "python": {
                "warm": not self.cells.broken,
                "why": self.cells.broken,
                "loaded": dict(loaded),
            },
            "read": dict(kinds(hears)),
        }


def folder_of(mounts: tuple[MountPoint, ...]) -> str:
    """The host's folder that processes with these mounts work in; "" without one."""
    return next((m.source.partition(":")[2] for m in mounts if m.path == HOME), "")


def packages() -> tuple[str, ...]:
    """The folder of the data libraries (the extra `data`), if they are installed here."""
    found = find_spec("pandas")
    return (str(Path(found.origin).parents[1]),) if found is not None and found.origin else ()


def way_of(source: str, secrets: Secrets) -> RunWay | None:
    """The way out to the hosts of a `/web` mount; none without one."""
    hosts = [h for h in source.removeprefix("web:").split(",") if h]
    return (lambda record: Way(hosts, record, secrets=secrets)) if hosts else None
