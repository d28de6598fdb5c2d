"""Each dialect that the configuration names has its driver; what it can't mean is refused."""

import asyncio
from typing import get_args, get_type_hints

import pytest
from tests.drivers.models.chat import ChatDialect
from tests.drivers.models.chatlines import OllamaDialect
from tests.drivers.models.generate import GenerateDialect
from tests.drivers.models.messages import MessagesDialect
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
    assert "resume" not in remote_model("m", remote).info.cans
    with pytest.raises(NoDevice, match="vllm"):
        remote_model("m", RemoteModel("http://127.0.0.1:1/v1", platform="vlllm"))
    wrong = RemoteModel("http://127.0.0.1:1", dialect="gemini", platform="vllm")
    with pytest.raises(Invalid, match="platform"):
        remote_model("m", wrong)


def test_a_dialect_that_nobody_speaks_is_refused(tmp_path) -> None:
    (tmp_path / "config.toml").write_text('[models.m]\nbase_url = "x"\ndialect = "klingon"\n')
    with pytest.raises(Invalid, match="dialect"):
        load(tmp_path)
