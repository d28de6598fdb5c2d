"""What must hold after each step, whatever happens: checked over every append and every commit."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import fields

from oros.abi import chain, wire
from oros.abi.events import CallReturned, Doubted, Event, Forked
from oros.abi.grants import NO_USAGE, Usage
from oros.abi.ids import INIT, PERSON, Pid
from oros.abi.ports import Row
from oros.abi.watch import Fact
from oros.kernel import process as table
from oros.kernel.kernel import Kernel
from oros.kernel.process import Process, State
from oros.scheduling import scheduler
from oros.sdk.testing.memory import Disk, MemoryStore
from oros.services.replay import replay

NAMES = [f.name for f in fields(Process) if f.name not in ("state", "resume")]
AWAKE = {State.READY, State.RUNNING}
SLACK = 1.0
"""Seconds that a budget of seconds may be passed by: what was in flight when it ran out."""


class Watch:
    """Folds the journal a second time, on its own, and compares."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        self.kernel: Kernel | None = None
        self.rows: dict[Pid, Process] = {}
        self.spent: dict[Pid, Usage] = defaultdict(Usage)
        self.doubts: Counter[tuple[Pid, str]] = Counter()
        self.told: set[tuple[Pid, int]] = set()
        self.waits: dict[int, tuple[float, float]] = {}
        self.appends = 0

    def attach(self, kernel: Kernel, store: MemoryStore) -> None:
        """Watch a machine that begins; what was not committed before it was never there."""
        self.kernel = kernel
        self.waits.clear()
        self.rows.clear()
        self.spent.clear()
        self.doubts.clear()
        for _, rows in sorted(self.disk.events.items()):
            for row in rows:
                self._fold(row)
        store.appended = self.appended
        kernel.listen(self.tell)

    # ---- after each append ---------------------------------------------------------------------

    def appended(self, rows: Sequence[Row]) -> None:
        """Fold, then hold against the live machine."""
        assert self.kernel is not None
        self.appends += 1
        for row in rows:
            self._fold(row)
        for pid in {row.pid for row in rows}:
            if pid in self.kernel.m.table:
                self._same(self.rows[pid], self.kernel.m.table[pid])
        self._no_zombie()
        self._in_order()

    def _fold(self, row: Row) -> None:
        event: Event = wire.decode_event(row.kind, row.body)
        if isinstance(event, Forked):
            mirror = self._copy(row.pid, event)
        else:
            mirror = self.rows.setdefault(row.pid, Process(row.pid))
        assert row.seq == mirror.seq + 1 or isinstance(event, Forked), (
            f"event {row.seq} of {row.pid}"
        )
        assert row.prev.hex() == mirror.head or mirror.seq == 0, "the chain is broken"
        before = NO_USAGE if isinstance(event, Forked) else mirror.usage
        table.apply(mirror, event, row.time)
        mirror.seq, mirror.head = row.seq, row.hash.hex()
        self._pay(mirror, before)
        if isinstance(event, Doubted):
            self.doubts[row.pid, event.id] += 1
            assert self.doubts[row.pid, event.id] == 1, "the same doubt was asked twice"
        if isinstance(event, CallReturned) and event.outcome.usage.micros is None:
            raise AssertionError("an effect without a price")

    def _copy(self, pid: Pid, event: Forked) -> Process:
        """The original as of the place it was copied at."""
        found = Process(pid)
        for row in self.lineage(event.of, event.at):
            table.apply(found, wire.decode_event(row.kind, row.body), row.time)
        found.pid, found.seq = pid, 0
        self.rows[pid] = found
        return found

    def lineage(self, pid: Pid, upto: int | None = None) -> list[Row]:
        """The rows of a process, those of its original first."""
        rows = self.disk.events.get(pid, [])[:upto]
        if rows and rows[0].kind == "forked":
            event = wire.decode_event(rows[0].kind, rows[0].body)
            assert isinstance(event, Forked)
            return [*self.lineage(event.of, event.at), *rows]
        return rows

    def _same(self, mirror: Process, live: Process) -> None:
        for name in NAMES:
            mine, theirs = getattr(mirror, name), getattr(live, name)
            assert mine == theirs, f"process {live.pid}: {name} is {theirs!r}, folded {mine!r}"
        alike = mirror.state == live.state or {mirror.state, live.state} <= AWAKE
        assert alike, f"process {live.pid} is {live.state}, folded {mirror.state}"

    def _pay(self, mirror: Process, before: Usage) -> None:
        """Book what an event cost on every account, and look at the limits."""
        used = mirror.usage
        for owner in mirror.accounts:
            account = self.spent[owner]
            self.spent[owner] = Usage(
                account.tokens_in + used.tokens_in - before.tokens_in,
                account.tokens_out + used.tokens_out - before.tokens_out,
                0,
                (account.micros or 0) + (used.micros or 0) - (before.micros or 0),
                account.seconds + used.seconds - before.seconds,
                account.calls + used.calls - before.calls,
            )
            limits, spent = self.rows[owner].limits, self.spent[owner]
            for what, most in (
                ("tokens", limits.tokens),
                ("micros", limits.micros),
                ("calls", limits.calls),
            ):
                have = getattr(spent, what)
                assert most is None or have <= most, (
                    f"{have} {what} of process {owner}'s {most}: {mirror.pid} used {before} {used}"
                )
            if limits.seconds is not None:
                assert spent.seconds <= limits.seconds + SLACK, (
                    f"{spent.seconds} s of {limits.seconds}"
                )

    def _no_zombie(self) -> None:
        for row in self.rows.values():
            if row.state is State.ZOMBIE:
                parent = self.rows.get(row.ppid)
                alive = parent is not None and parent.alive and row.ppid > INIT
                assert alive, f"process {row.pid} is a zombie that nobody will reap"

    def _in_order(self) -> None:
        """No claim took a slot past one that stood before it; so waiting is bounded by ageing."""
        assert self.kernel is not None
        for slots in self.kernel.m.slots.values():
            for lease in slots.running:
                if id(lease) not in self.waits:
                    continue
                since, _ = self.waits.pop(id(lease))
                claim, taken = lease.claim, lease.claim.since
                got = scheduler.level(claim.nice, claim.attained)
                mine = (scheduler.aged(got, taken - since), claim.start)
                for other in slots.waiting:
                    stood, had = self.waits.get(id(other), (taken, 0.0))
                    fresh = other.claim.attained < had  # the person spoke to it since
                    gone = fresh or other.taken.done()
                    if stood >= taken or other.claim.nice != claim.nice or gone:
                        continue
                    want = scheduler.level(other.claim.nice, other.claim.attained)
                    theirs = (scheduler.aged(want, taken - other.claim.since), other.claim.start)
                    assert mine <= theirs, f"{claim.pid} passed {other.claim.pid}: {mine} {theirs}"
            self.waits = {id(x): (x.claim.since, x.claim.attained) for x in slots.waiting}
            assert len(slots.running) <= slots.count, "more leases than slots"

    # ---- what the watchers hear ----------------------------------------------------------------

    def tell(self, items) -> None:
        """A fact that was told is committed, and told once."""
        for item in items:
            if isinstance(item, Fact):
                assert (item.pid, item.seq) not in self.told, "a fact was told twice"
                assert len(self.disk.events[item.pid]) >= item.seq, "told before it was committed"
                self.told.add((item.pid, item.seq))

    def crashed(self) -> None:
        """Nothing that was told is lost."""
        for pid, seq in self.told:
            assert len(self.disk.events.get(pid, [])) >= seq, f"event {seq} of {pid} was lost"

    # ---- at the end ----------------------------------------------------------------------------

    def settled(self) -> None:
        """All is at rest: nothing is held, nobody is left, and every run replays."""
        assert self.kernel is not None
        m = self.kernel.m
        assert {row.pid for row in m.table} == {PERSON, INIT}, [r.pid for r in m.table]
        assert not m.active, m.active
        assert not m.blocked, m.blocked
        assert not m.ends
        for owner, account in m.accounts._open.items():
            assert account.held == NO_USAGE, f"account {owner} still holds {account.held}"
        for slots in m.slots.values():
            assert not slots.running
            assert not slots.waiting
        for pid, rows in self.disk.events.items():
            assert [r.seq for r in rows] == list(range(1, len(rows) + 1))
            chain.verify(rows, rows[0].prev)
            if pid > INIT:
                found = replay(self.lineage(pid))
                assert found.same, f"process {pid}: {found.differs}"
