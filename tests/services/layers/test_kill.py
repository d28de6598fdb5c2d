"""A real `kill -9` amid a commit or an undo: it is done or not begun, after the next start."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.services.layers.trees import change, copied, layered, sight

from oros.services.files.resolve import Root
from oros.services.layers.stack import FOR_EVER, Stack

CHILD = """
import sys
from pathlib import Path
from oros.services.files.resolve import Root
from oros.services.layers.stack import FOR_EVER, Stack
from tests.services.layers.test_kill import FileSettings
top = Path(sys.argv[1])
stack = Stack(top / "home", FileSettings(top), "2-x", Root(top / "folder"))
stack.recover()
print("ready", flush=True)
while True:
    stack.commit(FOR_EVER, lambda _: "")
    for made in reversed(stack.changes):
        stack.undo(made)
    for made in stack.changes:
        stack.redo(made, FOR_EVER)
"""


class FileSettings:
    """Settings in files, each written whole or not at all."""

    def __init__(self, top: Path) -> None:
        self._top = top

    def get_setting(self, name: str) -> str | None:
        path = self._top / name
        return path.read_text() if path.exists() else None

    def put_setting(self, name: str, value: str) -> None:
        part = self._top / "part"
        part.write_text(value)
        part.rename(self._top / name)


def timeless(found: dict) -> dict:
    return {p: (v[0], v[1], v[3]) for p, v in found.items()}


@pytest.mark.parametrize("seed", range(4))
def test_done_or_not_begun(tmp_path, seed) -> None:
    chance = random.Random(seed)
    folder = tmp_path / "folder"
    folder.mkdir()
    change(folder, chance, 40)
    settings = FileSettings(tmp_path)
    stack = Stack(tmp_path / "home", settings, "2-x", Root(folder))
    states = [timeless(sight(Root(folder)))]
    for number in range(2):
        before = copied(stack.view(), tmp_path / f"b{number}")
        after = copied(stack.view(), tmp_path / f"a{number}")
        change(after, chance, 40)
        stack.add(f"n:2:{number}", number, lambda p, b=before, a=after: layered(b, a, p))
        states.append(timeless(sight(stack.view())))
    root = str(Path(__file__).parents[3])
    env = {**os.environ, "PYTHONPATH": ":".join([f"{root}/src", root, *sys.path])}
    for _ in range(8):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(tmp_path)], env=env, stdout=subprocess.PIPE, text=True
        )
        assert child.stdout.readline() == "ready\n"
        time.sleep(chance.random() * 0.15)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        child.stdout.close()
        stack = Stack(tmp_path / "home", settings, "2-x", Root(folder))
        stack.recover()
        assert timeless(sight(Root(folder))) in states
        assert not [p for p in folder.iterdir() if p.name.startswith(".oros-")]
    stack.commit(FOR_EVER, lambda _: "")
    for made in [c for c in stack.changes if c.state == "undone"]:
        stack.redo(made, FOR_EVER)
    assert timeless(sight(Root(folder))) == states[-1]
    assert json.loads(settings.get_setting("layers:2-x"))["doing"] is None
