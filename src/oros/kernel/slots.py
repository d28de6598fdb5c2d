"""Model slots as leases: claims wait in the scheduler's order, a lease can be taken back.

A preempted holder keeps its partial text and claims again; its stream is closed at the server.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from oros.abi.errors import Busy
from oros.abi.ids import Pid
from oros.abi.ports import Clock
from oros.flow.scope import Scope
from oros.kernel.process import Process
from oros.scheduling import scheduler
from oros.scheduling.pace import Pace
from oros.scheduling.scheduler import Claim


@dataclass(slots=True)
class Lease:
    """A slot that is held. `scope` is cancelled when it is taken back."""

    claim: Claim
    scope: Scope
    taken: asyncio.Future[None]
    pace: Pace
    preempted: bool = False
    number: int = 0

    def advanced(self) -> None:
        """A token came: the slice was not in vain."""
        self.claim.advanced = True


@dataclass(slots=True)
class Slots:
    """The slots of one model. `yields`: the model can go on from a partial answer.

    There are `count` to begin with; how many it takes, up to `widest`, and how fast is learned.
    """

    clock: Clock
    count: int
    yields: bool
    widest: int = 0
    chance: Callable[[], float] = lambda: 0.5
    attained: dict[Pid, float] = field(default_factory=dict)
    waiting: list[Lease] = field(default_factory=list)
    running: list[Lease] = field(default_factory=list)
    preemptions: int = 0
    pace: Pace = field(init=False)

    def __post_init__(self) -> None:
        self.pace = Pace(self.count, self.widest)

    @asynccontextmanager
    async def lease(
        self, row: Process, nice: int, fruitless: int, tokens: int = 0
    ) -> AsyncIterator[Lease]:
        """Wait for a slot and hold it; inside, `lease.scope` must be entered around the use."""
        had, now = self.attained.get(row.root, 0.0), self.clock.monotonic()
        claim = Claim(row.pid, row.root, nice, had, row.started, now, fruitless=fruitless)
        claim.tokens = tokens
        lease = Lease(claim, Scope(), asyncio.get_running_loop().create_future(), self.pace)
        self.waiting.append(lease)
        self.fill()
        if not lease.taken.done():
            self.preempt([lease])
        well = False
        try:
            await lease.taken
            yield lease
            well = not lease.preempted
        except Busy as e:
            now = self.clock.monotonic()
            self.pace.refused(lease.number, now, e.retry_after, self.chance())
            raise
        finally:
            self.pace.end(lease.number, well=well)
            self.release(lease)

    def release(self, lease: Lease) -> None:
        """Give a slot (or the wait for one) up, and account for it."""
        if lease in self.running:
            self.running.remove(lease)
            held = self.clock.monotonic() - lease.claim.since
            self.attained[lease.claim.root] = self.attained.get(lease.claim.root, 0.0) + held
        else:
            self.waiting.remove(lease)
        self.fill()

    def arrange(self) -> None:
        """Look at all anew, as time and classes change levels: once a quantum is enough."""
        self.fill()
        giving = sum(r.preempted for r in self.running)
        wanted, now = (w for w in self.waiting if not w.taken.done()), self.clock.monotonic()
        self.preempt(sorted(wanted, key=lambda w: scheduler.rank(w.claim, now))[giving:])

    def fill(self) -> None:
        """Give free slots to the best that wait."""
        now = self.clock.monotonic()
        while self.waiting:
            for lease in self.waiting:
                lease.claim.attained = self.attained.get(lease.claim.root, 0.0)
            # One that was given up, and has not gone yet, takes no slot.
            wanted = [w for w in self.waiting if not w.taken.done()]
            best = scheduler.pick((w.claim for w in wanted), now)
            if best is None or not self.pace.free(len(self.running), best.tokens, now):
                break
            lease = next(w for w in wanted if w.claim is best)
            self.waiting.remove(lease)
            lease.claim.since, lease.number = now, self.pace.begin(best.tokens, now)
            self.running.append(lease)
            lease.taken.set_result(None)

    def preempt(self, wanting: Sequence[Lease]) -> None:
        """Take a slot back for each that is of a strictly better level, worst holders first."""
        now = self.clock.monotonic()
        for lease in wanting if self.yields else ():
            if self.pace.delay(lease.claim.tokens, now) > 0:
                continue
            keep = (r.claim for r in self.running if not r.preempted)
            worst = scheduler.victim(keep, lease.claim, now)
            if worst is not None:
                holder = next(r for r in self.running if r.claim is worst)
                holder.preempted = True
                self.preemptions += 1
                holder.scope.cancel("preempted")

    def renice(self, pid: Pid, nice: int) -> None:
        """A class changed, or was lent by a parent that waits."""
        for lease in (*self.waiting, *self.running):
            if lease.claim.pid == pid:
                lease.claim.nice = nice
        self.arrange()
