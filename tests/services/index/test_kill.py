"""`kill -9` in the midst of indexing: it goes on where it was, and reads nothing twice but that."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

VICTIM = """
import asyncio, json, sys
from pathlib import Path
from tests.services.index.conftest import House
from oros.drivers.sandbox.bwrap.driver import BwrapSandbox
from oros.services.index import indexer

top, home, log = map(Path, sys.argv[1:])
indexer.BATCH = 8
house = House(top, home, BwrapSandbox())
read = house.reader.read

async def told(folder, names, ear):
    found = await read(folder, names, ear)
    with log.open("a") as file:
        file.write(json.dumps([(folder / n).read_text().split()[0] for n in names]) + "\\n")
    return found

house.reader.read = told
house.index()
house.end()
print("whole")
"""
FILES, KILLS = 96, 4


def test_killed_and_gone_on(house, tmp_path):
    house.end()
    for n in range(FILES):
        (house.top / f"f{n:03}.txt").write_text(f"name{n:03} is the text of file {n}")
    log = tmp_path / "log"
    log.touch()
    words = [sys.executable, "-c", VICTIM, *map(str, (house.top, house.home, log))]
    kills = 0
    while True:
        size = log.stat().st_size
        child = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=Path.cwd())
        while kills < KILLS and child.poll() is None and log.stat().st_size == size:
            time.sleep(0.005)
        if child.poll() is None and kills < KILLS:
            os.kill(child.pid, signal.SIGKILL)
            kills += 1
            child.communicate()
            continue
        assert child.communicate()[0] == "whole\n"
        break
    house.begin()
    assert kills == KILLS
    rows = house.rows()
    assert rows == [
        (f"f{n:03}.txt", "line 1", f"name{n:03} is the text of file {n}") for n in range(FILES)
    ]
    batches = [json.loads(line) for line in log.read_text().splitlines()]
    read = [name for batch in batches for name in batch]
    twice = len(read) - len(set(read))
    assert len(set(read)) == FILES
    assert twice <= KILLS * 8  # what was in hand at each kill, at most
    assert house.index()["left"] == 0
    assert house.reader.runs == 0
    assert not list((house.home / "index/stage").iterdir())  # copies of the killed are swept
