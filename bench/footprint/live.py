"""A thousand processes that think at the same time, against a server that does not answer yet."""

import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from bench.footprint.machine import ROOT, Home

STEPS = (16, 256, 1000)


def server() -> tuple[subprocess.Popen, str]:
    """The mock model server; its first token comes after all has been measured."""
    command = [sys.executable, "-m", "tests.mock_server", "--ttft", "600"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    return process, process.stdout.readline().split()[-1]


def active(base: str) -> int:
    """Requests that the server has in its hands."""
    with urllib.request.urlopen(base + "/stats") as reply:
        return json.loads(reply.read()).get("active", 0)


def floor(base: str) -> float:
    """What plain aiohttp takes for each of a thousand requests."""
    command = [sys.executable, "-m", "bench.footprint.floor", base]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return float(found.stdout)


def measure(report) -> None:
    """Spawn through the daemon's door, step by step; memory and threads at each."""
    process, base = server()
    report.row("a request of plain aiohttp, 1,000 side by side", floor(base), "KB")
    while active(base):
        time.sleep(0.05)
    with tempfile.TemporaryDirectory(prefix="oros-") as folder:
        home = Home(Path(folder))
        home.configure(base, slots=STEPS[-1])
        home.boot()
        sizes, made = {}, 0
        for step in STEPS:
            for n in range(made, step):
                home.client.call("spawn", goal=f"a job with the number {n}", folder=folder)
            while active(base) < step:
                time.sleep(0.05)
            made, sizes[step] = step, home.rss() * 1024
        first = STEPS[0]
        for step in STEPS[1:]:
            each = (sizes[step] - sizes[first]) / (step - first)
            report.row(f"a process in a model call, {step:,} side by side", each, "KB", 40)
        report.row("threads of the daemon then", home.status("Threads"), "", 8)
        home.daemon.kill()
        home.close()
    process.kill()
    process.wait()
    process.stdout.close()
