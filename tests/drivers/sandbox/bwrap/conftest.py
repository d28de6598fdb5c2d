"""One surveyed sandbox for all tests here, and a folder as a process's workspace."""

import asyncio
from pathlib import Path

import pytest

from oros.abi.jobs import Bind, Job, JobResult
from oros.drivers.sandbox.bwrap import BwrapSandbox


@pytest.fixture(scope="session")
def sandbox() -> BwrapSandbox:
    made = BwrapSandbox()
    report = asyncio.run(made.probe())
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
