"""The probes of the sandbox beside this one, bare and as a cell; prints both.

python escape.py    prints {"bare": {...}, "sandbox": {...}, "loaded": {...}}
"""

import asyncio
import json
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from forked import forked, job, zygote
from host import PROBES, bare, traps

from oros.abi.jobs import Overlay


async def inside(work: Path, told: dict) -> tuple[dict, dict]:
    leak = os.open(told["canary"], os.O_RDONLY)
    os.set_inheritable(leak, True)
    os.environ["SECRET"] = told["secret"]
    words = ["probes.py", json.dumps({**told, "work": "/work"})]
    over = Overlay("/work", str(work))
    asked = replace(job(work), binds=(), overlay=over)
    async with zygote() as made, forked(made, asked) as it:
        os.close(await it.lay(over))
        await it.run_cell(f"import sys; sys.argv[:] = {words!r}")
        found = await it.run_cell(PROBES.read_text(), 100)
        assert found.error is None, found.error.text
        assert found.ended == "self", found
    os.close(leak)
    return json.loads(found.out), dict(made.loaded)


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        works = [folder / "bare", folder / "inside"]
        for work in works:
            work.mkdir(mode=0o700)
        with traps(folder) as told:
            free = bare(works[0], told)
            held, loaded = asyncio.run(inside(works[1], told))
    json.dump({"bare": free, "sandbox": held, "loaded": loaded}, sys.stdout)


if __name__ == "__main__":
    main()
