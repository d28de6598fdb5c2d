"""Which build the daemon is of, and whether its code was changed since: told in its status."""

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from oros.abi.message import Json
from oros.sdk.build import build, folders
from oros.services.console import Query


class Build:
    """The build of the code in `root`, as of now; `status` is the query that it is added to.

    `spawned`: a command started this daemon, so a command may start it anew.
    """

    def __init__(self, root: Path, status: Query, *, spawned: bool) -> None:
        self._root = root
        self._status = status
        self._spawned = spawned
        self._times = times(listed(root))
        self._id: asyncio.Future[str] | None = None
        self._stale = False

    async def told(self, args: Mapping[str, Json]) -> Json:
        """How the machine stands, and its build: `{"id", "at", "stale", "spawned"}`.

        `id` is "" until it is known, a moment after it was first asked for.
        """
        if self._id is None:
            self._id = asyncio.ensure_future(asyncio.to_thread(known, self._root))
        self._stale = self._stale or await self._changed(self._id)
        found = self._id.result() if self._id.done() else ""
        about = {"id": found, "at": str(self._root), "stale": self._stale}
        return {**await self._status(args), "build": {**about, "spawned": self._spawned}}

    async def _changed(self, was: asyncio.Future[str]) -> bool:
        """Whether the code is another than it was.

        An upgrade writes its files anew, which changes their folders; so does the first import
        from one, and then the code itself is compared. An edit in place is not seen.
        """
        if times(self._times) == self._times:
            return False
        self._times = times(listed(self._root))
        return await was != await asyncio.to_thread(known, self._root)


def known(root: Path) -> str:
    """The build; "" while files come and go."""
    with suppress(OSError):
        return build(root)
    return ""


def listed(root: Path) -> list[Path]:
    """The folders of the code; none while they come and go."""
    with suppress(OSError):
        return list(folders(root))
    return []


def times(places: Iterable[Path]) -> dict[Path, int]:
    """When each of these folders was changed last, in nanoseconds; -1 for one that is gone."""
    found = {}
    for place in places:
        found[place] = -1
        with suppress(OSError):
            found[place] = place.stat().st_mtime_ns
    return found


def spawned() -> bool:
    """Whether a command started this program: then its words go to the log of its home."""
    with suppress(OSError):
        return Path("/proc/self/fd/2").readlink().parts[-2:] == ("log", "daemon.log")
    return False
