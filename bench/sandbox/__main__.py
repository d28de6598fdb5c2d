"""python -m bench.sandbox: what a program costs in the sandbox, and its changes as a layer.

The real sandbox and the real layers, no kernel above them; beside them sandbox-runtime and
ipykernel, installed under bench/.venvs when first used. The folder has 10,000 files; a program
makes 202 changes in it. Exit code 1 if a bar is missed.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench import venvs
from bench.footprint.__main__ import Report
from bench.sandbox.warm import interpreters
from oros.abi.jobs import Job, Overlay
from oros.drivers.sandbox.bwrap.driver import BwrapSandbox
from oros.services.files.resolve import Root
from oros.services.layers.capture import capture
from oros.services.layers.diff import text_of
from oros.services.layers.stack import FOR_EVER, Stack
from oros.services.layers.tree import Layer
from oros.services.run.changes import changes_of

FOLDERS, FILES = 100, 100
RUNTIME = "0.0.83"
SETTINGS = {
    "network": {"allowedDomains": [], "deniedDomains": []},
    "filesystem": {"denyRead": [], "allowWrite": ["."], "denyWrite": []},
}
"""Of sandbox-runtime, as its defaults are: no network, reads allowed, writes in the folder."""
EDITS = """
i=0
for f in 0*/00* ; do i=$((i+1)); [ $i -le 100 ] && echo more >> $f; done
i=0
for f in 9*/09* ; do i=$((i+1)); [ $i -le 50 ] && rm $f; done
for i in $(seq 50); do echo $i > 50/new$i; done
rm -r 40
mv 41/000 41/moved
"""


class Settings(dict):
    """Settings in memory."""

    get_setting = dict.get
    put_setting = dict.__setitem__


def ms(seconds: float) -> float:
    """Milliseconds."""
    return seconds * 1000


def clock(act, rounds: int) -> float:
    """Median milliseconds of an act."""
    found = []
    for _ in range(rounds):
        begun = time.perf_counter()
        act()
        found.append(ms(time.perf_counter() - begun))
    return statistics.median(found)


async def timed(act, rounds: int) -> float:
    """The same of a coroutine."""
    found = []
    for _ in range(rounds):
        begun = time.perf_counter()
        await act()
        found.append(ms(time.perf_counter() - begun))
    return statistics.median(found)


def fill(folder: Path, size: int) -> None:
    """A folder of ten thousand files; `size` bytes each, as holes."""
    for a in range(FOLDERS):
        (folder / f"{a:02}").mkdir(parents=True)
        for b in range(FILES):
            with (folder / f"{a:02}" / f"{b:03}").open("wb") as file:
                file.write(b"some text\n")
                file.truncate(max(size, 10))


async def programs(sandbox: BwrapSandbox, top: Path, report: Report) -> None:
    """Cold starts."""
    folder = top / "folder"

    async def run(*argv: str, overlay: bool) -> None:
        over = Overlay("/work", str(folder)) if overlay else None
        result = await sandbox.run(Job(argv, cwd="/work" if overlay else "/tmp", overlay=over))
        assert result.exit == 0, result
        if result.upper is not None:
            os.close(result.upper)

    python = sandbox.python()
    bare = clock(lambda: subprocess.run([*python[:1], "-c", "pass"], check=True), 20)
    report.row("`python -c pass`, bare", bare, "ms")
    kept = await timed(lambda: run(*python, "-c", "pass", overlay=False), 20)
    layered = await timed(lambda: run(*python, "-c", "pass", overlay=True), 20)
    report.row("the same in the sandbox", kept, "ms")
    report.row("the same over a folder of 10,000 files", layered, "ms")
    report.row("that in bare ones", layered / bare, "times", 3)
    runtime(top, bare, layered, report)
    plain, over = [], []
    for _ in range(30):
        plain.append(await timed(lambda: run("true", overlay=False), 1))
        over.append(await timed(lambda: run("true", overlay=True), 1))
    report.row("`true` in the sandbox", statistics.median(plain), "ms")
    more = statistics.median(over) - statistics.median(plain)
    report.row("the overlay, made and let go of", more, "ms", 5)


def runtime(top: Path, bare: float, ours: float, report: Report) -> None:
    """A cold start in sandbox-runtime; a peer that can't run here is told and left out."""
    try:
        commands = venvs.node("sandbox-runtime", f"@anthropic-ai/sandbox-runtime@{RUNTIME}")
    except (OSError, subprocess.CalledProcessError) as e:
        print(f"| sandbox-runtime {RUNTIME} | does not install here: {e} | | |")
        return
    settings, work = top / "settings.json", top / "srt"
    work.mkdir()
    settings.write_text(json.dumps(SETTINGS))
    command = [commands / "srt", "--settings", settings, "-c", "python3 -c pass"]

    def start() -> None:
        done = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False)
        if done.returncode or "rror" in done.stderr:
            raise OSError(done.stderr.strip().splitlines()[-1] if done.stderr else "no word")

    try:
        theirs = clock(start, 10)
    except OSError as e:
        need = "it needs bubblewrap, socat and ripgrep"
        print(f"| sandbox-runtime {RUNTIME} | does not run here ({need}): {e} | | |")
        return
    report.row(f"the same in sandbox-runtime {RUNTIME}", theirs, "ms")
    report.row("that in ours", theirs / ours, "times")
    report.row("that in bare ones", theirs / bare, "times")


async def layers(sandbox: BwrapSandbox, top: Path, folder: Path, report: Report) -> None:
    """The changes of a program: taken, told, brought in, taken back."""
    base, settings = Root(folder), Settings()
    stack = Stack(top / "home", settings, "2-x", base)
    owner = (os.getuid(), os.getgid()) if os.geteuid() == 0 else None
    takes, tells, diffs, commits, undos = [], [], [], [], []
    for number in range(5):
        job = Job(("sh", "-c", EDITS), overlay=Overlay("/work", str(folder), tuple(stack.trees())))
        result = await sandbox.run(job)
        assert result.exit == 0, result.err
        upper, place = Root.held(result.upper, folder), top / f"taken{number}"
        begun = time.perf_counter()
        capture(upper, place, owner)
        takes.append(ms(time.perf_counter() - begun))
        view = stack.view()
        tells.append(clock(lambda p=place, v=view: changes_of(Layer(p), [], v), 1))
        change = stack.add(f"k{number}", number, lambda p, u=upper: capture(u, p, owner))
        seen = stack.seen()
        diffs.append(clock(lambda s=seen: text_of(base, s), 1))
        begun = time.perf_counter()
        assert stack.commit(FOR_EVER, lambda _: "") == {}
        commits.append(ms(time.perf_counter() - begun))
        begun = time.perf_counter()
        assert stack.undo(change) == {}
        undos.append(ms(time.perf_counter() - begun))
    report.row("202 changes, taken into a layer on disk", statistics.median(takes), "ms")
    report.row("told as a list (added, modified ...)", statistics.median(tells), "ms", 10)
    report.row("as a unified diff", statistics.median(diffs), "ms")
    report.row("brought into the folder, crash-safe", statistics.median(commits), "ms")
    report.row("taken back", statistics.median(undos), "ms")


def copies(top: Path, folder: Path, report: Report) -> None:
    """Eight copies of a process that has changes over a folder of a gigabyte."""
    settings = Settings()
    base = Root(folder)
    stack = Stack(top / "forks", settings, "2-x", base)

    def made(place: Path) -> list[str]:
        place.mkdir()
        for number in range(1000):
            (place / f"n{number}").write_text("x")
        return []

    stack.add("k", 1, made)

    def size() -> int:
        found = subprocess.run(["du", "-sk", top / "forks"], capture_output=True, check=True)
        return int(found.stdout.split()[0])

    before, times = size(), []
    for number in range(8):
        begun = time.perf_counter()
        copy = Stack(top / "forks", settings, f"{number + 3}-x", base)
        copy.inherit(stack, 1)
        copy.trees()
        times.append(ms(time.perf_counter() - begun))
    report.row("a copy's files (1 GiB, 10,000 files, 1,000 changed)", max(times), "ms", 50)
    report.row("what it takes on disk", (size() - before) / 8, "KiB", 1024)


async def measure(top: Path, report: Report) -> None:
    """Fill the table."""
    sandbox = BwrapSandbox()
    found = await sandbox.probe()
    assert found.works, found
    await programs(sandbox, top, report)
    await interpreters(sandbox, top / "folder", report)
    await layers(sandbox, top, top / "folder", report)
    copies(top, top / "large", report)


def main() -> int:
    """Measure and print; 1 if a bar is missed."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    report = Report()
    with tempfile.TemporaryDirectory(prefix="oros-") as name:
        top = Path(name)
        top.chmod(0o755)
        fill(top / "folder", 0)
        fill(top / "large", (1 << 30) // 10_000)
        asyncio.run(measure(top, report))
    return 1 if report.missed else 0


if __name__ == "__main__":
    sys.exit(main())
