"""A job's output, limits and death, in the real sandbox."""

import asyncio
import contextlib
import functools
import hashlib
import os
import resource
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

import oros
from oros.abi.errors import Invalid, NotEnforced
from oros.abi.ports import Bind, Job
from oros.drivers.sandbox.bwrap import BwrapSandbox, orphans
from oros.drivers.sandbox.bwrap.execute import _started
from oros.drivers.sandbox.bwrap.tree import open_gate, readable

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


def beats_on(work: Path) -> bool:
    before = (work / "beat").stat().st_size
    time.sleep(0.1)
    return (work / "beat").stat().st_size > before


def job(sandbox: BwrapSandbox, work: Path, source: str, **bounds) -> Job:
    return Job((*sandbox.python(), "-c", source), (Bind(str(work), "/work", "rw"),), **bounds)


# ---- what comes back


def test_output_exit_and_folder(python, work: Path) -> None:
    result = python(
        "import os, sys; print(os.getcwd(), os.getuid()); print('no', file=sys.stderr);"
        "open('made', 'w').write('x'); sys.exit(7)"
    )
    assert (result.exit, result.signal, result.ended) == (7, None, "self")
    assert (result.out, result.err) == (b"/work 1000\n", b"no\n")
    assert (result.cut_out, result.cut_err) == (0, 0)
    assert (work / "made").read_text() == "x"


def test_what_it_makes_belongs_to_the_owner_of_the_folder(python, work: Path) -> None:
    (work / "mine").write_text("a")
    (work / "mine").chmod(0o600)
    assert python("open('mine', 'a').write('b'); import os; os.mkdir('dir')").exit == 0
    assert (work / "mine").read_text() == "ab"
    assert (work / "dir").stat().st_uid == work.stat().st_uid == os.geteuid()


def test_a_folder_of_somebody_else(sandbox: BwrapSandbox, work: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root has folders of others")
    os.chown(work, 4242, 4243)
    assert asyncio.run(sandbox.run(job(sandbox, work, "open('made', 'w')"))).exit == 0
    made = (work / "made").stat()
    assert (made.st_uid, made.st_gid) == (4242, 4243)


def test_a_signal_is_told(python) -> None:
    result = python("import os; os.kill(os.getpid(), 15)")
    assert (result.exit, result.signal) == (None, 15)


def test_stdin_comes_from_memory(python) -> None:
    sent = bytes(range(256)) * 4096
    result = python(
        "import sys, hashlib; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())",
        stdin=sent,
    )
    assert result.out.decode().strip() == hashlib.sha256(sent).hexdigest()


def test_environment_is_the_jobs_alone(python, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "canary")
    result = python("import os; print(os.environ['A'], 'SECRET' in os.environ)", env={"A": "ü"})
    assert result.out.decode() == "ü False\n"


def test_a_read_only_folder(sandbox: BwrapSandbox, work: Path) -> None:
    (work / "a").write_text("a")
    run = Job(("sh", "-c", "cat a; echo > a"), (Bind(str(work), "/work", "r"),))
    result = asyncio.run(sandbox.run(run))
    assert (result.out, result.exit != 0, (work / "a").read_text()) == (b"a", True, "a")


def test_many_at_once(sandbox: BwrapSandbox, work: Path) -> None:
    async def all_of_them() -> list[bytes]:
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(sandbox.run(job(sandbox, work, f"print({n})"))) for n in range(8)
            ]
        return [t.result().out for t in tasks]

    assert asyncio.run(all_of_them()) == [f"{n}\n".encode() for n in range(8)]


def test_long_output_keeps_head_and_tail_and_spools_all(sandbox: BwrapSandbox, work: Path) -> None:
    spooled = {"out": b"", "err": b""}

    def spool(stream, data: bytes) -> None:
        spooled[stream] += data

    source = "print('a' * 300_000 + 'b' * 300_000, end='')"
    result = asyncio.run(sandbox.run(job(sandbox, work, source, output=1000), spool))
    assert result.out == b"a" * 500 + b"b" * 500
    assert result.cut_out == 599_000
    assert spooled == {"out": b"a" * 300_000 + b"b" * 300_000, "err": b""}


# ---- what is refused


def test_no_such_program(sandbox: BwrapSandbox) -> None:
    with pytest.raises(Invalid, match="nope"):
        asyncio.run(sandbox.run(Job(("/nope",), cwd="/tmp")))


@pytest.mark.parametrize(
    "bad",
    [
        Job(()),
        Job(("a\0b",)),
        Job(("true",), (Bind("/nonexistent", "/work", "r"),)),
        Job(("true",), (Bind("/tmp", "/etc", "rw"),)),
        Job(("true",), (Bind("/tmp", "/work/../usr", "rw"),)),
        Job(("true",), (Bind("/tmp", "/tmp", "rw"),)),
        Job(("true",), cwd="/nowhere"),
        Job(("true",), cwd="/tmp", env={"A=B": "c"}),
        Job(("true",), cwd="/tmp", memory=0),
        Job(("true", "x" * 200_000), cwd="/tmp"),
    ],
)
def test_a_job_that_makes_no_sense(sandbox: BwrapSandbox, bad: Job) -> None:
    with pytest.raises(Invalid):
        asyncio.run(sandbox.run(bad))


def test_python_before_the_probe() -> None:
    with pytest.raises(NotEnforced):
        BwrapSandbox().python()


def test_a_limit_that_is_refused_stops_the_job(
    sandbox: BwrapSandbox, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, text: str) -> int:
        raise PermissionError(1, "no")

    monkeypatch.setattr(Path, "write_text", refuse)
    with pytest.raises(NotEnforced):
        asyncio.run(sandbox.run(job(sandbox, work, "open('ran', 'w')")))
    assert not (work / "ran").exists()


def test_no_bubblewrap_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oros.drivers.sandbox.bwrap.survey._binaries", lambda: iter(()))
    made = BwrapSandbox()
    report = asyncio.run(made.probe())
    assert not report.works
    assert "apt-get install bubblewrap" in report.fix
    with pytest.raises(NotEnforced) as caught:
        asyncio.run(made.run(Job(("true",))))
    assert caught.value.hint == report.fix


def test_root_is_never_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() != 0:
        pytest.skip("an ordinary user has nothing to drop")
    assert not asyncio.run(BwrapSandbox(uid=0).probe()).works


@pytest.mark.parametrize(
    ("dropped", "missing"),
    [("--seccomp", "syscalls"), ("--unshare-net", "net"), ("--unshare-ipc", "ipc")],
)
def test_the_survey_finds_what_is_open(
    dropped: str, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bubblewrap that leaves one thing out is found out by running it."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        fake = Path(folder, "bwrap")
        fake.write_text(
            f"#!/usr/bin/python3\nimport os, sys\ni = sys.argv.index('--args')\n"
            f"words = open(int(sys.argv[i + 1])).read().split('\\0')\n"
            f"at = words.index({dropped!r}); del words[at : at + {1 + (dropped == '--seccomp')}]\n"
            f"os.execv({shutil.which('bwrap')!r}, ['bwrap', *words, *sys.argv[i + 2:]])\n"
        )
        fake.chmod(0o755)
        monkeypatch.setattr(
            "oros.drivers.sandbox.bwrap.survey._binaries", lambda: iter([str(fake)])
        )
        made = BwrapSandbox()
        report = asyncio.run(made.probe())
        assert not report.works
        assert missing in report.not_held
        with pytest.raises(NotEnforced, match=missing):
            asyncio.run(made.run(Job(("true",))))


def test_a_folder_that_cannot_be_mapped_is_refused_with_the_reason(
    sandbox: BwrapSandbox,
) -> None:
    """procfs can't be idmapped, nor shown as it is to the uid that root drops to."""
    if os.geteuid() != 0:
        pytest.skip("an ordinary user's folders are shown as they are")
    with pytest.raises(NotEnforced, match="idmap of /proc/self/attr"):
        asyncio.run(sandbox.run(Job(("true",), (Bind("/proc/self/attr", "/work", "rw"),))))


# ---- limits


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
        "import os, time\nkids = []\nfor _ in range(4):\n p = os.fork()\n if p == 0:\n"
        "  x = bytearray(b'x') * (150 << 20); time.sleep(0.5); os._exit(0)\n"
        " kids.append(p)\n"
        "print(sum(os.waitstatus_to_exitcode(os.waitpid(k, 0)[1]) == 0 for k in kids))"
    )
    report = asyncio.run(sandbox.probe())
    result = python(source.replace("os.read(0, 1)", "__import__('time').sleep(0.5)"),
                    memory=256 << 20, seconds=20)  # fmt: skip
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


# ---- death


def test_a_daemonised_grandchild_dies_with_the_job(python, work: Path) -> None:
    assert python(GRANDCHILD).exit == 0
    assert not beats_on(work)


def test_a_daemonised_grandchild_dies_in_time(python, work: Path) -> None:
    assert python(GRANDCHILD + "time.sleep(60)", seconds=0.5).ended == "time"
    assert not beats_on(work)


def test_cancel_returns_when_all_are_dead(sandbox: BwrapSandbox, work: Path) -> None:
    async def cancelled() -> bool:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await sandbox.run(job(sandbox, work, GRANDCHILD + "time.sleep(60)"))
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


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


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
    assert descriptors() == before
    assert not list(Path("/sys/fs/cgroup").glob(f"**/oros-{os.getpid()}-*"))


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
        "import asyncio\nfrom oros.abi.ports import Bind, Job\n"
        "from oros.drivers.sandbox.bwrap import BwrapSandbox\n"
        "async def main():\n s = BwrapSandbox(); await s.probe()\n"
        f" await s.run(Job((*s.python(), '-c', {GRANDCHILD + 'time.sleep(60)'!r}),"
        f" (Bind({str(work)!r}, '/work', 'rw'),)))\nasyncio.run(main())"
    )
    source = str(Path(oros.__file__).parents[1])
    process = subprocess.Popen(
        [sys.executable, "-c", daemon], env={**os.environ, "PYTHONPATH": source}
    )
    deadline = time.monotonic() + 20
    while not (work / "beat").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert beats_on(work)
    process.kill()
    process.wait()
    time.sleep(0.2)
    assert not beats_on(work)
