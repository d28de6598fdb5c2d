"""The OpenAI-compatible driver against a mock server: streams, calls, faults, closing."""

import asyncio
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mock_server import MockServer

from oros.abi.errors import (
    BadReply,
    Busy,
    DeviceFailed,
    NoDevice,
    NotAuthorized,
    TimedOut,
    TooBig,
    Unreachable,
)
from oros.abi.message import Ask, Message, TextPart, say
from oros.abi.ports import AskDelta, Finished, ModelInfo, ModelRequest, TextDelta, ToolSpec
from oros.drivers.frames import Events
from oros.drivers.models.openai.dialect import Chunks, body_of
from oros.drivers.models.openai.driver import OpenAIModel

INFO = ModelInfo("mock", 32768, 4, frozenset({"tools", "resume"}), (1_000_000, 2_000_000, 0))


async def answer(model, request):
    deltas = []
    async for batch in model.generate(request):
        deltas += batch
    return deltas


def asking(text: str, **more) -> ModelRequest:
    return ModelRequest((say("user", text),), **more)


def run(text: str, check, **options) -> None:
    async def main() -> None:
        async with MockServer(**options) as server:
            model = OpenAIModel("mock", server.base_url, "mock-1", info=INFO, idle=0.5)
            try:
                await check(model, server, asking(text))
            finally:
                await model.close()

    asyncio.run(main())


def test_text_usage_and_price() -> None:
    async def check(model, _, request) -> None:
        deltas = await answer(model, request)
        text = "".join(d.text for d in deltas if isinstance(d, TextDelta))
        assert text == "hello there "
        end = deltas[-1]
        assert isinstance(end, Finished)
        assert end.finish == "stop"
        assert end.usage.micros == end.usage.tokens_in + 2 * end.usage.tokens_out

    run("[[mock text=hello_there]]", check)


def test_a_streamed_call_is_joined() -> None:
    async def check(model, _, request) -> None:
        deltas = await answer(model, request)
        pieces = [d for d in deltas if isinstance(d, AskDelta)]
        assert "".join(p.name for p in pieces) == "look"
        assert json.loads("".join(p.args for p in pieces)) == {"x": 41}
        assert deltas[-1].finish == "calls"

    run('[[mock turns=1 tool=look args={"x":41}]]', check)


FAULTS = [
    ("401", NotAuthorized),
    ("404", NoDevice),
    ("429", Busy),
    ("500", DeviceFailed),
    ("504", TimedOut),
    ("hang", TimedOut),
    ("html", BadReply),
    ("rubbish", BadReply),
    ("shape", BadReply),
    ("stall", TimedOut),
    ("window", TooBig),
    ("half", BadReply),
    ("noend", BadReply),
    ("error200", BadReply),
    ("longline", BadReply),
    ("drop", Unreachable),
]


@pytest.mark.parametrize(("fault", "kind"), FAULTS)
def test_each_fault_has_its_error(fault, kind) -> None:
    async def check(model, _, request) -> None:
        with pytest.raises(kind) as caught:
            await answer(model, request)
        assert "\n" not in str(caught.value)
        if fault == "429":
            assert caught.value.retry_after == 0.05

    run(f"[[mock fault={fault}]]", check)


@pytest.mark.parametrize(
    "chunk",
    [
        b"[" * 100_000,
        b"[1]",
        b'{"choices":7}',
        b'{"choices":["x"]}',
        b'{"choices":[{"delta":{"content":7}}]}',
        b'{"choices":[{"delta":{"tool_calls":{"index":0}}}]}',
        b'{"choices":[{"delta":{"tool_calls":[{"index":"first"}]}}]}',
        b'{"choices":[{"delta":{"tool_calls":[{"function":{"arguments":{"x":1}}}]}}]}',
        b'{"choices":[],"usage":{"prompt_tokens":"many"}}',
        b"\xff\xfe",
    ],
)
def test_what_is_no_chunk_is_a_bad_reply(chunk) -> None:
    with pytest.raises(BadReply):
        Chunks(None).take(chunk)


def test_a_server_without_an_end_is_cut_off() -> None:
    async def check(model, server, request) -> None:
        deltas = await answer(model, replace(request, max_tokens=50))
        assert deltas[-1].finish == "length"
        assert 50 < deltas[-1].usage.tokens_out < 100_000
        async with asyncio.timeout(5):
            while not server.stats["cancelled"]:  # noqa: ASYNC110 - the server is another's
                await asyncio.sleep(0.005)

    run("[[mock fault=flood]]", check)


def test_an_empty_answer_is_an_answer() -> None:
    async def check(model, _, request) -> None:
        assert [type(d) for d in await answer(model, request)] == [Finished]

    run("[[mock empty=1]]", check)


def test_nobody_there_and_no_address() -> None:
    async def main() -> None:
        for url, kind in (("http://127.0.0.1:1/v1", Unreachable), ("no address", NoDevice)):
            model = OpenAIModel("mock", url)
            with pytest.raises(kind):
                await answer(model, asking("x"))
            await model.close()

    asyncio.run(main())


def test_closing_the_iterator_stops_the_server() -> None:
    async def check(model, server, request) -> None:
        stream = model.generate(request)
        async for _ in stream:
            break
        begun = asyncio.get_running_loop().time()
        await stream.aclose()
        async with asyncio.timeout(2):
            while server.stats["active"]:  # noqa: ASYNC110 - the server is another's
                await asyncio.sleep(0.005)
        assert asyncio.get_running_loop().time() - begun < 0.2
        assert server.stats["cancelled"] == 1

    run("[[mock tokens=500]]", check, tps=50)


def test_a_key_goes_into_the_header_and_nowhere_else() -> None:
    async def main() -> None:
        async with MockServer() as server:
            model = OpenAIModel("m", server.base_url, key=lambda: "sk-secret")
            assert model._headers() == {"Authorization": "Bearer sk-secret"}
            with pytest.raises(NotAuthorized) as caught:
                await answer(model, asking("[[mock fault=401]]"))
            assert "sk-secret" not in str(caught.value)
            await model.close()

    asyncio.run(main())


def test_what_a_conversation_becomes() -> None:
    ask = Ask("k1", "look", {"x": 1})
    broken = Ask("k2", "look", "{not json")
    messages = (
        say("system", "be good"),
        Message("assistant", (), (ask, broken)),
        Message("tool", (TextPart("7"),), answers="k1"),
        Message("assistant", (TextPart("so fa"),), partial=True),
    )
    tool = ToolSpec("look", "Looks.", {"type": "object"})
    body = body_of(ModelRequest(messages, (tool,)), "m", ModelInfo("m", 100))
    told = body["messages"]
    assert told[1]["tool_calls"][1]["function"]["arguments"] == "{not json"
    assert told[2] == {"role": "tool", "content": "7", "tool_call_id": "k1"}
    assert told[-1]["role"] == "user"
    resumes = body_of(ModelRequest(messages), "m", INFO)
    assert resumes["messages"][-1]["content"] == "so fa"


@given(
    st.lists(st.binary(max_size=30).filter(lambda b: b"\n" not in b and b"\r" not in b)), st.data()
)
def test_events_come_out_however_the_bytes_are_cut(datas, data) -> None:
    stream = b"".join(
        b"data: " + d + data.draw(st.sampled_from([b"\n\n", b"\r\n\r\n"])) for d in datas
    )
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    events, found = Events(), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += events.feed(stream[start:end])
    assert found == datas
    assert not events.begun
