"""Random programs over a real overlay: the layer is what they would have made in a plain folder."""

import asyncio
import inspect
import os
import random
import shutil

import pytest
from tests.services.layers.trees import NAMES, change, photo, sight

from oros.abi.jobs import Job, Overlay
from oros.drivers.sandbox.bwrap.driver import BwrapSandbox
from oros.services.files.resolve import Root
from oros.services.layers.capture import capture
from oros.services.layers.stack import FOR_EVER, Stack

SOURCE = f"""
import os, random, shutil, sys
from pathlib import Path
NAMES = {NAMES!r}
{inspect.getsource(change)}
change(Path("."), random.Random(int(sys.argv[1])), 12)
"""


@pytest.fixture(scope="module")
def sandbox():
    made = BwrapSandbox()
    assert asyncio.run(made.probe()).works
    return made


def timeless(found: dict) -> dict:
    """A photo without the times: two runs have different ones."""
    return {p: (v[0], v[1], v[3]) for p, v in found.items() if p != "."}


class Settings(dict):
    get_setting = dict.get
    put_setting = dict.__setitem__


@pytest.mark.parametrize("seed", range(12))
def test_the_same_as_in_a_plain_folder(sandbox, tmp_path, seed) -> None:
    folder, plain = tmp_path / "folder", tmp_path / "plain"
    folder.mkdir()
    change(folder, random.Random(seed), 30)
    start = photo(folder)
    shutil.copytree(folder, plain, symlinks=True)
    settings = Settings()
    stack = Stack(tmp_path / "home", settings, "2-x", Root(folder))
    for call in range(4):
        over = Overlay("/work", str(folder), tuple(stack.trees()))
        script = (*sandbox.python(), "-c", SOURCE, str(seed * 10 + call))
        result = asyncio.run(sandbox.run(Job(script, overlay=over)))
        assert result.exit == 0, result.err.decode()
        upper = Root.held(result.upper, folder)
        owner = (os.getuid(), os.getgid()) if os.geteuid() == 0 else None
        stack.add(f"k{call}", call, lambda place, u=upper, o=owner: capture(u, place, o))
        change(plain, random.Random(seed * 10 + call), 12)
        assert timeless(sight(stack.view())) == timeless(photo(plain))
        if call % 2:
            seen = sight(stack.view())
            assert stack.commit(FOR_EVER, lambda _: "") == {}
            assert sight(Root(folder)) == seen
    for made in reversed(stack.changes):
        assert stack.undo(made) == {}
    assert photo(folder) == start
