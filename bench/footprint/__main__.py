"""python -m bench.footprint: what the machine takes when little happens, each figure by its bar.

All of it is measured on real daemons in homes of their own; no model, no key. Takes two minutes;
other work on the cores makes the times worse. Exit code 1 if a bar is missed.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from bench.footprint import live, many
from bench.footprint.machine import Home

ROUNDS = 10


class Report:
    """The table: a figure, its bar, how it was taken."""

    def __init__(self) -> None:
        self.missed = 0
        print("| what | figure | bar | |\n|---|---|---|---|")

    def row(self, what: str, value: float, unit: str, bar: float | None = None) -> None:
        """One line; `bar` is the most that it may be."""
        good = bar is None or value <= bar
        self.missed += not good
        limit = "" if bar is None else f"{bar:g} {unit}"
        digits = 0 if value >= 100 else 1 if value >= 10 else 2
        mark = "" if bar is None else "kept" if good else "MISSED"
        print(f"| {what} | {value:.{digits}f} {unit} | {limit} | {mark} |", flush=True)


@contextmanager
def fresh():
    """A home in a folder that goes away."""
    with tempfile.TemporaryDirectory(prefix="oros-") as folder:
        yield Home(Path(folder))


def start(report: Report) -> None:
    """A daemon without a model: until it says that it is ready (the quickest of five), its size."""
    seconds, sizes = [], []
    for _ in range(5):
        with fresh() as home:
            seconds.append(home.boot())
            sizes.append(home.rss())
            home.close()
    report.row("daemon, from exec to `ready`", min(seconds), "s", 1)
    report.row("daemon, resident memory", statistics.median(sizes), "MB", 80)


def cpu(command: list[str], env: dict[str, str]) -> float:
    """User and system seconds of a command, its median."""
    found = []
    for _ in range(ROUNDS):
        quiet = subprocess.DEVNULL
        child = subprocess.Popen(command, stdout=quiet, stderr=quiet, env=env)
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        assert child.returncode == 0, command
        found.append(used.ru_utime + used.ru_stime)
    return statistics.median(found)


def commands(report: Report) -> None:
    """What a command costs to start, in bare Pythons."""
    with fresh() as home:
        home.boot()
        bare = cpu([sys.executable, "-c", "pass"], home.env)
        report.row("`python -c pass`, CPU, to compare machines", bare * 1000, "ms")
        for words in (["--help"], ["ps"]):
            times = cpu([sys.executable, "-m", "oros", *words], home.env) / bare
            report.row(f"`oros {words[0]}`, CPU of `python -c pass`", times, "times", 15)
        home.close()


def main() -> int:
    """Measure and print; 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=("start", "commands", "many", "live"), default="")
    only = parser.parse_args().only
    parts = {"start": start, "commands": commands, "many": many.measure, "live": live.measure}
    report, begun = Report(), time.perf_counter()
    for name, part in parts.items():
        if only in ("", name):
            part(report)
    print(f"\n{report.missed} missed; took {time.perf_counter() - begun:.0f} s")
    return 1 if report.missed else 0


if __name__ == "__main__":
    sys.exit(main())
