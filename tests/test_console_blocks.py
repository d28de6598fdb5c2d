"""What the documents show in a terminal is what the machine prints, with a scripted model."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.console import alike, blocks, differences

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SHOWN = [p for p in PAGES if "```console" in p.read_text()]
BOOK = ROOT / "tests" / "tutorial.json"
FILES = ("penguins.csv", "seattle-weather.csv", "nile.csv")

CONFIG = """default_model = "scripted"
[models.scripted]
base_url = "{url}"
model = "mock-1"
price = [0, 0, 0]
cans = ["tools", "resume"]
"""


@pytest.fixture(scope="module")
def url():
    """A model server that knows the goals of the documents, forty words a second."""
    command = [sys.executable, "-m", "tests.mock_server", "--tps", "40", "--book", str(BOOK)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    yield process.stdout.readline().split()[-1]
    process.terminate()
    process.wait()
    process.stdout.close()


@pytest.fixture
def terminal(tmp_path, url):
    """A folder with some tables, and a machine that has not been started."""
    home, work, bin_ = tmp_path / "home", tmp_path / "work", tmp_path / "bin"
    for folder in (home, work, bin_):
        folder.mkdir()
    (home / "config.toml").write_text(CONFIG.format(url=url))
    for name in FILES:
        shutil.copy(ROOT / "examples" / "tables" / name, work)
    command = bin_ / "oros"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m oros "$@"\n')
    command.chmod(0o755)
    env = {"OROS_HOME": str(home), "HOME": str(tmp_path), "NO_COLOR": "1", "COLUMNS": "100"}
    env |= {"PATH": f"{bin_}:{os.environ['PATH']}", "LANG": "C.UTF-8"}
    yield work, env
    subprocess.run([command, "halt"], env=env, capture_output=True, check=False)


@pytest.mark.parametrize("page", SHOWN, ids=lambda p: p.name)
def test_the_machine_prints_what_the_page_shows(page, terminal) -> None:
    found = differences(page.read_text(), *terminal)
    assert not found, "\n\n".join(found)


def test_the_tutorial_is_among_them() -> None:
    assert [p.name for p in SHOWN] == ["tutorial.md"]
    assert sum(map(len, blocks((ROOT / "docs" / "tutorial.md").read_text()))) > 20


def test_a_page_that_shows_something_else_is_found() -> None:
    assert alike(["a ... c", "...", "end"], ["a  b c", "x", "y", "end"])
    assert alike(["a", "..."], ["a"])
    assert not alike(["a"], ["a", "b"])
    assert not alike(["a", "b"], ["a"])
    assert not alike(["1 call"], ["2 calls"])
