"""The daemon: builds the machine from its parts, opens the door, and stops it in order."""

import asyncio
import os
import resource
import signal
import sys
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import oros
from oros.abi.errors import AccessDenied, Corrupt, Invalid, OrosError, Panic, cause
from oros.abi.manifest import Program
from oros.abi.ports import Model, Store, Tool
from oros.boot import apps as apps_of
from oros.boot import doors as doors_of
from oros.boot import folders
from oros.boot.adding import Adding
from oros.boot.build import Build, spawned
from oros.boot.config import Config, load
from oros.boot.devices import Devices
from oros.boot.memory import Mind, noter
from oros.boot.models import Models
from oros.drivers.clock.wall import SystemRandom, WallClock
from oros.drivers.egress.netns.policy import normal
from oros.drivers.keys.ed25519 import FileKey
from oros.drivers.mcp.http import McpServer
from oros.drivers.store.sqlite import SqliteStore
from oros.gate.http import Gate
from oros.kernel.kernel import Kernel
from oros.kernel.machine import World
from oros.sdk.address import fault
from oros.sdk.build import place
from oros.services.apps.programs import Programs, builtin
from oros.services.apps.registry import Apps
from oros.services.audit import Audit
from oros.services.console import Console
from oros.services.memory.ended import Notes
from oros.services.secrets.vault import Vault
from oros.services.shapes import SHAPES

JOURNAL, KEY = "journal.db", "seal.key"
MOST_FILES = 1 << 16
LATER = 30.0
"""Seconds until something that failed is tried again."""

Keep = Callable[[], Coroutine[None, None, None]]


@dataclass(frozen=True, slots=True)
class Parts:
    """Parts that a test or an embedding program puts in the place of the usual ones."""

    tools: Mapping[str, Tool] = field(default_factory=dict)
    programs: Mapping[str, Program] = field(default_factory=dict)
    model: Callable[[str], Model] | None = None
    store: Callable[[Store], Store] | None = None


def prepare(home: Path) -> None:
    """Make the home folder, closed to others. Raises: AccessDenied, NoSpace, Invalid."""
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        (home / "log").mkdir(mode=0o700, exist_ok=True)
    except OSError as e:
        raise fault(home, e) from e
    if not os.access(home, os.W_OK | os.X_OK):
        raise AccessDenied(f"{home} can't be written", "set OROS_HOME to a folder of yours")


async def serve(home: Path, parts: Parts | None = None) -> None:
    """Run a machine until it is halted. Raises: what a part that can't be built says; Panic."""
    parts, mind = parts or Parts(), None
    config: Config = load(home)
    vault = Vault(home, normal)
    models = Models(config, home / "models", vault.value)
    store: Store = SqliteStore.open(home / JOURNAL, synchronous=config.synchronous)
    clock = WallClock()
    apps, own = Apps(home / "apps", McpServer, clock, parts.tools), Programs(home / "programs")
    try:
        if parts.store is not None:
            store = parts.store(store)
        mind = Mind(home, config, clock, vault, store)
        devices = Devices(store, home / "layers", mind, vault.values)
        world = World(
            store,
            clock,
            SystemRandom(),
            parts.model or models,
            devices.server,
            lambda name, model: mind.told(parts.programs.get(name) or own(name, model)),
            SHAPES,
            devices.runner,
            apps,
            mind.server.recall,
            models.ways,
            models.suited,
            node_of(store),
        )
        apps.load()
        kernel = Kernel(world)
        devices.sweep(clock.wall())
        boot(kernel, home / JOURNAL)
        await devices.attach(kernel.m, kernel.request)
        audit = Audit(kernel.m, FileKey(home / KEY, SystemRandom().token))
        console = console_of(kernel, devices, mind, audit, own)
        console.queries |= models.queries() | apps_of.queries(apps, vault)
        console.longs |= models.longs() | apps_of.longs(apps, vault)
        console.longs |= Adding(home, vault.value, models.configure).longs()
        door = doors_of.made(console, models.names, own.listed, mind, config.door.listen)
        notes = Notes(kernel.m, kernel.request, store, noter(config, world.model))
        keep = (mind.memory.keep, devices.indexes.keep, notes.keep, audit.keep, door.keep)
        gate = Gate(console, home, more=door.doors.routes())
        await run(kernel, gate, devices.cells.keep, *map(patient, keep))
    finally:
        if mind is not None:
            await mind.close()
        await apps.close()
        await models.close()
        await store.close()


def console_of(
    kernel: Kernel, devices: Devices, mind: Mind, audit: Audit, programs: Programs
) -> Console:
    """The machine as the gate sees it."""
    console, indexes = Console(kernel, oros.__version__), devices.indexes
    console.queries["status"] = Build(place(), console.status, spawned=spawned()).told
    console.queries |= devices.queries() | mind.queries() | {"audit.head": audit.head}
    console.queries["programs"] = programs.told
    console.queries |= folders.queries(devices.homes, indexes)
    console.longs |= mind.longs() | {"audit.verify": audit.verify}
    console.longs |= folders.longs(devices.homes, indexes, kernel.m.world.clock)
    return console


def patient(keep: Keep) -> Keep:
    """What is looked after beside the kernel: an error of it is told, and waited out."""

    async def kept() -> None:
        while True:
            try:
                await keep()
            except OrosError as e:
                tell(str(e))
            await asyncio.sleep(LATER)

    return kept


def boot(kernel: Kernel, journal: Path) -> None:
    """Load the journal. Raises: Corrupt if it holds what can't be read."""
    try:
        kernel.boot(builtin()["shell"])
    except Invalid as e:
        hint = "restore it from a copy, or move it aside: a new one is made; nothing is deleted"
        raise Corrupt(f"{journal}: an entry can't be read: {e.why}", hint) from e


def node_of(store: Store) -> str:
    """This machine's own name in idempotency keys, made once."""
    found = store.get_setting("node")
    if found is None:
        found = SystemRandom().token(4)
        store.put_setting("node", found)
    return found


async def run(kernel: Kernel, gate: Gate, *keep: Keep) -> None:
    """Serve the door while the kernel runs; SIGTERM and SIGINT halt in order.

    `keep`: what else is looked after meanwhile.
    """
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, kernel.halt)
    async with gate.open(), asyncio.TaskGroup() as tasks:
        keepers = [tasks.create_task(k()) for k in keep]
        watch = tasks.create_task(watched(kernel, gate))
        watch.add_done_callback(lambda _: [k.cancel() for k in keepers])
        await asyncio.sleep(0)
        tell("ready")


async def watched(kernel: Kernel, gate: Gate) -> None:
    """Run the kernel; if it can't go on, whoever waits at the door is told why."""
    try:
        await kernel.run()
    except (Panic, BaseExceptionGroup) as e:
        gate.fail(cause(e))
        raise


def tell(line: str) -> None:
    """Say a line to whoever started the daemon; its log may be on the disk that is full."""
    with suppress(OSError):
        os.write(sys.stderr.fileno(), f"oros: {line}\n".encode(errors="replace"))


def open_many() -> None:
    """Take all the descriptors that one may have: a layer that waits holds one, a program some."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))


def main(home: Path, parts: Parts | None = None) -> int:
    """Run the daemon; the exit code follows the error tree."""
    try:
        home = home.absolute()
        prepare(home)
        os.chdir("/")  # the person's folder must not be held by a daemon
        open_many()
        asyncio.run(serve(home, parts))
    except OrosError as e:
        tell(str(e))
        return e.exit_code
    except (Panic, BaseExceptionGroup) as e:
        tell(str(cause(e)))
        return cause(e).exit_code
    return 0
