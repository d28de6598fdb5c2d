"""A Store in memory: as strict as a disk, and able to fail or to lose power at any moment.

disk = Disk()
store = MemoryStore(disk, delay=lambda: 0.002)
...
store.crash()              # what was not committed is gone, this store takes nothing more
store = MemoryStore(disk)  # the next boot
"""

import asyncio
import hashlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from oros.abi.errors import Corrupt, DeviceFailed, NotFound, OrosError
from oros.abi.ids import START, BlobId, Pid, Seq
from oros.abi.ports import ProcessRow, Row


@dataclass(slots=True)
class Disk:
    """What is committed. It outlives the stores that open it."""

    events: dict[Pid, list[Row]] = field(default_factory=dict)
    processes: dict[Pid, ProcessRow] = field(default_factory=dict)
    blobs: dict[BlobId, bytes] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Append:
    rows: Sequence[Row]
    processes: Sequence[ProcessRow]
    done: "asyncio.Future[None]"


class MemoryStore:
    """A Store over a `Disk`. Appends wait `delay()` seconds and are committed in groups, in order.

    `appended` sees each append at once, `committed` when it can't be lost any more.
    """

    def __init__(self, disk: Disk, delay: Callable[[], float] = lambda: 0.0) -> None:
        self.disk = disk
        self.delay = delay
        self.appended: Callable[[Sequence[Row]], None] | None = None
        self.committed: Callable[[Sequence[Row]], None] | None = None
        self._queue: deque[_Append] = deque()
        self._failure: OrosError | None = None
        self._commit: asyncio.TimerHandle | None = None

    def append(
        self, rows: Sequence[Row], processes: Sequence[ProcessRow] = ()
    ) -> "asyncio.Future[None]":
        """Queue rows; done when committed. Raises: the error given to `fail`; DeviceFailed."""
        if self._failure is not None:
            raise self._failure
        loop = asyncio.get_running_loop()
        entry = _Append(rows, processes, loop.create_future())
        self._queue.append(entry)
        if self.appended is not None:
            self.appended(rows)
        if self._commit is None:
            self._commit = loop.call_later(self.delay(), self._serve)
        return entry.done

    def _serve(self) -> None:
        """Commit all that is queued, each append whole."""
        self._commit = None
        while self._queue:
            entry = self._queue.popleft()
            try:
                self._check(entry.rows)
            except OrosError as e:
                self._queue.appendleft(entry)
                self.fail(e)
                return
            for row in entry.rows:
                self.disk.events.setdefault(row.pid, []).append(row)
            for process in entry.processes:
                self.disk.processes[process.pid] = process
            if self.committed is not None:
                self.committed(entry.rows)
            if not entry.done.done():
                entry.done.set_result(None)

    def _check(self, rows: Sequence[Row]) -> None:
        last: dict[Pid, int] = {}
        for row in rows:
            have = self.disk.events.get(row.pid)
            before = last.get(row.pid, have[-1].seq if have else START)
            if row.seq != before + 1:
                raise DeviceFailed(f"process {row.pid}: event {row.seq} after {before}")
            last[row.pid] = row.seq

    def fail(self, error: OrosError) -> None:
        """From now on nothing is accepted; who waits for a commit gets the error."""
        self._failure = error
        if self._commit is not None:
            self._commit.cancel()
            self._commit = None
        for entry in self._queue:
            if not entry.done.done():
                entry.done.set_exception(error)
                entry.done.exception()  # one that nobody awaits is no news
        self._queue.clear()

    def crash(self) -> None:
        """The power goes: what is queued is lost and nobody hears of it."""
        self._failure = DeviceFailed("the machine is off")
        if self._commit is not None:
            self._commit.cancel()
            self._commit = None
        self._queue.clear()

    def events(self, pid: Pid, after: Seq = START, upto: Seq | None = None) -> list[Row]:
        """The committed events of a process, in order."""
        rows = self.disk.events.get(pid, [])
        return rows[after : len(rows) if upto is None else upto]

    def processes(self) -> list[tuple[ProcessRow, Seq]]:
        """Each row with the last committed seq of its journal."""
        return [(p, self._last(p.pid)) for _, p in sorted(self.disk.processes.items())]

    def _last(self, pid: Pid) -> Seq:
        rows = self.disk.events.get(pid)
        return rows[-1].seq if rows else START

    def put_blob(self, data: bytes) -> BlobId:
        """Keep bytes under their SHA-256."""
        name = BlobId(hashlib.sha256(data).hexdigest())
        self.disk.blobs[name] = data
        return name

    def get_blob(self, blob: BlobId) -> bytes:
        """Raises: NotFound, Corrupt."""
        data = self.disk.blobs.get(blob)
        if data is None:
            raise NotFound(f"there is no blob {blob[:12]}")
        if hashlib.sha256(data).hexdigest() != blob:
            raise Corrupt(f"blob {blob[:12]} differs from its hash")
        return data

    def get_setting(self, name: str) -> str | None:
        """A small value."""
        return self.disk.settings.get(name)

    def put_setting(self, name: str, value: str) -> None:
        """Set a small value."""
        self.disk.settings[name] = value

    async def close(self) -> None:
        """Commit what is queued, and take nothing more."""
        if self._commit is not None:
            self._commit.cancel()
        self._serve()
        self._failure = DeviceFailed("the store is closed")
