"""Other people's clients against our doors: a real daemon, a mock model server behind it.

These need an environment of their own: `make test-doors`.
"""

import gc
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.waits import until_now

from oros.sdk.client import Client

CLIENTS = ("openai", "anthropic", "ollama", "pydantic_ai", "agents", "openresponses_types",
           "openresponses", "jsonschema")  # fmt: skip
collect_ignore_glob = [] if all(map(find_spec, CLIENTS)) else ["test_*.py"]

ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass
class Doors:
    """Where the doors are, a key, and the machine behind them."""

    url: str
    key: str
    client: Client
    mock: str

    def ended(self) -> list[dict]:
        """The processes of requests, those that are over too, oldest first."""
        found = self.client.call("list", path="/proc", depth=2, limit=100000)["value"]["entries"]
        return [r for r in found if r.get("program") == "door"]

    def pictures(self) -> list[str]:
        """What of the last request's messages are pictures: their kinds."""
        events = self.client.history(max(r["pid"] for r in self.ended()))
        messages = [e["event"]["message"] for e in events if e["kind"] == "received"]
        return [p["mime"] for m in messages for p in m["parts"] if p.get("kind") == "image"]


def oros(env, *words: str):
    """A command; its JSON."""
    found = subprocess.run(
        [sys.executable, "-m", "oros", *words, "-o", "json"],
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    return json.loads(found.stdout)


def begun(*words: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.mock_server", *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="session")
def doors(tmp_path_factory):
    """Open doors with a key for all; its model can see and keeps to schemas."""
    folder = tmp_path_factory.mktemp("doors")
    mocks = {"mock": begun(), "slow": begun("--tps", "20")}
    urls = {n: p.stdout.readline().split()[-1] for n, p in mocks.items()}
    env = dict(os.environ, OROS_HOME=str(folder / "home"), HOME=str(folder), NO_COLOR="1")
    (folder / "home").mkdir()
    (folder / "work").mkdir()
    text = 'default_model = "mock"\nremember = "off"\n'
    for name, url in urls.items():
        text += f'[models.{name}]\nbase_url = "{url}"\nmodel = "mock-1"\nslots = 4\n'
        text += 'price = [1000000, 2000000, 0]\ncans = ["tools", "resume", "image", "schema"]\n'
    (folder / "home" / "config.toml").write_text(text)
    try:
        url = oros(env, "serve", "--port", "0")["url"]
        work = str(folder / "work")
        words = ("--apps", "*", "--mine", "--folder", work, "--nice", "0")
        key = oros(env, "keys", "add", "all", *words)["key"]
        yield Doors(url, key, Client(folder / "home"), urls["mock"])
    finally:
        gc.collect()  # what the last client left is ignored here, and would fail the run later
        subprocess.run([sys.executable, "-m", "oros", "halt"], env=env, check=False)
        for process in mocks.values():
            process.terminate()
            process.wait()
            process.stdout.close()


def pytest_collection_modifyitems(items) -> None:
    """Clients that leave their connections to the garbage collector are not ours to mend."""
    for item in items:
        if "tests/doors" in str(item.path):
            item.add_marker(pytest.mark.filterwarnings("ignore::ResourceWarning"))
            unraisable = "ignore::pytest.PytestUnraisableExceptionWarning"
            item.add_marker(pytest.mark.filterwarnings(unraisable))


@pytest.fixture
def until():
    return until_now
