"""A file of weights of one's own, named in config.toml, is a model like any other."""

import asyncio
from pathlib import Path

import pytest

from oros.abi.errors import Invalid, NoDevice
from oros.abi.message import say
from oros.abi.ports import Finished, ModelRequest, ToolSpec
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


def test_a_file_that_is_not_there_is_said_when_it_is_asked(tmp_path) -> None:
    models = machine(tmp_path / "home", '[models.mine]\ngguf = "/nowhere/x.gguf"\n')

    async def main() -> None:
        with pytest.raises(NoDevice, match=r"/nowhere/x\.gguf"):
            async for _ in models("mine").generate(ModelRequest((say("user", "hi"),))):
                pass
        await models.close()

    asyncio.run(main())


def test_a_model_is_a_server_or_a_file(tmp_path) -> None:
    with pytest.raises(Invalid, match="base_url"):
        machine(tmp_path / "home", "[models.mine]\nwindow = 1024\n")
