"""Sequences put away: their states in memory up to a limit, then on disk, least recently used out.

A state is some 12 to 30 KB a token and is read back in milliseconds, where reading the tokens anew
takes seconds. One that is lost or broken costs nothing but that time.
"""

import zlib
from array import array
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

MAGIC = b"oros-kv1"


def shared(a: Sequence[int], b: Sequence[int]) -> int:
    """How many tokens two lists begin with in common."""
    low, high = 0, min(len(a), len(b))
    if a[:high] == b[:high]:
        return high
    while low < high - 1:
        middle = (low + high) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle
    return low


@dataclass(eq=False, slots=True)
class Entry:
    """One state: its tokens, whose it was, and its bytes or the file that has them."""

    tokens: list[int]
    owner: str
    size: int
    state: bytes | None = field(default=None, repr=False)
    file: Path | None = None


class Kept:
    """The store. `stamp` names engine and weights: states of others are not looked at."""

    def __init__(self, folder: Path | None, stamp: str, ram: int, disk: int) -> None:
        """`ram` and `disk` are bytes; without a folder nothing goes to disk."""
        self._folder, self._stamp = folder, stamp
        self._ram, self._disk = ram, disk
        self._entries: OrderedDict[int, Entry] = OrderedDict()
        self._next = 0
        if folder is not None:
            self._recall(folder)

    def _recall(self, folder: Path) -> None:
        """What former workers left, oldest first."""
        found = [(p.stat().st_mtime, p) for p in folder.glob(f"{self._stamp}-*.kv")]
        for _, path in sorted(found):
            tokens = header(path)
            if tokens is None:
                path.unlink(missing_ok=True)
            else:
                self._add(Entry(tokens, "", path.stat().st_size, file=path))

    def __len__(self) -> int:
        return len(self._entries)

    def weight(self) -> tuple[int, int]:
        """Bytes in memory and on disk."""
        entries = self._entries.values()
        ram = sum(e.size for e in entries if e.state is not None)
        return ram, sum(e.size for e in entries if e.state is None)

    def best(self, tokens: Sequence[int]) -> tuple[Entry | None, int]:
        """The entry that shares the longest beginning, and how long that is."""
        found, most = None, 0
        for entry in self._entries.values():
            if (size := shared(entry.tokens, tokens)) > most:
                found, most = entry, size
        return found, most

    def put(self, tokens: list[int], owner: str, state: bytes) -> None:
        """Put a state away; what its owner had before on the same way is superseded."""
        for key, entry in list(self._entries.items()):
            begun = shared(entry.tokens, tokens) == len(entry.tokens)
            if begun and entry.owner == owner and entry.state is not None:
                del self._entries[key]
        self._add(Entry(tokens, owner, len(state), state))
        self._shrink()

    def write(self, tokens: list[int], state: bytes) -> None:
        """Put a state on disk at once, for workers to come."""
        if self._folder is not None:
            self._add(Entry(tokens, "", len(state), state))
            self._spill(self._entries[self._next - 1])
            self._shrink()

    def read(self, entry: Entry) -> bytes | None:
        """The bytes of a state, which stays; None if they are lost, and then it is forgotten."""
        key = next((k for k, e in self._entries.items() if e is entry), None)
        if key is None:
            return None
        self._entries.move_to_end(key)
        state = entry.state if entry.state is not None else body(entry.file)
        if state is None:
            self.forget(entry)
        return state

    def forget(self, entry: Entry) -> None:
        """Drop a state."""
        for key, found in list(self._entries.items()):
            if found is entry:
                del self._entries[key]
        if entry.file is not None:
            entry.file.unlink(missing_ok=True)

    def _add(self, entry: Entry) -> None:
        self._entries[self._next] = entry
        self._next += 1

    def _shrink(self) -> None:
        ram, _ = self.weight()
        for entry in list(self._entries.values()):
            if ram <= self._ram:
                break
            if entry.state is not None:
                ram -= entry.size
                self._spill(entry)
        _, disk = self.weight()
        for entry in list(self._entries.values()):
            if disk <= self._disk:
                break
            if entry.state is None:
                disk -= entry.size
                self.forget(entry)

    def _spill(self, entry: Entry) -> None:
        """From memory to disk, whole or not at all; gone if there is no disk for it."""
        state, entry.state = entry.state, None
        data = array("i", entry.tokens).tobytes()
        name = sha256(data).hexdigest()[:16]
        if self._folder is None or state is None:
            self.forget(entry)
            return
        path = self._folder / f"{self._stamp}-{name}.kv"
        head = MAGIC + len(entry.tokens).to_bytes(4, "little")
        check = zlib.crc32(state, zlib.crc32(data)).to_bytes(4, "little")
        part = path.with_suffix(".part")
        try:
            part.touch(mode=0o600)
            part.write_bytes(b"".join((head, check, data, state)))
            part.replace(path)
        except OSError:
            part.unlink(missing_ok=True)
            self.forget(entry)
            return
        for other in list(self._entries.values()):
            if other is not entry and other.file == path:
                other.file = None
                self.forget(other)
        entry.file = path


def header(path: Path) -> list[int] | None:
    """The tokens of a state on disk; None if it is none."""
    with suppress(OSError), path.open("rb") as file:
        start = file.read(16)
        if start[:8] == MAGIC and len(start) == 16:
            data = file.read(4 * int.from_bytes(start[8:12], "little"))
            if data and len(data) == 4 * int.from_bytes(start[8:12], "little"):
                return list(array("i", data))
    return None


def body(path: Path | None) -> bytes | None:
    """The state in a file; None if it is not as it was written."""
    try:
        data = path.read_bytes() if path is not None else b""
    except OSError:
        return None
    begin = 16 + 4 * int.from_bytes(data[8:12], "little")
    whole = data[:8] == MAGIC and zlib.crc32(data[16:]) == int.from_bytes(data[12:16], "little")
    return data[begin:] if whole else None
