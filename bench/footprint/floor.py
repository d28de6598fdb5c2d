"""python -m bench.footprint.floor BASE: KB that plain aiohttp takes for a request that waits.

The requests have the body of a small agent's; nothing else is kept of them.
"""

import asyncio
import os
import sys
from pathlib import Path

import aiohttp

FEW, MANY = 16, 1000


def resident() -> float:
    """Resident memory, in KB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4


async def main(base: str) -> None:
    """Send requests that are not answered; print the growth by each."""
    body = {"model": "mock-1", "messages": [{"role": "user", "content": "a job"}], "stream": True}
    sizes, tasks = {}, []
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def wait() -> None:
            async with session.post(f"{base}/chat/completions", json=body):
                pass

        for count in (FEW, MANY):
            tasks += [asyncio.ensure_future(wait()) for _ in range(count - len(tasks))]
            await asyncio.sleep(3)
            sizes[count] = resident()
        print((sizes[MANY] - sizes[FEW]) / (MANY - FEW), flush=True)
        os._exit(0)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
