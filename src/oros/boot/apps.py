"""What a person may ask about apps: list, install, remove."""

from collections.abc import Mapping

from oros.abi.message import Json
from oros.services.apps.registry import Apps
from oros.services.console import Long, Query, Report


def queries(apps: Apps) -> dict[str, Query]:
    """What is asked about apps."""

    async def rows(_: Mapping[str, Json]) -> Json:
        return apps.rows()

    return {"apps": rows}


def longs(apps: Apps) -> dict[str, Long]:
    """What is done with apps."""

    async def install(args: Mapping[str, Json], _: Report) -> Json:
        return await apps.install(str(args.get("source", "")), str(args.get("name", "")))

    async def remove(args: Mapping[str, Json], _: Report) -> Json:
        await apps.remove(str(args.get("name", "")))
        return {"removed": args.get("name")}

    return {"apps.install": install, "apps.remove": remove}
