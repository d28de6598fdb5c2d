"""A file of weights of one's own, named in config.toml, is a model like any other."""

import asyncio
import json
import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from oros.abi.errors import DeviceFailed, Invalid, NoDevice
from oros.abi.message import say
from oros.abi.ports import Finished, ModelRequest, TextDelta, ToolSpec
from oros.boot.config import load
from oros.boot.models import Models
from oros.sdk.address import home_of
from oros.services.weights.catalog import BY_NAME
from oros.services.weights.pull import pull

SPEC = BY_NAME["local/smollm2-135m"]
FETCH = ToolSpec("fetch", "fetches a page", {"properties": {"url": {"type": "string"}}})


def machine(home: Path, text: str) -> Models:
    home.mkdir(exist_ok=True)
    (home / "config.toml").write_text(text)
    return Models(load(home), home / "models")


@pytest.mark.model
def test_a_gguf_file_answers_and_asks_for_tools(tmp_path) -> None:
    file = asyncio.run(pull(SPEC, home_of() / "models", lambda _: None))
    models = machine(tmp_path / "home", f'[models.mine]\ngguf = "{file}"\nwindow = 1024\n')

    async def main() -> None:
        model = models("mine")
        try:
            asked = ModelRequest((say("user", "Fetch x.org."),), (FETCH,), max_tokens=60)
            end = None
            async for batch in model.generate(asked):
                end = batch[-1] if batch else end
            assert isinstance(end, Finished)
            assert model.info.cost(end.usage) == 0
            assert model.info.window == 1024
            (row,) = [r for r in await models.listed({}) if r["name"] == "mine"]
            assert (row["state"], row["about"]) == ("here", str(file))
        finally:
            await models.close()

    asyncio.run(main())


def workers(file: Path) -> dict[int, dict]:
    """The workers of a file that run now: what each was told, by its process id."""
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        told = next((w for w in words if w.startswith(b'{"model"')), b"{}")
        if json.loads(told).get("model") == str(file):
            found[int(entry.name)] = json.loads(told)
    return found


@pytest.mark.model
def test_each_model_has_a_worker_of_its_own(tmp_path) -> None:
    kept = asyncio.run(pull(SPEC, home_of() / "models", lambda _: None))
    file = tmp_path / "own.gguf"
    file.symlink_to(kept)
    text = f'gguf = "{file}"\nwindow = 512\n'
    text = f"[models.one]\n{text}gpu_layers = 0\n[models.two]\n{text}"
    models = machine(tmp_path / "home", text)

    async def said(name: str) -> str:
        asked = ModelRequest((say("user", "Say a word."),), max_tokens=8)
        batches = [b async for b in models(name).generate(asked)]
        return "".join(d.text for b in batches for d in b if isinstance(d, TextDelta))

    async def main() -> None:
        try:
            first = await asyncio.gather(said("one"), said("two"))
            there = workers(file)
            assert sorted(w["gpu_layers"] for w in there.values()) == [-1, 0]
            lost = next(pid for pid, told in there.items() if told["gpu_layers"] == 0)
            os.kill(lost, signal.SIGKILL)
            assert await said("two") == first[1]  # it does not know of the other
            with suppress(DeviceFailed):  # whoever asks first may be told
                await said("one")
            assert await said("one") == first[0]
            assert len(workers(file)) == 2
            assert lost not in workers(file)
        finally:
            await models.close()
        assert workers(file) == {}

    asyncio.run(main())


def test_a_file_that_is_not_there_is_said_when_it_is_asked(tmp_path) -> None:
    models = machine(tmp_path / "home", '[models.mine]\ngguf = "/nowhere/x.gguf"\n')

    async def main() -> None:
        with pytest.raises(NoDevice, match=r"/nowhere/x\.gguf") as lost:
            async for _ in models("mine").generate(ModelRequest((say("user", "hi"),))):
                pass
        assert "path of mine in config.toml" in lost.value.hint
        assert "models add" in lost.value.hint
        assert "pull" not in lost.value.hint
        await models.close()

    asyncio.run(main())


def test_a_model_is_a_server_or_a_file(tmp_path) -> None:
    with pytest.raises(Invalid, match="base_url"):
        machine(tmp_path / "home", "[models.mine]\nwindow = 1024\n")
