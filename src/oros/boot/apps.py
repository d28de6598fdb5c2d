"""What a person may ask about apps and secrets: list, install or set, remove."""

import asyncio
from collections.abc import Mapping

from oros.abi.message import Json
from oros.services.apps.registry import Apps
from oros.services.console import Long, Query, Report
from oros.services.secrets.vault import Vault


def queries(apps: Apps, vault: Vault) -> dict[str, Query]:
    """What is asked about apps and secrets."""

    async def rows(_: Mapping[str, Json]) -> Json:
        return apps.rows()

    async def names(_: Mapping[str, Json]) -> Json:
        return vault.rows()

    return {"apps": rows, "secrets": names}


def longs(apps: Apps, vault: Vault) -> dict[str, Long]:
    """What is done with apps and secrets."""

    async def install(args: Mapping[str, Json], _: Report) -> Json:
        return await apps.install(str(args.get("source", "")), str(args.get("name", "")))

    async def remove(args: Mapping[str, Json], _: Report) -> Json:
        await apps.remove(str(args.get("name", "")))
        return {"removed": args.get("name")}

    async def put(args: Mapping[str, Json], _: Report) -> Json:
        hosts = [str(h) for h in args.get("hosts") or ()]
        name, value = str(args.get("name", "")), str(args.get("value", ""))
        return await asyncio.to_thread(vault.set, name, hosts, value)

    async def drop(args: Mapping[str, Json], _: Report) -> Json:
        return await asyncio.to_thread(vault.remove, str(args.get("name", "")))

    return {
        "apps.install": install,
        "apps.remove": remove,
        "secrets.set": put,
        "secrets.remove": drop,
    }
