"""A machine with open doors, in the test's own loop: a real port and clock, a scripted model."""

import asyncio
import json
import struct
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from oros.abi.errors import NoDevice
from oros.abi.manifest import Program
from oros.abi.ports import ModelInfo
from oros.boot.names import Names, suited
from oros.drivers.clock.wall import SystemRandom, WallClock
from oros.gate.doors import Doors
from oros.kernel.kernel import Kernel
from oros.kernel.machine import World
from oros.sdk.testing.memory import Disk, MemoryStore
from oros.sdk.testing.scripted import ScriptedModel
from oros.services.apps.programs import Programs
from oros.services.console import Console
from oros.services.doors.desk import Desk
from oros.services.doors.keys import Keys, Wish
from oros.services.shapes import SHAPES

CANS = frozenset({"tools", "resume", "schema", "image", "audio"})
CALLS = ("ask", "write", "infer", "spawn")
STEPS = Program("steps", "test", "steps", "You are a test.", CALLS)


@dataclass
class Opened:
    """What a test has: the kernel, the model behind it, the doors, a key, a client with it."""

    url: str
    kernel: Kernel
    model: ScriptedModel
    desk: Desk
    secret: str
    http: aiohttp.ClientSession
    disk: Disk
    failed: list

    async def post(self, path: str, body, **headers):
        """Status, JSON body, headers."""
        async with self.http.post(f"{self.url}{path}", json=body, headers=headers) as got:
            return got.status, await got.json(), got.headers

    async def stream(self, path: str, body) -> list:
        """The events of a stream: (name, data)."""
        async with self.http.post(f"{self.url}{path}", json={**body, "stream": True}) as got:
            assert got.status == 200, await got.text()
            found, name = [], ""
            async for raw in got.content:
                field, _, value = raw.decode().rstrip("\n").partition(": ")
                if field == "event":
                    name = value
                elif field == "data":
                    found.append((name, value if value == "[DONE]" else json.loads(value)))
            return found

    async def key(self, name: str, **wish) -> str:
        """Another key."""
        return (await self.desk.keys.add(Wish(name, **wish)))[1]

    def rows(self) -> list:
        """The processes of requests, those that are over too."""
        m = self.kernel.m
        found = [*m.done.values(), *m.table]
        return sorted((r for r in found if r.program == "door"), key=lambda r: r.pid)

    def session(self, secret: str) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(headers={"Authorization": f"Bearer {secret}"})


class Vectors:
    """Makes a vector of a text's length."""

    name, dims = "tiny", 2

    async def embed(self, texts, *, query=False):
        return [struct.pack("<2f", float(len(t)), 1.0) for t in texts]

    async def close(self) -> None:
        pass


def other(name: str, script, cans=CANS, price=(0, 0, 0), window=32768, **more) -> ScriptedModel:
    """One more model; the script may be one answer."""
    said = script if callable(script) or isinstance(script, list) else lambda _: script
    info = ModelInfo(name, window, 2, cans, price)
    return more.pop("kind", ScriptedModel)(said, info, WallClock(), **more)


@asynccontextmanager
async def opened(
    script, cans=CANS, price=(0, 0, 0), window=32768, disk=None, slots=2, others=(), names=None,
    kind=ScriptedModel, folder=Path("nothing"), **more,
):  # fmt: skip
    """Open doors, for the time of the block. `names`: what aliases and fallbacks there are.

    `folder`: that of the person's own programs.
    """
    disk, clock = disk or Disk(), WallClock()
    info = ModelInfo("scripted", window, slots, cans, price)
    model = kind(script, info, clock, **more)
    store, names = MemoryStore(disk), names or Names("scripted", {"alias": ["scripted"]})
    models = {m.info.name: m for m in (model, *others)}

    def named(name):
        found = models.get(names.chain(name)[0])
        if found is None:
            raise NoDevice(f"there is no model {name!r}")
        return found

    def ways(asked, now):
        return [models[n] for n in names.onward(asked, now, str) if n in models]

    def listed():
        return {n: names.means(n) for n in (*models, *(a for a in names.aliases if a != "alias"))}

    own = Programs(folder)

    def program(name, model):
        return STEPS if name in ("", "steps") else own(name, model)

    def better(model, program, name):
        return suited(model, program, name, models.values())

    world = World(
        store, clock, SystemRandom(), named, lambda s: None, program, SHAPES, ways=ways,
        suited=better,
    )  # fmt: skip
    kernel = Kernel(world)
    kernel.boot(Program("shell", "test", "steps", "You are pid 1.", (), standing=True))
    console = Console(kernel, "1")
    failed: list = []
    desk = Desk(kernel.m, Keys(kernel.m, store), console.hub, listed, own.listed, Vectors())
    doors = Doors(desk, failed.append)
    async with asyncio.TaskGroup() as tasks:
        run = tasks.create_task(kernel.run())
        await asyncio.sleep(0)
        async with doors.shut_at_end():
            url = await doors.open("127.0.0.1:0")
            secret = ""
            if not any(k["name"] == "test" for k in desk.keys.rows()):
                secret = (await desk.keys.add(Wish("test", apps=("*",), mine=True)))[1]
            headers = {"Authorization": f"Bearer {secret}"}
            async with aiohttp.ClientSession(headers=headers) as http:
                yield Opened(url, kernel, model, desk, secret, http, disk, failed)
        if store._failure is None:
            kernel.halt()
        else:  # its last words can't be written
            run.cancel()
        with suppress(asyncio.CancelledError):
            await run
