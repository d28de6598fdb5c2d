"""Each dialect that the configuration names has its driver; what it can't mean is refused."""

import asyncio
import json
from dataclasses import replace
from typing import get_args, get_type_hints

import pytest
from tests.drivers.models.chat import ChatDialect
from tests.drivers.models.chatlines import OllamaDialect
from tests.drivers.models.generate import GenerateDialect
from tests.drivers.models.messages import MessagesDialect
from tests.drivers.models.playing import asking
from tests.drivers.models.responses import ResponsesDialect
from tests.drivers.models.served import Server, Turn

from oros.abi.errors import Invalid, NoDevice
from oros.boot.config import RemoteModel, load
from oros.boot.dialects import MAKERS, driver_of
from oros.boot.models import Models, remote_model

SPOKEN = {
    "openai": (ChatDialect, "/v1"),
    "responses": (ResponsesDialect, "/v1"),
    "anthropic": (MessagesDialect, ""),
    "gemini": (GenerateDialect, "/v1beta"),
    "ollama": (OllamaDialect, ""),
}


def made(name, remote):
    """The driver of a model for which no secret is kept."""
    return remote_model(name, remote, lambda *_: None)


def test_the_table_and_the_configuration_know_the_same() -> None:
    assert set(get_args(get_type_hints(RemoteModel)["dialect"])) == set(MAKERS)


@pytest.mark.parametrize("dialect", MAKERS)
def test_a_model_of_the_configuration_answers(dialect, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("ACME_KEY", "sk-1")
    spoken, base = SPOKEN[dialect]

    async def main() -> None:
        async with Server(spoken(driver_of)) as server:
            server.turn = Turn(("ready",))
            (tmp_path / "config.toml").write_text(
                f'default_model = "acme/m"\n[models."acme/m"]\nbase_url = "{server.url}{base}"\n'
                f'dialect = "{dialect}"\nmodel = "there"\nkey_env = "ACME_KEY"\n'
                "price = [1, 2, 3, 4]\n"
            )
            models = Models(load(tmp_path), tmp_path / "models")
            found = await models.tested({}, lambda _: None)
            assert found["said"] == "ready"
            assert any("sk-1" in v for v in server.requests[-1].headers.values())
            await models.close()

    asyncio.run(main())


def test_a_platform_is_for_dialects_that_have_some() -> None:
    remote = RemoteModel("http://127.0.0.1:1/v1", platform="vllm")
    assert "resume" not in made("m", remote).info.cans
    with pytest.raises(NoDevice, match="vllm"):
        made("m", RemoteModel("http://127.0.0.1:1/v1", platform="vlllm"))
    wrong = RemoteModel("http://127.0.0.1:1", dialect="gemini", platform="vllm")
    with pytest.raises(Invalid, match="platform"):
        made("m", wrong)


def test_a_dialect_that_nobody_speaks_is_refused(tmp_path) -> None:
    (tmp_path / "config.toml").write_text('[models.m]\nbase_url = "x"\ndialect = "klingon"\n')
    with pytest.raises(Invalid, match="dialect"):
        load(tmp_path)


def test_a_vendors_own_model_needs_no_more_than_its_name() -> None:
    remote = RemoteModel(dialect="anthropic", model="claude-opus-5-5", key_env="K")
    info = made("opus", remote).info
    assert {"tools", "schema", "image"} <= info.cans
    assert info.price == (4_000_000, 20_000_000, 200_000, 5_000_000)
    mine = replace(remote, price=(1, 2, 3), cans=("tools",))
    assert made("opus", mine).info.price == (1, 2, 3)
    assert made("opus", mine).info.cans == {"tools"}


@pytest.mark.parametrize(
    ("remote", "price"),
    [
        (RemoteModel(dialect="ollama", model="qwen3"), (0, 0, 0)),
        (RemoteModel(dialect="ollama", model="gpt-oss:120b-cloud"), None),
        (RemoteModel(dialect="gemini", model="gemini-9"), None),
        (RemoteModel("http://127.0.0.1:1/v1", model="gpt-5"), None),
    ],
)
def test_what_is_not_known_to_cost_nothing_is_not_free(remote, price) -> None:
    assert made("m", remote).info.price == price


@pytest.mark.parametrize(
    "remote",
    [
        RemoteModel("http://127.0.0.1:1/v1", keep_alive="10m"),
        RemoteModel(dialect="gemini", keep_alive="10m"),
    ],
)
def test_what_a_dialect_has_not_is_refused(remote) -> None:
    with pytest.raises(Invalid, match=r"models\.m"):
        made("m", remote)


def test_effort_and_keeping_are_said() -> None:
    async def body(spoken, **more) -> dict:
        async with Server(spoken(driver_of)) as server:
            model = made("m", RemoteModel(server.url, "there", **more))
            async for _ in model.generate(asking()):
                pass
            await model.close()
            return json.loads(server.requests[-1].body)

    found = asyncio.run(body(OllamaDialect, dialect="ollama", effort="low", keep_alive="1h"))
    assert (found["think"], found["keep_alive"]) == ("low", "1h")
    found = asyncio.run(body(MessagesDialect, dialect="anthropic", effort="low"))
    assert found["output_config"] == {"effort": "low"}
    found = asyncio.run(body(GenerateDialect, dialect="gemini", effort="low"))
    assert found["generationConfig"]["thinkingConfig"]["thinkingLevel"] == "low"
    found = asyncio.run(body(ChatDialect, dialect="openai", effort="low"))
    assert found["reasoning_effort"] == "low"
    found = asyncio.run(body(ResponsesDialect, dialect="responses", effort="low"))
    assert found["reasoning"] == {"effort": "low", "summary": "auto"}
