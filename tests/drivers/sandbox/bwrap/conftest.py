"""One surveyed sandbox for all tests here, and a folder as a process's workspace."""

import asyncio
from pathlib import Path

import pytest

from oros.abi.jobs import Bind, Job, JobResult
from oros.drivers.sandbox.bwrap import BwrapSandbox, survey


@pytest.fixture(scope="session")
def sandbox() -> BwrapSandbox:
    made = BwrapSandbox()
    report = asyncio.run(made.probe())
    assert report.works, report
    return made


@pytest.fixture(scope="session", params=survey.BACKENDS)
def layered(request: pytest.FixtureRequest) -> BwrapSandbox:
    """A sandbox for each way to lay folders copy-on-write that this machine has."""
    made = BwrapSandbox()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(survey, "BACKENDS", (request.param,))
        report = asyncio.run(made.probe())
    if request.param == "fuse-overlayfs" and not report.works:
        pytest.skip(report.not_held["all"])
    assert report.works, report
    return made


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def python(sandbox: BwrapSandbox, work: Path):
    """Run Python source inside; keywords are those of `Job`."""

    def run(source: str, **bounds) -> JobResult:
        job = Job((*sandbox.python(), "-c", source), (Bind(str(work), "/work", "rw"),), **bounds)
        return asyncio.run(sandbox.run(job))

    return run
