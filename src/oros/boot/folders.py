"""What a person may ask about mounted folders: list, mount, unmount."""

from collections.abc import Mapping

from oros.abi.message import Json
from oros.services.console import Long, Query, Report
from oros.services.homes import AT, Home, Homes


def queries(homes: Homes) -> dict[str, Query]:
    """What is asked about mounted folders."""

    async def rows(_: Mapping[str, Json]) -> Json:
        return [row(home) for _, home in sorted(homes.mounted.items())]

    return {"mounts": rows}


def longs(homes: Homes) -> dict[str, Long]:
    """What is done with mounted folders."""

    async def mount(args: Mapping[str, Json], _: Report) -> Json:
        home = homes.mount(
            str(args.get("folder", "")),
            str(args.get("name", "")),
            read_only=bool(args.get("ro")),
            index=bool(args.get("index")),
        )
        return {"mounted": f"{AT}{home.name}", "folder": home.folder}

    async def umount(args: Mapping[str, Json], _: Report) -> Json:
        home = homes.unmount(str(args.get("name", "")))
        return {"unmounted": f"{AT}{home.name}", "folder": home.folder}

    return {"mount": mount, "umount": umount}


def row(home: Home) -> dict[str, Json]:
    """A mounted folder as it is listed."""
    right = "r" if home.read_only else "rw"
    return {"name": home.name, "folder": home.folder, "right": right, "index": None}
