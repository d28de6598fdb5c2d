"""The journal: facts are sealed, folded at once, queued for commit, and then told to the watchers.

Only this file appends. `write` folds in memory immediately, in order, so the live state is always
the fold of what was written; what must not be lost before it is acted on is awaited. A store that
fails is a panic: nothing is done that could not be written down.
"""

import asyncio
from asyncio import Future
from collections.abc import Callable, Iterable, Sequence

from oros.abi import chain, intern, wire
from oros.abi.errors import OrosError, Panic
from oros.abi.events import (
    CallEntered,
    Event,
    Exited,
    Forked,
    Mounted,
    Niced,
    Parked,
    Reaped,
    Signalled,
    Spawned,
)
from oros.abi.ids import START, Pid, Seq
from oros.abi.ports import Clock, ProcessRow, Row, Store
from oros.abi.watch import Fact
from oros.kernel import process as table
from oros.kernel import shapes
from oros.kernel.image import Image
from oros.kernel.process import Process, State
from oros.kernel.shapes import Shapes

Entry = tuple[Process, Event]

_ROWED = (Spawned, Forked, Parked, Signalled, Exited, Reaped, Niced, Mounted)
"""Events after which the table's row is stored with them; others are folded again at boot."""


class Journal:
    """Appends to all processes' journals, and folds them."""

    def __init__(self, store: Store, clock: Clock, known: Shapes) -> None:
        self._shapes = known
        self._store = store
        self._clock = clock
        self.images: dict[Pid, Image] = {}
        self.watcher: Callable[[Sequence[Fact]], None] | None = None

    def write(self, *entries: Entry) -> None:
        """Append facts, all of them or none: folded now, committed soon, in order.

        Raises: Panic if the store takes nothing more.
        """
        self._queue(entries).add_done_callback(Future.exception)

    async def sync(self, *entries: Entry, after: Sequence[Callable[[], None]] = ()) -> None:
        """Append facts, do what follows from them, and wait until they can't be lost.

        What follows is done before the wait: a caller that goes away meanwhile changes nothing.
        Whatever is written later is committed later. Raises: Panic.
        """
        done = self._queue(entries)
        for act in after:
            act()
        try:
            await asyncio.shield(done)
        except OrosError as e:
            raise Panic(f"the journal can't be written: {e}") from e

    def _queue(self, entries: Sequence[Entry]) -> Future[None]:
        now = self._clock.wall()
        rows: list[Row] = []
        stored: list[ProcessRow] = []
        facts: list[Fact] = []
        for process, event in entries:
            rows.append(self._append(process, event, now))
            blocked = isinstance(event, CallEntered) and process.on != "call"
            if blocked or isinstance(event, _ROWED):
                stored.append(row_of(process))
            if self.watcher is not None:
                facts.append(Fact(process.pid, process.seq, now, event))
        try:
            done = self._store.append(rows, stored)
        except OrosError as e:
            raise Panic(f"the journal can't be written: {e}") from e
        if facts and self.watcher is not None:
            watcher = self.watcher
            done.add_done_callback(lambda f: None if f.exception() else watcher(facts))
        return done

    def _append(self, process: Process, event: Event, now: float) -> Row:
        """Seal one event and fold it into the row and, if the process is awake, its image."""
        label = chain.label_bytes(process.label)
        prev = bytes.fromhex(process.head)
        seq = Seq(process.seq + 1)
        row = chain.seal(process.pid, seq, now, event.kind, wire.encode(event), label, prev)
        table.apply(process, event, now)
        process.seq, process.head = seq, row.hash.hex()
        image = self.images.get(process.pid)
        if image is not None:
            shapes.absorb(self._shapes, image, event, seq)
        return row

    async def wake(self, process: Process) -> Image:
        """The image of a process; one that slept is folded from its journal, to the very end."""
        while process.pid not in self.images:
            image = self.peek(process.pid)
            if image.seq == process.seq:
                self.images[process.pid] = image
            else:
                await self.sync()
        return self.images[process.pid]

    def peek(self, pid: Pid) -> Image:
        """The image as of what is committed, for a look; a live one is the live one."""
        image = self.images.get(pid)
        if image is None:
            image = Image()
            for row in self.rows(pid):
                event = wire.decode_event(row.kind, row.body)
                shapes.absorb(self._shapes, image, event, row.seq)
        return image

    def sleep(self, process: Process) -> None:
        """Let the image go; the journal has all of it."""
        self.images.pop(process.pid, None)

    def rows(self, pid: Pid, upto: Seq | None = None) -> list[Row]:
        """The rows of a process, those it has from the process it was forked from first."""
        rows = self._store.events(pid, START, upto)
        if rows and rows[0].kind == "forked":
            fork: Forked = wire.decode(Forked, rows[0].body)
            return [*self.rows(fork.of, fork.at), *rows]
        return rows

    def facts(self, pid: Pid, after: Seq = START) -> list[Fact]:
        """The committed facts of a process, of its own journal only."""
        rows = self._store.events(pid, after)
        return [Fact(r.pid, r.seq, r.time, wire.decode_event(r.kind, r.body)) for r in rows]

    def fold(self, pid: Pid, upto: Seq | None = None) -> Process:
        """The row of a process, folded from its journal."""
        return caught_up(Process(pid), self.rows(pid, upto))

    def load(self) -> list[Process]:
        """All rows of the store, each brought up to the end of its journal."""
        found: list[Process] = []
        for stored, last in self._store.processes():
            process: Process = intern.thin(wire.decode(Process, stored.state))
            later = self._store.events(stored.pid, stored.seq) if last > stored.seq else ()
            found.append(caught_up(process, later))
        return found


def caught_up(process: Process, rows: Iterable[Row]) -> Process:
    """A row of the table with later facts folded into it."""
    for row in rows:
        table.apply(process, wire.decode_event(row.kind, row.body), row.time)
        process.seq, process.head = row.seq, row.hash.hex()
    return process


def row_of(process: Process) -> ProcessRow:
    """The row as the store keeps it."""
    live = process.state is not State.REAPED
    return ProcessRow(process.pid, process.seq, live, wire.encode(process))
