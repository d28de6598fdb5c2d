"""Ten thousand processes that wait: what each takes, and what it takes to list them."""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.footprint.machine import ROOT, Home

FEW, MANY = 1000, 10000


def idle(*words: object) -> dict[str, float]:
    """Run `bench.footprint.idle` in a process of its own."""
    command = [sys.executable, "-m", "bench.footprint.idle", *map(str, words)]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(found.stdout)


def took(home: Home, *words: str) -> tuple[float, float]:
    """Milliseconds of a command from its exec to its end, and of CPU; the quickest of fifteen."""
    walls, cpus = [], []
    for _ in range(15):
        before, begun = spent(home), time.perf_counter()
        command = [sys.executable, "-m", "oros", *words]
        done = subprocess.run(command, env=home.env, capture_output=True, text=True, check=True)
        walls.append((time.perf_counter() - begun) * 1000)
        cpus.append(spent(home) - before)
        assert str(MANY) in done.stdout
    return min(walls), min(cpus)


def spent(home: Home) -> float:
    """Milliseconds of CPU that the daemon and the commands of this program have had."""
    done = resource.getrusage(resource.RUSAGE_CHILDREN)
    ticks = Path(f"/proc/{home.daemon.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    daemon = sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
    return (done.ru_utime + done.ru_stime + daemon) * 1000


def measure(report) -> None:
    """Fill two homes, and boot on them."""
    with tempfile.TemporaryDirectory(prefix="oros-") as folder:
        few, many = Home(Path(folder) / "few"), Home(Path(folder) / "many")
        idle("fill", few.folder, FEW, "-q")
        grown = idle("fill", many.folder, MANY)["bytes"]
        report.row("an idle process, as it came to rest", grown, "bytes", 1024)
        a, b = idle("hold", few.folder), idle("hold", many.folder)
        slope = (b["bytes"] - a["bytes"]) / (b["processes"] - a["processes"])
        report.row("an idle process, after a boot", slope, "bytes", 1024)
        few.boot()
        small = few.rss()
        few.close()
        report.row("daemon's start on 10,000 processes", many.boot(), "s")
        report.row("the same, resident memory", many.rss(), "MB")
        extra = (many.rss() - small) * 1024 / (MANY - FEW)
        report.row("an idle process, by resident memory", extra, "KB")
        for words in (["ps"], ["ps", "-o", "json"]):
            wall, cpu = took(many, *words)
            name = f"`oros {' '.join(words)}` of 10,000"
            report.row(f"{name}, end to end", wall, "ms", 300)
            report.row(f"{name}, CPU of command and daemon", cpu, "ms")
        report.row("resident memory after that", many.rss(), "MB")
        many.close()
