"""What a person may ask about mounted folders: list, mount, unmount."""

from collections.abc import Mapping

from oros.abi.message import Json
from oros.abi.ports import Clock, Progress
from oros.services.console import Long, Query, Report
from oros.services.homes import AT, Home, Homes
from oros.services.index.indexes import Indexes

LOOK = 0.3
"""Seconds between two looks at how far an index is."""


def queries(homes: Homes, indexes: Indexes) -> dict[str, Query]:
    """What is asked about mounted folders."""

    async def rows(_: Mapping[str, Json]) -> Json:
        return [row(home, indexes) for _, home in sorted(homes.mounted.items())]

    return {"mounts": rows}


def longs(homes: Homes, indexes: Indexes, clock: Clock) -> dict[str, Long]:
    """What is done with mounted folders."""

    async def mount(args: Mapping[str, Json], report: Report) -> Json:
        home = homes.mount(
            str(args.get("folder", "")),
            str(args.get("name", "")),
            read_only=bool(args.get("ro")),
            index=bool(args.get("index")),
        )
        value = {"mounted": f"{AT}{home.name}", "folder": home.folder}
        if not home.index:
            await indexes.drop(home.name)
            return value
        while (found := indexes.status(home.name)) is not None:
            if found["state"] in ("ready", "waiting"):
                break
            report(Progress(f"indexing {home.name}", found["done"], found["total"]))
            await clock.sleep(LOOK)
        return {**value, "index": indexed(found or {})}

    async def umount(args: Mapping[str, Json], _: Report) -> Json:
        home = homes.unmount(str(args.get("name", "")))
        await indexes.drop(home.name)
        return {"unmounted": f"{AT}{home.name}", "folder": home.folder}

    return {"mount": mount, "umount": umount}


def row(home: Home, indexes: Indexes) -> dict[str, Json]:
    """A mounted folder as it is listed."""
    right = "r" if home.read_only else "rw"
    index = indexes.status(home.name) if home.index else None
    return {"name": home.name, "folder": home.folder, "right": right, "index": index}


def indexed(found: Mapping[str, Json]) -> str:
    """How an index stands, in a line."""
    why = f": {found['why']}" if found.get("why") else ""
    return f"{found.get('state')}, {found.get('done')} files, {found.get('failed')} unread{why}"
