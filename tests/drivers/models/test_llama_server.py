"""The drivers against a real server: llama.cpp's own, which speaks three of their dialects."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.drivers.models.llama_server import KEY, WINDOW
from tests.drivers.models.playing import SCHEMA, answer, asking

from oros.abi.errors import NoDevice, NotAuthorized, OrosError, TooBig
from oros.abi.message import Ask, Message, TextPart, say
from oros.abi.ports import ModelInfo, ToolSpec
from oros.drivers.models.anthropic.driver import AnthropicModel
from oros.drivers.models.openai.driver import OpenAIModel, ResponsesModel
from oros.sdk.address import home_of
from oros.services.weights.catalog import BY_NAME
from oros.services.weights.pull import pull

ROOT = Path(__file__).parents[3]
SPEC = BY_NAME["local/smollm2-135m"]
INFO = ModelInfo("llama", WINDOW, 1, frozenset({"tools", "schema", "resume"}), (1, 1, 1))
TOOL = ToolSpec(
    "weather",
    "Tells the weather.",
    {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)
DRIVERS = {
    "chat": (OpenAIModel, "/v1", {"platform": "llama.cpp"}),
    "responses": (ResponsesModel, "/v1", {"platform": "llama.cpp"}),
    "messages": (AnthropicModel, "", {}),
}

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The server; it ends when its stdin is closed."""
    pytest.importorskip("xllamacpp")
    try:
        weights = asyncio.run(pull(SPEC, home_of() / "models", lambda _: None))
    except OrosError as e:
        pytest.skip(f"no weights: {e}")
    command = [sys.executable, "-m", "tests.drivers.models.llama_server", str(weights)]
    quiet, pipe = subprocess.DEVNULL, subprocess.PIPE
    server = subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=quiet, text=True)
    try:
        yield server.stdout.readline().strip()
    finally:
        server.kill()
        server.communicate()


@pytest.fixture(params=DRIVERS)
def play(request, url):
    """Plays a case with a driver of each dialect: `play(case, key=..., path=...)`."""
    make, base, options = DRIVERS[request.param]

    def played(case, *, key: str = KEY, path: str | None = None) -> None:
        async def main() -> None:
            where = url + (base if path is None else path)
            model = make("llama", where, info=INFO, key=lambda: key, **options)
            try:
                await case(model)
            finally:
                await model.close()

        asyncio.run(main())

    played.dialect = request.param
    return played


def test_words_are_counted_and_prefixes_are_kept(play) -> None:
    async def case(model) -> None:
        told = [say("system", "You are terse. " * 20), say("user", "Say hello.")]
        first = await answer(model, asking(*told, max_tokens=6))
        assert first.whole
        assert 0 < first.usage.tokens_out <= 6
        assert first.usage.tokens_in > 80
        told += [say("assistant", first.whole), say("user", "Again.")]
        again = await answer(model, asking(*told, max_tokens=4))
        assert again.usage.cached > 50
        assert again.usage.micros >= 1

    play(case)


def test_an_answer_is_cut_at_its_limit(play) -> None:
    async def case(model) -> None:
        draft = await answer(model, asking(say("user", "Tell a long story."), max_tokens=5))
        assert draft.usage.tokens_out == 5
        if play.dialect != "responses":  # there this server says "completed" all the same
            assert draft.finish == "length"

    play(case)


def test_a_schema_bounds_the_answer(play) -> None:
    async def case(model) -> None:
        ask = asking(say("user", "How many legs has a cat?"), schema=SCHEMA, max_tokens=40)
        draft = await answer(model, ask)
        if play.dialect == "chat":  # in the others this server knows no schemas, and ignores them
            assert isinstance(json.loads(draft.whole)["n"], int)

    play(case)


def test_a_conversation_with_calls_is_understood(play) -> None:
    async def case(model) -> None:
        asks = (Ask("k1", "weather", {"city": "Rome"}), Ask("k2", "weather", {"city": "Oslo"}))
        request = asking(
            say("user", "What is the weather in Rome and in Oslo?"),
            Message("assistant", (TextPart("I look."),), asks),
            Message("tool", (TextPart("sunny"),), answers="k1"),
            Message("tool", (TextPart("snow"),), answers="k2"),
            tools=(TOOL,),
            max_tokens=4,
        )
        assert (await answer(model, request)).usage.tokens_in > 50

    play(case)


def test_stop_strings_end_the_answer(play) -> None:
    async def case(model) -> None:
        asked = say("user", "Repeat after me: one, two, three, four, five, six.")
        whole = await answer(model, asking(asked, max_tokens=24))
        stop = whole.whole.split()[2]
        draft = await answer(model, asking(asked, stop=(stop,), max_tokens=24))
        assert stop not in draft.whole
        if play.dialect != "messages":  # that one is asked without a temperature: it says else
            assert draft.whole.rstrip() == whole.whole[: whole.whole.index(stop)].rstrip()
            assert draft.finish == "stop"

    play(case)


def test_leaving_frees_the_servers_only_slot(play) -> None:
    async def case(model) -> None:
        stream = model.generate(asking(say("user", "Count to a thousand."), max_tokens=3000))
        async for _ in stream:
            break
        await stream.aclose()
        async with asyncio.timeout(60):  # it would count for minutes
            assert (await answer(model, asking(max_tokens=2))).usage.tokens_out

    play(case)


def test_what_is_too_long_a_wrong_key_and_no_route(play) -> None:
    async def long(model) -> None:
        with pytest.raises(TooBig):
            await answer(model, asking(say("user", "word " * (WINDOW + 500))))

    async def refused(model) -> None:
        with pytest.raises(NotAuthorized):
            await answer(model, asking())

    async def nowhere(model) -> None:
        with pytest.raises(NoDevice):
            await answer(model, asking())

    play(long)
    play(refused, key="wrong")
    play(nowhere, path="/nowhere")


def test_a_model_goes_on_from_a_partial_answer(play) -> None:
    async def case(model) -> None:
        part = Message("assistant", (TextPart("one, two, three,"),), partial=True)
        ask = asking(say("user", "Count from one to ten in words."), part, max_tokens=4)
        assert (await answer(model, ask)).whole

    play(case)


def test_the_info_is_honest_about_going_on(url) -> None:
    made = {k: m("l", url, info=replace(INFO), **o) for k, (m, _, o) in DRIVERS.items()}
    assert "resume" in made["chat"].info.cans
    assert "resume" not in made["responses"].info.cans
