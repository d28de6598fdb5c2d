"""Time, processor, output, processes, memory, files: each bound holds in the real sandbox."""

import asyncio
import resource
import signal
from pathlib import Path

import pytest

from oros.drivers.sandbox.bwrap import BwrapSandbox


def test_endless_loop_is_killed_in_time(python) -> None:
    result = python("while True: pass", seconds=0.3)
    assert (result.ended, result.exit, result.signal) == ("time", None, 9)
    assert 0.3 <= result.seconds < 2


def test_processor_seconds(python) -> None:
    assert python("while True: pass", cpu=1, seconds=20).signal in (signal.SIGXCPU, 9)


def test_flood_is_killed(python) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = python("while True: print('x' * 60_000)", flood=32 << 20, output=1000, seconds=20)
    assert (result.ended, len(result.out)) == ("flood", 1000)
    assert result.cut_out + len(result.out) == 32 << 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16 << 10


def test_fork_bomb(python) -> None:
    result = python(
        "import os, time\nn = 0\n"
        "try:\n while True:\n  n += 1\n  if os.fork() == 0: time.sleep(60)\n"
        "except OSError: print(n, flush=True)",
        processes=40, seconds=20,
    )  # fmt: skip
    assert 20 <= int(result.out) <= 42


def test_memory_bomb_of_several_processes(sandbox: BwrapSandbox, python) -> None:
    source = (
        "import os\nkids, come, go = [], [], os.pipe()\nfor _ in range(4):\n"
        " told, tell = os.pipe()\n p = os.fork()\n if p == 0:\n"
        "  x = bytearray(b'x') * (150 << 20)\n"
        "  os.write(tell, b'.'); os.close(go[1]); os.read(go[0], 1); os._exit(0)\n"
        " os.close(tell)\n kids.append(p)\n come.append(told)\n"
        "for told in come: os.read(told, 1)\n"  # each holds it all by now, or is dead
        "os.close(go[1])\n"
        "print(sum(os.waitstatus_to_exitcode(os.waitpid(k, 0)[1]) == 0 for k in kids))"
    )
    report = asyncio.run(sandbox.probe())
    result = python(source, memory=256 << 20, seconds=60)
    if "mem" in report.held:
        assert result.signal == 9 or int(result.out) < 4
    else:
        assert "mem" in report.not_held
        assert int(python("x = bytearray(300 << 20)", memory=256 << 20).exit or 0) != 0


def test_open_files(python) -> None:
    result = python(
        "import os\nn = 0\ntry:\n while True: os.dup(0); n += 1\nexcept OSError: print(n)"
    )
    assert int(result.out) <= 1024


@pytest.mark.parametrize("place", ["/tmp", "/dev/shm"])
def test_filling_memory_disks(python, place: str) -> None:
    result = python(
        f"n = 0\ntry:\n with open('{place}/f', 'wb', buffering=0) as f:\n"
        "  while True: n += f.write(bytes(1 << 20))\nexcept OSError as e: print(n >> 20, e.errno)",
        tmp_size=8 << 20,
    )
    wrote, error = map(int, result.out.split())
    assert (wrote, error) == (8 if place == "/tmp" else 64, 28)


@pytest.mark.parametrize("place", ["/f", "/dev/f", "/usr/f", "/etc/f", "/proc/f"])
def test_the_rest_is_sealed(python, place: str) -> None:
    assert b"OSError" in python(f"open('{place}', 'w')").err.replace(
        b"PermissionError", b"OSError"
    ).replace(b"FileNotFoundError", b"OSError")


def test_size_of_a_file(python, work: Path) -> None:
    python("open('big', 'wb').write(bytes(3 << 20))", file_size=1 << 20)
    assert (work / "big").stat().st_size == 1 << 20
