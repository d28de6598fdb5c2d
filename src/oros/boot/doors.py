"""The doors as the daemon has them: open while they are wanted; what a person may ask of keys."""

import asyncio
from collections.abc import Callable, Mapping

from oros.abi import wire
from oros.abi.errors import OrosError
from oros.abi.message import Json
from oros.abi.ports import Store
from oros.boot.memory import Mind
from oros.gate.doors import Doors, address
from oros.services.console import Console, Long, Query, Report
from oros.services.doors.desk import Desk, Names, Programs
from oros.services.doors.keys import Keys, Wish

LISTEN = "doors.listen"


def made(console: Console, names: Names, programs: Programs, mind: Mind, listen: str) -> "Door":
    """The doors of a machine, and what a person may ask of them."""
    m = console.kernel.m
    keys, texts = Keys(m, m.world.store), mind.documents
    behind = Desk(m, keys, console.hub, names, programs, mind.embedder, texts)
    door = Door(behind, m.world.store, listen, console.halt)
    console.queries |= door.queries()
    console.longs |= door.longs()
    return door


class Door:
    """Where the doors are: what the configuration says, else what `oros serve` said last."""

    def __init__(self, behind: Desk, store: Store, listen: str, halt: Callable[[], None]) -> None:
        self._desk, self._store, self._listen, self._halt = behind, store, listen, halt
        self.doors = Doors(behind, self._fail)

    def _fail(self, _: OrosError) -> None:
        self._halt()

    @property
    def listen(self) -> str:
        """The address that is wanted, "" for none."""
        return self._listen or self._store.get_setting(LISTEN) or ""

    async def keep(self) -> None:
        """Open the doors if they are wanted, and shut them at the end. Raises: Busy, Invalid."""
        self._desk.keys.settle()
        async with self.doors.shut_at_end():
            if self.listen:
                await self.doors.open(self.listen)
            await asyncio.Event().wait()

    # ---- what a person may ask -----------------------------------------------------------------

    def queries(self) -> dict[str, Query]:
        """Questions about the doors."""
        return {"keys": self._keys, "doors": self._state}

    def longs(self) -> dict[str, Long]:
        """What is done with the doors."""
        return {"keys.add": self._add, "keys.revoke": self._revoke, "doors.serve": self._serve}

    async def _keys(self, _: Mapping[str, Json]) -> Json:
        return list(self._desk.keys.rows())

    async def _state(self, _: Mapping[str, Json]) -> Json:
        return {"url": self.doors.address, "listen": self.listen}

    async def _add(self, args: Mapping[str, Json], _: Report) -> Json:
        wish: Wish = wire.decode(Wish, wire.dumps(dict(args)))
        key, secret = await self._desk.keys.add(wish)
        return {"name": key.name, "pid": key.pid, "key": secret, "url": self.doors.address}

    async def _revoke(self, args: Mapping[str, Json], _: Report) -> Json:
        key = self._desk.keys.revoke(str(args.get("name", "")))
        return {"revoked": key.name}

    async def _serve(self, args: Mapping[str, Json], _: Report) -> Json:
        """Open at an address and keep it so, or shut ("")."""
        listen = str(args.get("listen", ""))
        if listen:
            address(listen)
            url = await self.doors.open(listen)
        else:
            await self.doors.shut()
            url = ""
        self._store.put_setting(LISTEN, listen)
        return {"url": url}
