"""The hash chain of a journal: each row seals the one before it.

`hash = SHA-256(prev, pid, seq, time, kind, label, body)`, each field length-prefixed or of fixed
size, so that no two different rows share an encoding. A row that was altered, dropped or moved
breaks the chain from there on. The first row of a copy seals the row that it was forked from.
"""

import json
import struct
from collections.abc import Iterable
from functools import lru_cache
from hashlib import sha256

from oros.abi.errors import Corrupt
from oros.abi.ids import Pid, Seq
from oros.abi.labels import Label
from oros.abi.ports import Row

_HEAD = struct.Struct("<BqqdIII")


@lru_cache(maxsize=512)
def label_bytes(label: Label) -> bytes:
    """A label in its canonical form."""
    readers = None if label.readers is None else sorted(label.readers)
    return json.dumps([int(label.integrity), readers, sorted(label.origins)]).encode()


def digest(
    pid: Pid, seq: Seq, time: float, kind: str, body: bytes, label: bytes, prev: bytes
) -> bytes:
    """The 32 bytes that seal a row."""
    name = kind.encode()
    head = _HEAD.pack(len(prev), pid, seq, time, len(name), len(label), len(body))
    return sha256(b"".join((head, prev, name, label, body))).digest()


def seal(pid: Pid, seq: Seq, time: float, kind: str, body: bytes, label: bytes, prev: bytes) -> Row:
    """Make a row that seals the one before it; `prev` is b"" for the first."""
    mark = digest(pid, seq, time, kind, body, label, prev)
    return Row(pid, seq, time, kind, body, label, prev, mark)


def verify(rows: Iterable[Row], prev: bytes = b"") -> None:
    """Check that rows are whole and in order, from the hash before them. Raises: Corrupt."""
    last = Seq(0)
    for row in rows:
        right = digest(row.pid, row.seq, row.time, row.kind, row.body, row.label, prev)
        if row.prev != prev or row.hash != right or (last and row.seq != last + 1):
            raise Corrupt(
                f"the journal of process {row.pid} was altered at event {row.seq}",
                "restore the store from a copy; nothing after that event can be trusted",
            )
        prev, last = row.hash, row.seq
