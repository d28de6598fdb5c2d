"""Interpreters that are there at once: one clean process is kept, and forked for each.

It knows processes and descriptors, not cells. Whatever happens to the daemon, the zygote dies with
it, and with the zygote all that were forked from it.
"""

import asyncio
import contextlib
import json
import os
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from oros.abi.errors import DeviceFailed, Invalid, NotEnforced
from oros.abi.jobs import Bind, Job, Overlay
from oros.drivers.descriptors import memory_file
from oros.drivers.sandbox.zygote.child import Child, message
from oros.drivers.sandbox.zygote.interpreter import Interpreter
from oros.drivers.walls import Walls

SOURCES = {n: Path(__file__).with_name(f"{n}.py") for n in ("enter", "loop", "show", "zygote")}
BOOT = """
import json
with open(NUMBER, "rb") as f:
    sources = json.load(f)
made = {name: {"__name__": name} for name in sources}
for name, text in sources.items():
    exec(compile(text, name + ".py", "exec", dont_inherit=True), made[name])
run = lambda *words: made["loop"]["main"](*words[:2], made["show"], words[2])
made["zygote"]["main"](made["enter"], run, made["show"])
"""
MODULES = ("numpy", "pandas", "matplotlib.pyplot")
START_SECONDS = 60.0
BIRTH_SECONDS = 20.0


class Zygote:
    """Forks confined interpreters."""

    def __init__(
        self,
        walls: Walls,
        packages: Sequence[str] = (),
        modules: Sequence[str] = MODULES,
    ) -> None:
        """Make it; nothing runs yet.

        Args:
            walls: how children are confined.
            packages: folders of modules, besides the interpreter's own; seen inside, read-only.
            modules: what is imported beforehand, where it is there.
        """
        self.loaded: Mapping[str, str] = {}
        self._walls, self._modules = walls, modules
        self._hosts = list(packages)
        # As the zygote shows them, to itself and to its children.
        there = [f"{walls.stage}/{n}" for n in range(len(packages))]
        self._packages = [Bind(path, path, "r") for path in there]
        self._lock = asyncio.Lock()
        self._asked = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None

    async def start(self) -> None:
        """Start it and wait for its imports; again is harmless.

        Raises: DeviceFailed, NotEnforced.
        """
        async with self._lock:
            if self._socket is None or (self._process and self._process.poll() is not None):
                await self.close()
                await self._start()

    async def _start(self) -> None:
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        here.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        self._socket = here
        sources = json.dumps({n: p.read_text("utf-8") for n, p in SOURCES.items()}).encode()
        with there, memory_file("sources", sources) as number:
            self._process = subprocess.Popen(  # noqa: S603, ASYNC220 - ours; some ms, once
                [self._walls.python, "-IB", "-c", BOOT.replace("NUMBER", str(number))],
                stdin=there.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[number],
                env={},
                cwd="/",
                start_new_session=True,
            )
        settings = {
            "modules": list(self._modules),
            "packages": self._hosts,
            "stage": self._walls.stage,
            "filter": self._walls.filter.hex(),
            "parent": os.getpid(),
        }
        try:
            here.send(json.dumps(settings).encode())
            async with asyncio.timeout(START_SECONDS):
                told, _ = await message(here)
        except TimeoutError as e:
            raise await self._failed("it did not start in time") from e
        except OSError as e:  # it fell before it had listened
            raise await self._failed(e.strerror or str(e)) from e
        except BaseException:
            await self.close()
            raise
        if told.get("threads") != 1:
            why = told.get("error", f"it started, but with {told.get('threads', 'no')} threads")
            raise await self._failed(why)
        self.loaded = told["loaded"]

    async def spawn(self, job: Job, kit: str = "") -> Interpreter:
        """Fork an interpreter and wait until it takes cells.

        Args:
            job: its folders, its environment and its bounds; `argv`, `stdin` and `seconds` are of
                no use here. `cpu` holds for the interpreter's whole life. Of its overlay only the
                place is made: `Interpreter.lay` lays it. Of its egress only the files and the
                variables are there: it is served by `Interpreter.init` while a cell runs.
            kit: the source of the module `kit`.

        Raises:
            NotEnforced: it can't be held. DeviceFailed: it did not start.
            Invalid: the job is not for here.
        """
        self._walls.check(job)
        for path in (*(b.path for b in job.binds), job.overlay.path if job.overlay else "/work"):
            if f"{path}/".startswith(f"{self._walls.stage}/"):
                raise Invalid(f"{path} is where packages are seen", "take a path such as /work")
        body = await self._birth(job)
        interpreter = Interpreter(body, kit, output=job.output, flood=job.flood)
        await interpreter.start()
        return interpreter

    async def close(self) -> None:
        """End it, and with it all that live still. Again is harmless."""
        if self._process is not None:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    async def _birth(self, job: Job) -> Child:
        walls = self._walls
        with contextlib.ExitStack() as stack:
            group = None
            if walls.groups is not None:
                cell = walls.groups.cell(job.memory, job.processes + walls.own)
                group = stack.enter_context(cell)
            request = walls.request(job, self._packages)
            child = Child(self._lay)
            try:
                async with asyncio.timeout(BIRTH_SECONDS):
                    await self._ask(request, child.numbers)
                    child.handed_over()
                    await child.stand()
                    self._judge(child.init)
                    if group is not None:
                        group.join(child.init)
                    await child.release()
            except BaseException as e:
                await child.discard()
                if isinstance(e, TimeoutError):
                    raise DeviceFailed("the sandbox did not stand in time") from e
                if isinstance(e, (ProcessLookupError, FileNotFoundError)):
                    raise NotEnforced("the sandbox fell while it was built") from e
                raise
            child.after(self._bury, stack.pop_all().close)
        return child

    async def _lay(self, overlay: Overlay, outer: list[int]) -> int:
        """Have a folder laid in a sandbox, by its namespaces. Raises: NotEnforced, DeviceFailed."""
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with here:
            with there:
                await self._ask(self._walls.laying(overlay), [*outer, there.fileno()])
            told, numbers = await message(here)
        if "laid" not in told or not numbers:
            raise NotEnforced(f"the folder can't be shown: {told.get('error', 'it fell')}")
        return numbers[0]

    async def _ask(self, request: Mapping[str, object], numbers: list[int]) -> None:
        """Have it forked. Raises: NotEnforced, DeviceFailed."""
        async with self._lock:
            if self._socket is None:
                raise DeviceFailed("the zygote is not there", "start it")
            self._asked += 1
            asked = json.dumps({**request, "id": self._asked}).encode()
            try:
                socket.send_fds(self._socket, [asked], numbers)
            except OSError as e:
                raise DeviceFailed(f"the zygote can't be asked: {e.strerror}") from e
            answer, _ = await message(self._socket)
            while answer.get("id", self._asked) != self._asked:  # of one that gave up waiting
                answer, _ = await message(self._socket)
        if "gone" not in answer:
            raise NotEnforced(f"the sandbox does not stand: {answer.get('error', 'it is gone')}")

    def _judge(self, pid: int) -> None:
        """See that the first process is who it should be. Raises: NotEnforced."""
        wanted = os.getuid() if self._walls.uid is None else self._walls.uid
        text = Path(f"/proc/{pid}/status").read_text()
        found = {int(uid) for uid in text.partition("Uid:")[2].split()[:3]}
        if wanted == 0 or found != {wanted}:
            raise NotEnforced(f"the sandbox runs as uid {found}, not as {wanted}")

    def _bury(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.send(b"{}")

    async def _failed(self, why: str) -> DeviceFailed:
        await self.close()
        return DeviceFailed(f"the zygote failed: {why}")
