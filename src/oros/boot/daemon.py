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
from oros.boot import folders
from oros.boot.config import Config, load
from oros.boot.devices import Devices
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
from oros.services.apps.programs import builtin, program
from oros.services.apps.registry import Apps
from oros.services.audit import Audit
from oros.services.console import Console
from oros.services.secrets.vault import Vault
from oros.services.shapes import SHAPES

JOURNAL, KEY = "journal.db", "seal.key"
MOST_FILES = 1 << 16


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
    parts = parts or Parts()
    config: Config = load(home)
    store: Store = SqliteStore.open(home / JOURNAL, synchronous=config.synchronous)
    clock = WallClock()
    models = Models(config, home / "models")
    apps = Apps(home / "apps", McpServer, clock, parts.tools)
    try:
        if parts.store is not None:
            store = parts.store(store)
        vault = Vault(home, normal)
        devices = Devices(store, home / "layers", vault.values)
        world = World(
            store,
            clock,
            SystemRandom(),
            parts.model or models,
            devices.server,
            lambda name, model: parts.programs.get(name) or program(name, model),
            SHAPES,
            devices.runner,
            apps,
            node_of(store),
        )
        apps.load()
        kernel = Kernel(world)
        devices.sweep(clock.wall())
        boot(kernel, home / JOURNAL)
        await devices.attach(kernel.m, kernel.request)
        console = Console(kernel, oros.__version__)
        console.queries |= models.queries() | devices.queries() | apps_of.queries(apps, vault)
        console.queries |= folders.queries(devices.homes)
        audit = Audit(kernel.m, FileKey(home / KEY, SystemRandom().token))
        console.queries["audit.head"] = audit.head
        console.longs |= models.longs() | apps_of.longs(apps, vault) | folders.longs(devices.homes)
        console.longs["audit.verify"] = audit.verify
        await run(kernel, Gate(console, home), devices.cells.keep, audit.keep)
    finally:
        await apps.close()
        await models.close()
        await store.close()


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


async def run(kernel: Kernel, gate: Gate, *keep: Callable[[], Coroutine[None, None, None]]) -> None:
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
