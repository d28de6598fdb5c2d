"""A sandbox that holds nothing, the real one, and a store in memory."""

import asyncio
import hashlib
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import pytest
from tests.services.layers.trees import copied, layered

from oros.abi.jobs import Job, JobResult, Report
from oros.abi.labels import USER
from oros.abi.ports import Caller
from oros.drivers.sandbox.bwrap.driver import BwrapSandbox
from oros.services.files.resolve import Root
from oros.services.layers.workspaces import Workspaces
from oros.services.run.device import Means, RunDevice


class PlainSandbox:
    """A plain child process in a copy of the folder; for tests only."""

    async def probe(self) -> Report:
        return Report("plain", "0", works=True)

    async def run(self, job: Job) -> JobResult:
        began, ended = time.perf_counter(), "self"
        place = Path(tempfile.mkdtemp())
        before = copied(Root(Path(job.overlay.base)), place / "before")
        after = shutil.copytree(before, place / "after", symlinks=True)
        child = await asyncio.create_subprocess_exec(
            *job.argv, cwd=after, env={**os.environ, **job.env},
            stdin=-1, stdout=-1, stderr=-1, start_new_session=True,
        )  # fmt: skip
        talk = asyncio.ensure_future(child.communicate(job.stdin))
        done, _ = await asyncio.wait([talk], timeout=job.seconds)
        if not done:
            ended = "time"
            os.killpg(child.pid, signal.SIGKILL)
        out, err = await talk
        code = child.returncode
        seconds = time.perf_counter() - began
        layered(before, after, place / "upper")
        upper = os.open(place / "upper", os.O_RDONLY)
        if code < 0:
            return JobResult(None, -code, out, err, seconds=seconds, ended=ended, upper=upper)
        return JobResult(code, None, out, err, seconds=seconds, ended=ended, upper=upper)


class Shelf(dict):
    """The part of a store that a device uses."""

    def __init__(self) -> None:
        self.blobs = {}

    def get_setting(self, name):
        return self.get(name)

    def put_setting(self, name, value) -> None:
        self[name] = value

    def put_blob(self, data):
        key = hashlib.sha256(data).hexdigest()
        self.blobs[key] = data
        return key

    def get_blob(self, key):
        return self.blobs[key]


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def work(tmp_path):
    made = tmp_path / "work"
    made.mkdir()
    return made


@pytest.fixture
def space(work, shelf, tmp_path):
    return Workspaces(shelf, tmp_path / "layers").space(work)


@pytest.fixture
def plain(space, shelf) -> RunDevice:
    return RunDevice(Means(PlainSandbox(), lambda: (sys.executable,)), space, shelf)


@pytest.fixture(scope="session")
def bwrap() -> BwrapSandbox:
    sandbox = BwrapSandbox()
    if not asyncio.run(sandbox.probe()).works:
        pytest.skip("this machine can't hold programs")
    return sandbox


@pytest.fixture(params=["plain", "bwrap"])
def device(request, space, shelf, tmp_path) -> RunDevice:
    if request.param == "plain":
        return request.getfixturevalue("plain")
    sandbox = request.getfixturevalue("bwrap")
    for place in (tmp_path.parent.parent, tmp_path.parent, tmp_path):
        place.chmod(0o755)  # a root daemon's programs have another uid
    return RunDevice(Means(sandbox, sandbox.python), space, shelf)


@pytest.fixture
def user() -> Caller:
    return Caller(7, "k1", USER, since=4e9)
