"""The text of documents that were read, by the hash of their content; it may be lost."""

import json
import threading
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apsw

from oros.services.index.extract import Answer
from oros.services.index.inside.page import Page, Read

MOST = 512 << 20
"""Bytes of packed text that are kept; then the longest unused goes."""
VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS document(
    hash TEXT PRIMARY KEY, used INTEGER NOT NULL, size INTEGER NOT NULL, body BLOB NOT NULL)
    WITHOUT ROWID;
"""


class Cache:
    """Answers by hash. One that is damaged, or of another version, is begun anew."""

    def __init__(self, path: Path, most: int = MOST) -> None:
        self._path = path
        self._most = most
        self._lock = threading.Lock()
        self._db = self._open()
        self._turn = self._number("SELECT coalesce(max(used),0) FROM document")

    def get(self, key: str) -> Answer | None:
        """What was found in a document, None if it is not known."""
        with self._lock:
            try:
                for (body,) in self._db.execute("SELECT body FROM document WHERE hash=?", (key,)):
                    self._turn += 1
                    self._db.execute("UPDATE document SET used=? WHERE hash=?", (self._turn, key))
                    return unpacked(body)
            except apsw.Error:
                self._anew()
            except (ValueError, KeyError, TypeError, zlib.error):
                self._db.execute("DELETE FROM document WHERE hash=?", (key,))
        return None

    def put(self, found: Sequence[tuple[str, Answer]]) -> None:
        """Keep answers. When there is no room on the disk, they are not kept."""
        with self._lock:
            try:
                with self._db:
                    for key, answer in found:
                        self._turn += 1
                        body = packed(answer)
                        values = key, self._turn, len(body), body
                        self._db.execute("INSERT OR REPLACE INTO document VALUES(?,?,?,?)", values)
                    self._shrink()
            except apsw.FullError:
                return
            except apsw.Error:
                self._anew()

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def _shrink(self) -> None:
        size = self._number("SELECT coalesce(sum(size),0) FROM document")
        if size <= self._most:
            return
        for key, bytes_ in list(
            self._db.execute("SELECT hash, size FROM document ORDER BY used LIMIT 1000")
        ):
            if size <= self._most * 9 // 10:
                return
            self._db.execute("DELETE FROM document WHERE hash=?", (key,))
            size -= bytes_

    def _number(self, query: str) -> int:
        return int(next(iter(self._db.execute(query)))[0])

    def _open(self) -> apsw.Connection:
        try:
            return self._ready()
        except apsw.Error:
            self._remove()
            return self._ready()

    def _ready(self) -> apsw.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path.touch(0o600)
        db = apsw.Connection(str(self._path))
        db.set_busy_timeout(10_000)
        db.execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF")
        if next(iter(db.execute("PRAGMA user_version")))[0] != VERSION:
            db.execute(f"DROP TABLE IF EXISTS document; PRAGMA user_version={VERSION}")
        db.execute(_SCHEMA)
        return db

    def _anew(self) -> None:
        self._db.close()
        self._remove()
        self._db = self._ready()

    def _remove(self) -> None:
        for ending in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + ending).unlink(missing_ok=True)


def packed(answer: Answer) -> bytes:
    """An answer as bytes."""
    plain: object = answer if isinstance(answer, str) else answer.plain()
    return zlib.compress(json.dumps(plain, ensure_ascii=False).encode(), 3)


def unpacked(body: bytes) -> Answer:
    """Its inverse. Raises: ValueError, KeyError, TypeError, zlib.error."""
    plain: Any = json.loads(zlib.decompress(body))
    if isinstance(plain, str):
        return plain
    pages = tuple(Page(*p) for p in plain["pages"])
    return Read(plain["kind"], pages, plain["note"], plain.get("upto", 0.0))
