"""`python -m bench.ingest`: index mixed files; speed, memory, and `kill -9` in the midst.

The machine's side is a process of its own, so that its memory can be told from the worker's.
"""

import argparse
import asyncio
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.ingest.corpus import build


async def indexed(top: Path, home: Path, log: Path) -> dict:
    """Index a folder once; figures."""
    from tests.services.index.conftest import House

    from oros.drivers.sandbox.bwrap.driver import BwrapSandbox

    sandbox = BwrapSandbox()
    await sandbox.probe()
    house = House(top, home, sandbox)
    worker, put = dict[str, int](peak=0), house.documents.cache.put

    def told(found: list) -> None:
        put(found)
        with log.open("a") as file:
            file.write(json.dumps([key for key, _ in found]) + "\n")

    if os.environ.get("BENCH_LOG"):
        house.documents.cache.put = told
    began, cpu = time.perf_counter(), time.process_time()
    await house.indexer.once()
    seconds, mine = time.perf_counter() - began, time.process_time() - cpu
    status = house.indexer.status()
    worker["peak"] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    before = time.perf_counter()
    await house.indexer.once()
    again = time.perf_counter() - before
    house.end()
    return {
        "seconds": seconds, "cpu": mine, "again": again, "status": status,
        "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, "runs": house.reader.runs,
        "worker_rss": worker["peak"],
    }  # fmt: skip


def child(top: Path, home: Path, log: Path, *, counted: bool) -> subprocess.Popen:
    words = [sys.executable, "-m", "bench.ingest", "--child", str(top), str(home), str(log)]
    env = {**os.environ, "PYTHONHASHSEED": "0", "BENCH_LOG": "1" if counted else ""}
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=env)


def killed(top: Path, home: Path, log: Path, kills: int) -> tuple[dict, int]:
    """Kill it after as many batches as it takes to have done about a part of the whole."""
    log.touch()
    done = 0
    for _ in range(kills):
        size, running = log.stat().st_size, child(top, home, log, counted=True)
        while running.poll() is None and log.stat().st_size == size:
            time.sleep(0.01)
        time.sleep(0.05 * (done + 1))  # somewhere in the puts or the next batch
        if running.poll() is None:
            os.kill(running.pid, signal.SIGKILL)
            done += 1
        running.communicate()
    return json.loads(child(top, home, log, counted=True).communicate()[0]), done


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.ingest", description=__doc__)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--child", nargs=3, type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        print(json.dumps(asyncio.run(indexed(*args.child))))
        return
    place = Path(tempfile.mkdtemp(prefix="ingest-"))
    try:
        report(place, args.files, args.kills)
    finally:
        shutil.rmtree(place)


def report(place: Path, files: int, kills: int) -> None:
    top, log = place / "files", place / "log"
    top.mkdir()
    counts = build(top, files)
    size = sum(p.stat().st_size for p in top.rglob("*") if p.is_file())
    print("files  " + ", ".join(f"{n} {kind}" for kind, n in counts.items()))
    for name in ("home", "killed"):
        (place / name).mkdir()
    whole = json.loads(child(top, place / "home", log, counted=False).communicate()[0])
    status, seconds = whole["status"], whole["seconds"]
    total = sum(counts.values())
    print(
        f"all    {total} files, {size / 1e6:.1f} MB in {seconds:.1f} s:"
        f" {total / seconds:.0f} files/s, {size / 1e6 / seconds:.2f} MB/s;"
        f" {status['rows']} rows, {status['failed']} failed,"
        f" {whole['runs']} workers"
    )
    print(f"again  {whole['again'] * 1000:.0f} ms to see that nothing changed")
    print(
        f"memory {whole['rss'] / 1024:.0f} MB here at most (cpu {whole['cpu']:.1f} s),"
        f" {whole['worker_rss'] / 1024:.0f} MB in a worker"
    )
    for line in status["failures"][:10]:
        print(f"       {line}")
    after, done = killed(top, place / "killed", log, kills)
    read = [name for line in log.read_text().splitlines() for name in json.loads(line)]
    same = after["status"]["rows"] == status["rows"]
    print(
        f"kill   {done} times kill -9: {after['status']['rows']} rows"
        f" ({'the same' if same else 'NOT the same'}), {len(read) - len(set(read))} of {total}"
        " contents read twice"
    )


if __name__ == "__main__":
    main()
