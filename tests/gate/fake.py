"""A machine that only plays its part: answers are set by the test, facts are told by it."""

import asyncio
import inspect
import threading
from contextlib import contextmanager
from pathlib import Path

from oros.abi.errors import NoCall, NoProcess
from oros.abi.ids import START, Pid, Seq
from oros.abi.syscalls import Outcome
from oros.abi.watch import Fact, Token
from oros.gate.http import Gate
from oros.sdk.build import place
from oros.services.hub import Hub


async def settled() -> None:
    """Nothing is queued here."""


OURS = {"id": "", "at": str(place()), "stale": False, "spawned": True}


class FakeMachine:
    """`answers`, `queries` and `longs` map a name to a value or a function of the arguments."""

    def __init__(self) -> None:
        self.hub = Hub(lambda _: None, settled)
        self.answers: dict = {}
        self.queries: dict = {
            "status": {"version": "1", "processes": {}, "awake": 0, "build": OURS}
        }
        self.longs: dict = {}
        self.calls: list = []
        self.facts: dict[int, list[Fact]] = {}
        self.cancelled: list[str] = []
        self.halted = asyncio.Event()
        self.loop: asyncio.AbstractEventLoop | None = None

    async def request(self, name, args):
        self.calls.append((name, dict(args)))
        if name not in self.answers:
            raise NoCall(f"there is no call {name!r}")
        try:
            found = self.answers[name]
            found = found(args) if callable(found) else found
            found = await found if inspect.isawaitable(found) else found
        except asyncio.CancelledError:
            self.cancelled.append(name)
            raise
        return found if isinstance(found, Outcome) else Outcome(value=found)

    def watch(self, pid=None):
        return self.hub.watch(pid)

    def history(self, pid, after=START):
        if pid not in self.facts:
            raise NoProcess(f"there is no process {pid}", "`oros ps -a` lists them")
        return [f for f in self.facts[pid] if f.seq > after]

    async def query(self, name, args):
        self.calls.append((f"query {name}", dict(args)))
        if name not in self.queries:
            raise NoCall(f"there is no query {name!r}")
        found = self.queries[name]
        return found(args) if callable(found) else found

    async def progress(self, name, args):
        self.calls.append((f"progress {name}", dict(args)))
        if name not in self.longs:
            raise NoCall(f"there is no {name!r}")
        for step in self.longs[name]:
            await asyncio.sleep(0)
            yield step

    def halt(self) -> None:
        self.halted.set()

    def tell(self, pid: int, *events, time: float = 1000.0) -> None:
        """Commit events of a process, and tell the watchers."""
        own = self.facts.setdefault(pid, [])
        new = [Fact(Pid(pid), Seq(len(own) + n + 1), time, e) for n, e in enumerate(events)]
        own += new
        self.hub.publish(new)

    def say(self, pid: int, *texts: str) -> None:
        """Stream tokens."""
        self.hub.publish([Token(Pid(pid), t) for t in texts])

    def soon(self, act, *args, **kwargs) -> None:
        """Do something in the machine's own thread, and wait until it is done."""
        done = threading.Event()

        def run() -> None:
            act(*args, **kwargs)
            done.set()

        self.loop.call_soon_threadsafe(run)
        assert done.wait(60)


@contextmanager
def serving(home: Path, machine: FakeMachine | None = None):
    """A gate to a fake machine, in a thread of its own, for clients that block."""
    machine = machine or FakeMachine()
    ready, stop = threading.Event(), asyncio.Event()

    async def main() -> None:
        machine.loop = asyncio.get_running_loop()
        async with Gate(machine, home).open():
            ready.set()
            async with asyncio.TaskGroup() as tasks:
                waits = [tasks.create_task(e.wait()) for e in (stop, machine.halted)]
                for wait in asyncio.as_completed(waits):
                    await wait
                    break
                for wait in waits:
                    wait.cancel()
        await stop.wait()  # a halted gate closes at once, its loop only when the test is over

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    try:
        assert ready.wait(60)
        yield machine
    finally:
        machine.loop.call_soon_threadsafe(stop.set)
        thread.join(60)
        assert not thread.is_alive()
