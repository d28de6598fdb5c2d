"""What a person asks of the machine that is no system call: status, models, doctor, replay.

Joins the kernel and the devices into the one object that the gate serves.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from oros.abi import wire
from oros.abi.errors import Invalid, NoCall, OrosError
from oros.abi.ids import PERSON, START, Pid, Seq
from oros.abi.message import Json
from oros.abi.ports import Progress
from oros.abi.syscalls import Outcome
from oros.abi.watch import Fact, Token
from oros.kernel.kernel import Kernel
from oros.services import explain
from oros.services.hub import Hub
from oros.services.replay import replay

Query = Callable[[Mapping[str, Json]], Awaitable[Json]]
Report = Callable[[Progress], None]
Long = Callable[[Mapping[str, Json], Report], Awaitable[Json]]


@dataclass(slots=True)
class Console:
    """One machine as the gate sees it. `boot` adds queries about devices."""

    kernel: Kernel
    version: str
    queries: dict[str, Query] = field(default_factory=dict)
    longs: dict[str, Long] = field(default_factory=dict)
    hub: Hub = field(init=False)

    def __post_init__(self) -> None:
        self.hub = Hub(self.kernel.listen, self.kernel.m.journal.sync)
        self.queries |= {
            "status": self.status,
            "slots": self.slots,
            "replay": self.replay,
            "explain": self.explain,
            "grants": self.grants,
            "live": self.live,
        }

    async def request(self, name: str, args: Mapping[str, Json]) -> Outcome:
        """The person's call, through the one door."""
        return await self.kernel.request(name, args)

    def watch(
        self, pid: Pid | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[Sequence[Fact | Token]]]:
        """Facts and tokens from now on."""
        return self.hub.watch(pid)

    def history(self, pid: Pid, after: Seq = START) -> Sequence[Fact]:
        """Committed facts of a process. Raises: NoProcess."""
        return self.kernel.history(pid, after)

    async def query(self, name: str, args: Mapping[str, Json]) -> Json:
        """Answer a question. Raises: NoCall, and what the query raises."""
        found = self.queries.get(name)
        if found is None:
            raise NoCall(
                f"there is no query {name!r}", f"queries: {' '.join(sorted(self.queries))}"
            )
        return await found(args)

    async def progress(self, name: str, args: Mapping[str, Json]) -> AsyncIterator[Json]:
        """Do something long; yields progress, then `{"result"}` or `{"error"}`."""
        found = self.longs.get(name)
        if found is None:
            raise NoCall(f"there is no {name!r}", f"there are: {' '.join(sorted(self.longs))}")
        steps: asyncio.Queue[Progress | None] = asyncio.Queue()
        async with asyncio.TaskGroup() as tasks:
            work = tasks.create_task(self._settled(found, args, steps))
            while (step := await steps.get()) is not None:
                yield {"what": step.what, "done": step.done, "total": step.total}
        yield work.result()

    @staticmethod
    async def _settled(
        work: Long, args: Mapping[str, Json], steps: "asyncio.Queue[Progress | None]"
    ) -> Json:
        try:
            return {"result": await work(args, steps.put_nowait)}
        except OrosError as e:
            return wire.plain(wire.failed(e))
        finally:
            steps.put_nowait(None)

    def halt(self) -> None:
        """Stop the machine."""
        self.kernel.halt()

    # ---- queries -------------------------------------------------------------------------------

    async def status(self, _: Mapping[str, Json]) -> Json:
        """How the machine stands."""
        m = self.kernel.m
        states: dict[str, int] = {}
        for process in m.table:
            if process.pid != PERSON:
                states[str(process.state)] = states.get(str(process.state), 0) + 1
        return {"version": self.version, "processes": states, "awake": len(m.active)}

    async def slots(self, _: Mapping[str, Json]) -> Json:
        """The slots of each model in use: who holds one, who waits, what its server still takes.

        `slots` is how many calls side by side it is known to take; `opens`: seconds until it may be
        asked again; `left`: requests and tokens, where it tells.
        """
        now = self.kernel.m.world.clock.monotonic()
        return [
            {
                "model": name,
                "slots": int(slots.pace.width),
                "opens": round(slots.pace.delay(0, now), 1),
                "left": {what: int(x.now(now)) for what, x in slots.pace.meters.items()},
                "running": [r.claim.pid for r in slots.running],
                "waiting": [w.claim.pid for w in slots.waiting],
                "preemptions": slots.preemptions,
            }
            for name, slots in self.kernel.m.slots.items()
        ]

    async def replay(self, args: Mapping[str, Json]) -> Json:
        """Decide a run anew, call for call, with model and devices unplugged."""
        process = self.kernel.m.find(pid_of(args))
        await self.kernel.m.journal.sync()
        return replay(self.kernel.m.journal.rows(process.pid)).plain()

    async def explain(self, args: Mapping[str, Json]) -> Json:
        """One call: what was asked, the verdict, the outcome."""
        process = self.kernel.m.find(pid_of(args))
        return dict(explain.explain(self.kernel.m, process, str(args.get("call", ""))))

    async def grants(self, args: Mapping[str, Json]) -> Json:
        """What a process may do on its user's behalf, and what it asks."""
        return explain.grants(self.kernel.m, self.kernel.m.find(pid_of(args)))

    async def live(self, args: Mapping[str, Json]) -> Json:
        """The text that a process is streaming now."""
        active = self.kernel.m.active.get(pid_of(args))
        return {"text": "".join(active.text) if active else ""}


def pid_of(args: Mapping[str, Json]) -> Pid:
    """The pid among arguments, a number or its text. Raises: Invalid."""
    try:
        return Pid(int(args.get("pid", "")))
    except (TypeError, ValueError) as e:
        raise Invalid(f"pid is a number, not {args.get('pid')!r}") from e
