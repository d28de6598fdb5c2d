"""The sandbox tried by a program of its own, as oneself and as a user who has nothing here."""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import oros
from oros.drivers.sandbox.bwrap.survey import WHEEL

PARTS = ("__init__.py", "abi", "drivers/__init__.py", "drivers/descriptors.py", "drivers/mounts.py",
         "drivers/walls.py", "drivers/sandbox")  # fmt: skip
WHO = {"user": 4242, "group": 4242, "extra_groups": []}


def told(python: str, path: list[str], script: Path, *words: str, **who) -> dict:
    """What a script prints, run with a path, words and little else."""
    done = subprocess.run(
        [python, "-B", str(script), *words],
        env={"PYTHONPATH": ":".join(path), "PATH": os.environ["PATH"]},
        cwd="/", capture_output=True, text=True, check=False, **who,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@contextlib.contextmanager
def copies(*files: Path) -> Iterator[Path]:
    """A folder that others may read: the sandbox's own code, its program, and some files."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        source = Path(oros.__file__).parent
        for part in PARTS:
            copy = shutil.copytree if (source / part).is_dir() else shutil.copy
            (folder / "oros" / part).parent.mkdir(parents=True, exist_ok=True)
            copy(source / part, folder / "oros" / part)
        for part in Path(find_spec(WHEEL).origin).parents[1].glob(f"{WHEEL}*"):
            shutil.copytree(part, folder / part.name)
        for file in files:
            shutil.copy(file, folder)
        yield folder


def stranger(script: Path, *files: Path, words: tuple[str, ...] = ()) -> dict:
    """What a script prints for a user without a home, a name or a way into our folders."""
    with copies(script, *files) as folder:
        return told("/usr/bin/python3", [str(folder)], folder / script.name, *words, **WHO)
