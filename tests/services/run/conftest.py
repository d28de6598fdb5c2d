"""A sandbox that holds nothing, the real one, and a store in memory."""

import asyncio
import hashlib
import os
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest
from tests.services.layers.trees import copied, layered

from oros.abi.jobs import Job, JobResult, Report
from oros.abi.labels import USER
from oros.abi.ports import Caller
from oros.drivers.egress.netns.server import Outside
from oros.drivers.egress.netns.way import Way
from oros.drivers.sandbox.bwrap.driver import BwrapSandbox
from oros.drivers.sandbox.zygote.warm import Zygote
from oros.services.files.resolve import Root
from oros.services.layers.workspaces import Workspaces
from oros.services.run.cells import Cells
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


@pytest.fixture(params=["cold", "warm"])
def perform(request, bwrap, space, shelf):
    """Runs of one process, one after another; their outcomes. "warm": in its own interpreter.

    The web is `perform.pages`: by path, for all that is granted.
    """
    pages = {"/": b"hello", "/a": b"hello"}

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        page = pages[(await reader.readuntil(b"\r\n\r\n")).split()[1].decode()]
        head = f"Content-Length: {len(page)}\r\nContent-Type: text/html\r\nConnection: close"
        writer.write(f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n".encode() + page)
        await writer.drain()
        writer.close()

    async def make() -> Zygote:
        return Zygote(await bwrap.walls(), modules=())

    async def main(who, hosts, sources):
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]

        async def resolve(name, _):
            return [ip_address("93.184.216.34")] if name.endswith("example.com") else []

        async def connect(_, __):
            return await asyncio.open_connection("127.0.0.1", port)

        outside = Outside(resolve=resolve, connect=connect)
        way = (lambda record: Way(hosts, record, outside)) if hosts else None
        cells = Cells(make, lambda _: [], lambda _: True) if request.param == "warm" else None
        device = RunDevice(Means(bwrap, bwrap.python, cells), space, shelf, way=way)
        async with server:
            try:
                return [
                    await device.perform(replace(who, key=f"k{n}"), {"python": source})
                    for n, source in enumerate(sources)
                ]
            finally:
                if cells is not None:
                    await cells.close()

    def perform(who, hosts, *sources):
        found = asyncio.run(main(who, hosts, sources))
        warm = request.param == "warm"
        assert all(("cell" in o.value) is warm for o in found), found
        assert not any("program of its own" in o.value.get("note", "") for o in found), found
        return found

    perform.warm, perform.pages = request.param == "warm", pages
    return perform


@pytest.fixture(autouse=True)
def reachable(tmp_path):
    for place in (tmp_path.parent.parent, tmp_path.parent, tmp_path):
        place.chmod(0o755)
