"""A machine of its own for each journey: a real daemon, a mock model server, a work folder."""

import json
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from oros.sdk.address import address, socket_path

ROOT = Path(__file__).resolve().parent.parent.parent
MODELS = Path(os.environ.get("OROS_HOME") or Path.home() / ".local/share/oros") / "models"


@contextmanager
def mortal_server(*words: str) -> Iterator[tuple[subprocess.Popen, str]]:
    """A model server that a test may kill: (process, base URL)."""
    command = [sys.executable, "-m", "tests.mock_server", *words]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        yield process, process.stdout.readline().split()[-1]
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


class Machine:
    """What a person has: a terminal, a folder, and the `oros` command."""

    def __init__(self, folder: Path, base_url: str) -> None:
        self.home, self.work = folder / "home", folder / "work"
        self.home.mkdir()
        self.work.mkdir()
        self.base_url = base_url
        self.env = dict(os.environ, OROS_HOME=str(self.home), HOME=str(folder), NO_COLOR="1")
        self.env.pop("XDG_DATA_HOME", None)
        self.configure()

    def configure(
        self, extra: str = "", default: str = "mock", slots: int = 2, more: str = ""
    ) -> None:
        """Write config.toml: `extra` before the table of the mock model, `more` in it."""
        text = f'default_model = "{default}"\n{extra}\n[models.mock]\n'
        text += f'base_url = "{self.base_url}"\nmodel = "mock-1"\nprice = [1000000, 2000000, 0]\n'
        text += f'slots = {slots}\ncans = ["tools", "resume"]\n{more}\n'
        (self.home / "config.toml").write_text(text)

    def oros(
        self, *words: str, timeout: float = 60, given: str = ""
    ) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "-m", "oros", *words],
            cwd=self.work,
            env=self.env,
            input=given,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def begin(self, *words: str) -> subprocess.Popen:
        """A command that goes on while the test does other things."""
        return subprocess.Popen(
            [sys.executable, "-m", "oros", *words],
            cwd=self.work,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def json(self, *words: str, timeout: float = 60):
        found = self.oros(*words, "-o", "json", timeout=timeout)
        assert found.returncode == 0, found.stderr
        return json.loads(found.stdout)

    def start(self, goal: str, *words: str) -> int:
        """Start a process and let it go on by itself."""
        found = self.json("run", "--detach", *words, goal)
        return found["pid"]

    def row(self, pid: int) -> dict:
        return json.loads(self.oros("cat", f"/proc/{pid}/status").stdout)

    def until(self, pid: int, what, seconds: float = 20.0) -> dict:
        """Wait until a row is as wanted."""
        client = self.client()
        ends = time.monotonic() + seconds
        row = {}
        while time.monotonic() < ends:
            rows = client.call("list", path="/proc", depth=2, limit=100000)["value"]["entries"]
            row = next((r for r in rows if r["pid"] == pid), {})
            if row and what(row):
                return row
            time.sleep(0.02)
        raise AssertionError(f"process {pid} stayed {row}")

    def client(self):
        from oros.sdk.client import Client

        return Client(self.home)

    def daemon(self) -> int:
        """The daemon's process id."""
        # Not by its command line: one that was halted may still be ending beside the next.
        with socket.socket(socket.AF_UNIX) as link, address(socket_path(self.home)) as where:
            link.connect(where)
            told = link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        return struct.unpack("3i", told)[0]

    def kill_daemon(self) -> None:
        """A `kill -9` of the machine, once what it has shown is written down; it is gone then."""
        for _ in self.client().progress("audit.verify"):
            pass  # a row is shown before its events are committed; this waits for all of them
        pid = self.daemon()
        fd = os.pidfd_open(pid)
        os.kill(pid, signal.SIGKILL)
        assert select.select([fd], [], [], 60)[0], f"the machine, {pid}, did not die"
        os.close(fd)

    def close(self) -> None:
        self.oros("halt")


def ends(process: subprocess.Popen) -> subprocess.CompletedProcess:
    """The end of a command that was begun."""
    out, err = process.communicate(timeout=60)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


@pytest.fixture(scope="session")
def mock_url():
    """A mock model server that answers at once, in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.mock_server"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    yield process.stdout.readline().split()[-1]
    process.terminate()
    process.wait()
    process.stdout.close()


@pytest.fixture(scope="session")
def slow_url():
    """One that says twenty tokens a second."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.mock_server", "--tps", "20"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    yield process.stdout.readline().split()[-1]
    process.terminate()
    process.wait()
    process.stdout.close()


@pytest.fixture
def machine(tmp_path, mock_url):
    found = Machine(tmp_path, mock_url)
    yield found
    found.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory, mock_url):
    """One machine for tests that leave it as it was."""
    found = Machine(tmp_path_factory.mktemp("shared"), mock_url)
    yield found
    found.close()


@pytest.fixture
def slow(tmp_path, slow_url):
    found = Machine(tmp_path, slow_url)
    yield found
    found.close()


@pytest.fixture(scope="session")
def read_before(tmp_path_factory):
    """What a machine with the built-in model has read: the next one need not read it anew."""
    return tmp_path_factory.mktemp("read") / "cache"


@pytest.fixture
def boxed(tmp_path, mock_url, read_before):
    """A machine with the built-in model, fetched once for all into the user's own folder."""
    found = Machine(tmp_path, mock_url)
    if read_before.exists():
        shutil.copytree(read_before, found.home / "cache")
    found.configure(default="local")
    (found.home / "models").mkdir()
    for file in MODELS.glob("*.gguf") if MODELS.exists() else ():
        try:
            os.link(file, found.home / "models" / file.name)
        except OSError:
            shutil.copy(file, found.home / "models" / file.name)
    yield found
    if found.home / "models" != MODELS:
        MODELS.mkdir(parents=True, exist_ok=True)
        for file in (found.home / "models").glob("*.gguf"):
            if not (MODELS / file.name).exists():
                shutil.copy(file, MODELS / file.name)
    found.close()
    shutil.copytree(found.home / "cache", read_before, dirs_exist_ok=True)
