"""The journal in one SQLite file: WAL, one writer thread, group commit, blobs by their hash.

Appends made while a commit runs share the next one; each append is whole or not there. `NORMAL`
survives `kill -9` at any instruction; `FULL` survives power loss too. After a write has failed the
store takes nothing more: what could not be written down must not be acted on.
"""

import asyncio
import errno
import fcntl
import hashlib
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Literal

import apsw

from oros.abi.errors import (
    AccessDenied,
    Busy,
    Corrupt,
    DeviceFailed,
    Newer,
    NoSpace,
    NotFound,
    OrosError,
)
from oros.abi.ids import START, BlobId, Pid, Seq
from oros.abi.ports import ProcessRow, Row

APPLICATION = 0x6F726F73
"""`oros` in ASCII, so that a file of another program is refused."""

MIGRATIONS = (
    """
    CREATE TABLE event(
        pid INTEGER NOT NULL, seq INTEGER NOT NULL, time REAL NOT NULL, kind TEXT NOT NULL,
        body BLOB NOT NULL, label BLOB NOT NULL, prev BLOB NOT NULL, hash BLOB NOT NULL,
        PRIMARY KEY(pid, seq)) WITHOUT ROWID;
    CREATE TABLE process(
        pid INTEGER PRIMARY KEY, seq INTEGER NOT NULL, live INTEGER NOT NULL, state BLOB NOT NULL);
    CREATE TABLE blob(hash TEXT PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID;
    """,
    "CREATE TABLE setting(name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;",
)
"""Step n brings a file from version n to n + 1. A step is never changed, only added."""

VERSION = len(MIGRATIONS)

Batch = tuple[Sequence[Row], Sequence[ProcessRow], "asyncio.Future[None]"]

INSERT = "INSERT INTO event(pid,seq,time,kind,body,label,prev,hash) VALUES(?,?,?,?,?,?,?,?)"
UPSERT = "INSERT OR REPLACE INTO process(pid,seq,live,state) VALUES(?,?,?,?)"
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the system says when nothing more can be written: the disk, a quota or a limit is full."""

SMALL = 65536
"""Blobs up to this size live in the database; larger ones are files beside it."""


class SqliteStore:
    """A Store on one file and a folder of blobs beside it."""

    def __init__(self, path: Path, writer: apsw.Connection, lock: int) -> None:
        self._path = path
        self._writer = writer
        self._lock = lock
        self._reader = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        self._reader.set_busy_timeout(5000)
        self._blobs = path.parent / "blobs"
        self._queue: SimpleQueue[Batch | None] = SimpleQueue()
        self._failure: OrosError | None = None
        self._direct = threading.Lock()
        self._thread = threading.Thread(target=self._serve, name="journal", daemon=True)
        self._thread.start()

    @classmethod
    def open(
        cls, path: Path, *, synchronous: Literal["NORMAL", "FULL"] = "NORMAL"
    ) -> "SqliteStore":
        """Open or make a store.

        Raises: Busy (another machine has it), AccessDenied, Corrupt, Newer, NoSpace.
        """
        lock = take_lock(path)
        try:
            writer = connect(path)
            with explained(writer, path):
                writer.execute("PRAGMA journal_mode=WAL")
                writer.execute(f"PRAGMA synchronous={synchronous}")
                migrate(writer, path)
        except BaseException:
            os.close(lock)
            raise
        return cls(path, writer, lock)

    # ---- writing -------------------------------------------------------------------------------

    def append(
        self, rows: Sequence[Row], processes: Sequence[ProcessRow] = ()
    ) -> "asyncio.Future[None]":
        """Queue rows; done when committed. Raises (at once or later): NoSpace, DeviceFailed."""
        if self._failure is not None:
            raise self._failure
        done = asyncio.get_running_loop().create_future()
        self._queue.put((rows, processes, done))
        return done

    def _serve(self) -> None:
        """The writer: everything that is queued becomes one commit."""
        stop = False
        while not stop:
            first = self._queue.get()
            group: list[Batch] = []
            item: Batch | None = first
            while True:
                if item is None:
                    stop = True
                    break
                group.append(item)
                if self._queue.empty():
                    break
                item = self._queue.get()
            if group:
                self._commit(group)

    def _commit(self, group: list[Batch]) -> None:
        error = self._failure
        if error is None:
            try:
                with explained(self._writer, self._path), self._direct, whole(self._writer):
                    for rows, processes, _ in group:
                        self._writer.executemany(INSERT, rows)
                        if processes:
                            self._writer.executemany(UPSERT, processes)
            except OrosError as e:
                error = self._failure = e
        futures = [done for _, _, done in group]
        with suppress(RuntimeError):  # the loop is gone: nobody waits any more
            futures[0].get_loop().call_soon_threadsafe(resolve, futures, error)

    # ---- reading -------------------------------------------------------------------------------

    def events(self, pid: Pid, after: Seq = START, upto: Seq | None = None) -> list[Row]:
        """The committed events of a process, in order."""
        found = self._look(
            "SELECT pid,seq,time,kind,body,label,prev,hash FROM event"
            " WHERE pid=? AND seq>? AND seq<=? ORDER BY seq",
            (pid, after, (1 << 62) if upto is None else upto),
        )
        return [Row(*row) for row in found]

    def processes(self) -> list[tuple[ProcessRow, Seq]]:
        """Each row with the last committed seq of its journal."""
        found = self._look(
            "SELECT pid,seq,live,state,"
            "(SELECT max(seq) FROM event WHERE event.pid=process.pid) FROM process ORDER BY pid"
        )
        return [
            (ProcessRow(pid, seq, bool(live), state), Seq(last or 0))
            for pid, seq, live, state, last in found
        ]

    def _look(self, query: str, values: tuple[str | int, ...] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query. Raises: Corrupt, DeviceFailed."""
        with explained(self._reader, self._path):
            return list(self._reader.execute(query, values))

    # ---- blobs and settings --------------------------------------------------------------------

    def put_blob(self, data: bytes) -> BlobId:
        """Keep bytes under their SHA-256. Raises: NoSpace, DeviceFailed."""
        name = BlobId(hashlib.sha256(data).hexdigest())
        if len(data) <= SMALL:
            self._now("INSERT OR IGNORE INTO blob(hash,data) VALUES(?,?)", (name, data))
            return name
        place = self._blobs / name[:2] / name
        if place.exists():
            return name
        part = place.with_suffix(f".{os.getpid()}.{threading.get_ident()}")
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(data)
            part.replace(place)
        except OSError as e:
            part.unlink(missing_ok=True)
            kind = NoSpace if e.errno in FULL else DeviceFailed
            raise kind(f"{place.parent}: {e.strerror}", "free some space") from e
        return name

    def get_blob(self, blob: BlobId) -> bytes:
        """The bytes under a hash. Raises: NotFound, Corrupt."""
        for row in self._look("SELECT data FROM blob WHERE hash=?", (blob,)):
            data = bytes(row[0])
            break
        else:
            try:
                data = (self._blobs / blob[:2] / blob).read_bytes()
            except OSError as e:
                raise NotFound(f"there is no blob {blob[:12]}") from e
        if hashlib.sha256(data).hexdigest() != blob:
            raise Corrupt(f"blob {blob[:12]} differs from its hash")
        return data

    def get_setting(self, name: str) -> str | None:
        """A small value."""
        for row in self._look("SELECT value FROM setting WHERE name=?", (name,)):
            return str(row[0])
        return None

    def put_setting(self, name: str, value: str) -> None:
        """Set a small value; committed when this returns. Raises: NoSpace, DeviceFailed."""
        self._now("INSERT OR REPLACE INTO setting(name,value) VALUES(?,?)", (name, value))

    def _now(self, statement: str, values: tuple[str | bytes, ...]) -> None:
        """One small statement on the writer's connection, between two groups."""
        with self._direct, explained(self._writer, self._path):
            self._writer.execute(statement, values)

    async def close(self) -> None:
        """Commit what is queued, and close."""
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)
        self._reader.close()
        self._writer.close()
        os.close(self._lock)


CHECKED = 32 << 20
"""Files up to this size are read through at the start; the hash chain guards larger ones."""


def resolve(futures: "list[asyncio.Future[None]]", error: OrosError | None) -> None:
    """Tell all who wait for a group, on their loop."""
    for future in futures:
        if future.done():
            continue
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)
            future.exception()  # one that nobody awaits is no news: the store refuses from now on


@contextmanager
def whole(db: apsw.Connection) -> Iterator[None]:
    """All statements of the block, or none.

    Not the connection's own block: when SQLite has rolled back by itself, as on a full disk, that
    one fails to roll back, and its error hides the reason.
    """
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


@contextmanager
def explained(db: apsw.Connection, path: Path) -> Iterator[None]:
    """Turn an error of SQLite into ours. Raises: NoSpace, Corrupt, DeviceFailed."""
    try:
        yield
    except apsw.Error as e:
        raise failure(e, path, db.system_errno) from e


def failure(error: apsw.Error, path: Path, number: int = 0) -> OrosError:
    """What an error of SQLite means; `number` is the system's own, if it had one."""
    if isinstance(error, apsw.FullError) or (isinstance(error, apsw.IOError) and number in FULL):
        return NoSpace(f"{path}: the disk is full", "free some space and start again")
    if isinstance(error, apsw.CorruptError | apsw.NotADBError):
        return Corrupt(f"{path}: {error}", "move it aside: a new one is made; nothing is deleted")
    return DeviceFailed(f"{path}: {error}")


def take_lock(path: Path) -> int:
    """Hold the store for this process alone; the lock dies with it.

    Raises: Busy, AccessDenied, NoSpace.
    """
    try:
        lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as e:
        if e.errno in FULL:
            raise NoSpace(f"{path.parent}: {e.strerror}", "free some space") from e
        why = f"{path.parent}: {e.strerror}"
        raise AccessDenied(why, "set OROS_HOME to a folder of yours") from e
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as e:
        os.close(lock)
        raise Busy(f"another oros runs on {path}", "`oros halt` stops it") from e
    return lock


def connect(path: Path) -> apsw.Connection:
    """Open the file, and look whether it is sound. Raises: AccessDenied, Corrupt."""
    try:
        found = apsw.Connection(str(path))
        found.set_busy_timeout(5000)
        big = path.stat().st_size > CHECKED
        check = "SELECT 'ok' FROM sqlite_master" if big else "PRAGMA quick_check(1)"
        answer = found.execute(check).fetchone()
    except apsw.CantOpenError as e:
        raise AccessDenied(f"{path} can't be opened: {e}", "look at its owner and rights") from e
    except apsw.Error as e:
        raise failure(e, path) from e
    if not answer or answer[0] != "ok":
        hint = "move it aside: a new one is made; nothing is deleted"
        raise Corrupt(f"{path}: {answer[0] if answer else 'unreadable'}", hint)
    return found


def migrate(db: apsw.Connection, path: Path) -> None:
    """Bring the file to this version, after a copy. Raises: Newer, Corrupt."""
    ((version, owner, tables),) = db.execute(
        "SELECT user_version, application_id, (SELECT count(*) FROM sqlite_master)"
        " FROM pragma_user_version, pragma_application_id"
    )
    if tables and owner != APPLICATION:
        raise Corrupt(f"{path} belongs to another program", "move it aside, or set OROS_HOME")
    if version > VERSION:
        hint = "use that version, or set OROS_HOME to another folder"
        raise Newer(f"{path} has format {version}, this oros knows {VERSION}", hint)
    if tables and version < VERSION:
        copy = path.with_suffix(f".v{version}.db")
        copy.unlink(missing_ok=True)
        db.execute("VACUUM INTO ?", (str(copy),))
    with whole(db):
        for step in MIGRATIONS[version:]:
            db.execute(step)
        db.execute(f"PRAGMA application_id={APPLICATION}")
        db.execute(f"PRAGMA user_version={VERSION}")
