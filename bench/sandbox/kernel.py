"""Runs in the venv of ipykernel: a kernel by jupyter_client over ipc; JSON, in ms and MB."""

import asyncio
import json
import statistics
import time
from pathlib import Path

from jupyter_client.manager import AsyncKernelManager


async def execute(client, code: str) -> float:
    """Run a cell until the kernel is idle; milliseconds."""
    begun = time.perf_counter()
    asked = client.execute(code)
    while True:
        said = await client.get_iopub_msg(timeout=60)
        idle = said["msg_type"] == "status" and said["content"]["execution_state"] == "idle"
        if idle and said["parent_header"].get("msg_id") == asked:
            return (time.perf_counter() - begun) * 1000


def private(pid: int) -> float:
    """Memory that is a process's own, in MB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(x.split()[1]) for x in lines if x.startswith("Private_")) / 1024


async def main() -> None:
    """One kernel."""
    manager = AsyncKernelManager(kernel_name="python3", transport="ipc")
    begun = time.perf_counter()
    await manager.start_kernel()
    client = manager.client()
    client.start_channels()
    await client.wait_for_ready(timeout=60)
    await execute(client, "import pandas, matplotlib.pyplot; pandas.DataFrame({'a': [1]})")
    start = (time.perf_counter() - begun) * 1000
    cells = [await execute(client, "1+1") for _ in range(200)]
    found = {"start": start, "cell": statistics.median(cells), "p99": sorted(cells)[197]}
    found["private"] = private(manager.provisioner.pid)
    await manager.shutdown_kernel(now=True)
    print(json.dumps(found))


asyncio.run(main())
