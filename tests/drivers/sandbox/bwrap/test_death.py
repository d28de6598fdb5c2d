"""Nothing outlives a job: at its end, in time, cancelled, or when the daemon is killed."""

import asyncio
import contextlib
import functools
import os
import secrets
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.open_files import descriptors
from tests.waits import until, until_now

import oros
from oros.abi.jobs import Bind, Job
from oros.drivers.descriptors import readable
from oros.drivers.sandbox.bwrap import BwrapSandbox, orphans
from oros.drivers.sandbox.bwrap.execute import _started
from oros.drivers.sandbox.bwrap.tree import open_gate

# Detaches twice from its parent, ignores TERM, lets go of the pipes, beats in the folder.
GRANDCHILD = """
import os, signal, time
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for n in range(3):
        os.close(n)
    while True:
        open("/work/beat", "a").write(".")
        time.sleep(0.01)
while not os.path.exists("/work/beat"):
    time.sleep(0.01)
"""


BOUNDS = (0.5, 4.0, 30.0)
"""Seconds of a job that is to be ended amid its work: as few as let it begin on this machine."""


def beats_on(work: Path) -> bool:
    before = (work / "beat").stat().st_size
    time.sleep(0.1)
    return (work / "beat").stat().st_size > before


def job(sandbox: BwrapSandbox, work: Path, source: str, **bounds) -> Job:
    return Job((*sandbox.python(), "-c", source), (Bind(str(work), "/work", "rw"),), **bounds)


def test_a_daemonised_grandchild_dies_with_the_job(python, work: Path) -> None:
    assert python(GRANDCHILD).exit == 0
    assert not beats_on(work)


def test_a_daemonised_grandchild_dies_in_time(python, work: Path) -> None:
    for seconds in BOUNDS:
        assert python(GRANDCHILD + "time.sleep(60)", seconds=seconds).ended == "time"
        if (work / "beat").exists():
            break
    assert not beats_on(work)


def test_cancel_returns_when_all_are_dead(sandbox: BwrapSandbox, work: Path) -> None:
    async def cancelled() -> bool:
        source = GRANDCHILD + "time.sleep(60)"
        task = asyncio.ensure_future(sandbox.run(job(sandbox, work, source, seconds=90)))
        await until((work / "beat").exists)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        return beats_on(work)

    assert asyncio.run(cancelled()) is False


def alive(marker: str) -> list[str]:
    """Processes of this machine that have the marker in their command line or their parent's."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if marker.encode() in entry.read_bytes():
                found.append(entry.parent.name)
    return found


def test_cancel_at_any_moment_leaves_nothing(sandbox: BwrapSandbox, work: Path) -> None:
    marker = f"m{secrets.token_hex(8)}"
    source = f"open('/work/ran', 'a').write('x'); import time; time.sleep(60)  # {marker}"

    async def cancelled(after: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(after):
                await sandbox.run(job(sandbox, work, source))

    before = descriptors()
    for after in range(0, 60, 3):
        asyncio.run(cancelled(after / 1000))
        assert alive(marker) == [], after
    assert descriptors() <= before
    groups = (name for _, names, _ in os.walk("/sys/fs/cgroup") for name in names)
    assert [g for g in groups if g.startswith(f"oros-{os.getpid()}-")] == []


def test_the_gate_has_no_end_of_file() -> None:
    """It stays shut when the daemon is gone: only a written byte opens it."""
    with open_gate() as gate:
        os.set_blocking(gate, False)
        with pytest.raises(BlockingIOError):
            os.read(gate, 1)


def test_what_a_dead_daemon_left_at_the_gate_is_swept(sandbox: BwrapSandbox, work: Path) -> None:
    async def orphan() -> None:
        source = job(sandbox, work, "open('ran', 'w')")
        start = functools.partial(_started, sandbox._setup(), source, {})
        async with start() as left, start() as kept:
            left._process.kill()  # as the kernel does when the daemon dies
            left._process.wait()
            os.kill(left.init, 0)
            assert orphans.sweep() == 1
            await readable(left._init_fd)
            os.kill(kept.init, 0)

    asyncio.run(orphan())
    assert not (work / "ran").exists()


def test_nothing_outlives_a_killed_daemon(work: Path) -> None:
    daemon = (
        "import asyncio\nfrom oros.abi.jobs import Bind, Job\n"
        "from oros.drivers.sandbox.bwrap import BwrapSandbox\n"
        "async def main():\n s = BwrapSandbox(); await s.probe()\n"
        f" await s.run(Job((*s.python(), '-c', {GRANDCHILD + 'time.sleep(60)'!r}),"
        f" (Bind({str(work)!r}, '/work', 'rw'),)))\nasyncio.run(main())"
    )
    source = str(Path(oros.__file__).parents[1])
    process = subprocess.Popen(
        [sys.executable, "-c", daemon], env={**os.environ, "PYTHONPATH": source}
    )
    until_now(lambda: (work / "beat").exists() and beats_on(work))
    process.kill()
    process.wait()
    until_now(lambda: not beats_on(work))  # the kernel kills them one after another
