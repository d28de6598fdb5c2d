"""A daemon knows its build, and when the code that it was started from has changed."""

import asyncio
import os
import subprocess
import sys

from oros.boot.build import Build
from oros.sdk.build import build


async def status(_):
    return {"version": "1", "awake": 0}


def code(folder):
    (folder / "inner").mkdir(parents=True)
    (folder / "x.py").write_text("x = 1\n")
    (folder / "inner" / "y.py").write_text("y = 1\n")
    return folder


def upgraded(file, text) -> None:
    """A file is written anew, as git and pip do."""
    (file.parent / "new").write_text(text)
    (file.parent / "new").rename(file)


async def settled(found: Build):
    """What it tells when it knows its build."""
    async with asyncio.timeout(20):
        while not (told := (await found.told({}))["build"])["id"]:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)
    return told


def test_it_tells_its_build_beside_how_it_stands(tmp_path) -> None:
    async def main() -> None:
        root = code(tmp_path / "code")
        found = Build(root, status, spawned=True)
        first = await found.told({})
        assert (first["version"], first["build"]["id"]) == ("1", "")  # nobody waits for a digest
        own = await settled(found)
        assert own == {"id": build(root), "at": str(root), "stale": False, "spawned": True}

    asyncio.run(main())


def test_it_knows_when_its_code_has_changed(tmp_path) -> None:
    async def main() -> None:
        root = code(tmp_path / "code")
        found = Build(root, status, spawned=False)
        own = await settled(found)
        (root / "inner" / "__pycache__").mkdir()  # the first import from a folder changes it
        upgraded(root / "x.py", "x = 1\n")
        assert await settled(found) == own
        upgraded(root / "inner" / "y.py", "y = 2\n")
        assert await settled(found) == own | {"stale": True}
        upgraded(root / "inner" / "y.py", "y = 1\n")
        assert (await settled(found))["stale"]  # it may have loaded some of it by now

    asyncio.run(main())


def test_new_folders_and_lost_ones_are_changes(tmp_path) -> None:
    async def main() -> None:
        for name in ("more", "less"):
            root = code(tmp_path / name)
            found = Build(root, status, spawned=False)
            await settled(found)
            if name == "more":
                (root / "further").mkdir()
                (root / "further" / "z.py").write_text("")
            else:
                root.rename(tmp_path / "gone")
            assert (await settled(found))["stale"], name

    asyncio.run(main())


def test_whose_words_go_to_the_log_was_started_by_a_command(tmp_path) -> None:
    ask = [sys.executable, "-c", "from oros.boot.build import spawned; print(spawned())"]
    (tmp_path / "log").mkdir()
    for name, said in (("daemon.log", "True"), ("mine.log", "False")):
        with (tmp_path / "log" / name).open("w") as log:
            found = subprocess.run(ask, stdout=subprocess.PIPE, stderr=log, text=True, check=True)
        assert found.stdout.strip() == said, os.fspath(tmp_path / "log" / name)
