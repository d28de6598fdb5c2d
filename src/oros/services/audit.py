"""Signed heads: what all journals had come to at a time, so that a later rewriting of any shows.

Each journal is a chain of hashes of its own (abi/chain.py). Whoever can write to the store can
write a chain anew, but can't sign what it came to. A seal is an event in the person's journal: the
heads of all journals that grew since the last seal, under the machine's key. The key lies on the
same machine, so against whoever has all of it only a head helps that was noted elsewhere.
"""

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress

from oros.abi import chain, wire
from oros.abi.errors import Corrupt, Invalid, OrosError
from oros.abi.events import Forked, Sealed
from oros.abi.ids import PERSON, START, Pid, Seq
from oros.abi.message import Json
from oros.abi.ports import Progress, Row, Signer
from oros.kernel.machine import Machine

SECONDS = 60.0
"""Between two seals, while anything happens."""

Report = Callable[[Progress], None]


def signed(heads: Sequence[tuple[Pid, Seq, str]], after: str) -> bytes:
    """The bytes that a seal's signature is of: the heads, and that of the person's own journal."""
    return b"oros seal 1\n" + json.dumps([[*map(list, heads)], after]).encode()


class Audit:
    """Seals the journals of one machine, and checks them."""

    def __init__(self, machine: Machine, signer: Signer) -> None:
        self._m = machine
        self._signer = signer
        self._sealed: dict[Pid, Seq] | None = None

    async def keep(self) -> None:
        """Seal what grew, until cancelled. Without a key nothing is sealed: `verify` tells."""
        while True:
            await asyncio.sleep(SECONDS)
            with suppress(OrosError):
                await self.seal()

    async def seal(self) -> None:
        """Sign the heads of all journals that grew; none did: nothing is written."""
        await self._m.journal.sync()
        grown = self._grown()
        if not grown:
            return
        person = self._m.find(PERSON)
        signature = self._signer.sign(signed(grown, person.head)).hex()
        event = Sealed(tuple(grown), person.head, self._signer.public, signature)
        await self._m.journal.sync((person, event))
        self._known().update({pid: seq for pid, seq, _ in grown})

    async def head(self, _: Mapping[str, Json]) -> Json:
        """Seal now; the last seal: to be noted elsewhere as `seal`."""
        await self.seal()
        row, event = next(reversed(self._seals(self._m.world.store.events(PERSON))), (None, None))
        if row is None or event is None:
            raise Invalid("nothing has happened here yet", "start a process first")
        name = f"{row.seq}:{row.hash.hex()}"
        return {"seal": name, "time": row.time, "journals": len(event.heads), "key": event.key}

    async def verify(self, args: Mapping[str, Json], report: Report) -> Json:
        """Check each journal, each seal, and a seal that was noted elsewhere, if one is given.

        Returns `{"ok", "faults", "journals", "events", "seals", "unsealed"}`; `unsealed` are the
        events that no seal covers yet.
        """
        await self._m.journal.sync()
        person = self._m.world.store.events(PERSON)
        seals = self._seals(person)
        faults = [
            *_broken(person),
            *self._forged(seals),
            *_noted(person, str(args.get("seal", ""))),
        ]
        wanted: dict[Pid, dict[Seq, str]] = {}
        for _, event in seals:
            for pid, seq, mark in event.heads:
                wanted.setdefault(pid, {})[seq] = mark
        events, unsealed = len(person), 0
        there = [row.pid for row, _ in self._m.world.store.processes() if row.pid != PERSON]
        for count, pid in enumerate(there):
            report(Progress("checking journals", count, len(there)))
            await asyncio.sleep(0)  # whoever works meanwhile is not kept waiting
            rows = self._m.world.store.events(pid)
            marks = wanted.pop(pid, {})
            faults += [*self._unlike(pid, rows, marks), *_broken(rows)]
            events += len(rows)
            unsealed += sum(r.seq > max(marks, default=START) for r in rows)
        faults += [f"the journal of process {pid} is gone" for pid in wanted]
        found: dict[str, Json] = {"ok": not faults, "faults": [*faults]}
        counts = {"journals": len(there) + 1, "events": events, "seals": len(seals)}
        return found | counts | {"unsealed": unsealed}

    # ---- what is there -------------------------------------------------------------------------

    def _known(self) -> dict[Pid, Seq]:
        """How far each journal is sealed; read from the seals once."""
        if self._sealed is None:
            seals = self._seals(self._m.world.store.events(PERSON))
            self._sealed = {pid: seq for _, event in seals for pid, seq, _ in event.heads}
        return self._sealed

    def _grown(self) -> list[tuple[Pid, Seq, str]]:
        store, known = self._m.world.store, self._known()
        ends = [(row.pid, seq) for row, seq in store.processes()]
        grown = [(pid, seq) for pid, seq in ends if pid != PERSON and known.get(pid) != seq]
        return [(pid, seq, store.events(pid, Seq(seq - 1))[-1].hash.hex()) for pid, seq in grown]

    @staticmethod
    def _seals(rows: Sequence[Row]) -> list[tuple[Row, Sealed]]:
        return [(r, wire.decode(Sealed, r.body)) for r in rows if r.kind == "sealed"]

    # ---- what is wrong with it -----------------------------------------------------------------

    def _forged(self, seals: Sequence[tuple[Row, Sealed]]) -> Iterator[str]:
        try:
            own = self._signer.public
        except OrosError as e:
            yield f"no seal can be checked: {e}"
            return
        for row, event in seals:
            data = signed(event.heads, event.after)
            if event.key != own:
                yield f"seal {row.seq} is signed by another key: {event.key}"
            elif event.after != row.prev.hex() or not self._signer.signed(data, event.signature):
                yield f"the signature of seal {row.seq} is wrong"

    def _unlike(self, pid: Pid, rows: Sequence[Row], marks: Mapping[Seq, str]) -> Iterator[str]:
        """Where a journal is not what was sealed, or not from where it says it was forked."""
        found = {r.seq: r.hash.hex() for r in rows}
        for seq, mark in marks.items():
            if found.get(seq) != mark:
                yield f"event {seq} of process {pid} is not the one that was sealed"
        if rows and rows[0].kind == "forked":
            event: Forked = wire.decode(Forked, rows[0].body)
            from_there = self._m.world.store.events(event.of, Seq(event.at - 1), event.at)
            if [r.hash for r in from_there] != [rows[0].prev]:
                yield f"process {pid} was not forked from event {event.at} of process {event.of}"


def _broken(rows: Sequence[Row]) -> Iterator[str]:
    first = bool(rows) and rows[0].kind == "forked"
    try:
        chain.verify(rows, rows[0].prev if first else b"")
    except Corrupt as e:
        yield e.why


def _noted(rows: Sequence[Row], seal: str) -> Iterator[str]:
    """Whether a seal that was noted elsewhere is there. Raises: Invalid."""
    if not seal:
        return
    seq, _, mark = seal.partition(":")
    if not seq.isdecimal() or len(mark) != 64:
        raise Invalid(f"{seal!r} is no seal", "one is SEQ:HASH, as `oros audit head` prints it")
    if not any(r.seq == int(seq) and r.hash.hex() == mark for r in rows):
        yield f"seal {seq}, which you noted, is not in the journal"
