"""Ollama's own client: chat, generate, embed, list, show."""

import asyncio
import base64

import ollama
import pytest
from pydantic import BaseModel
from tests.gate.open_door import opened

PNG = b"\x89PNG pixel"
ASKS = "[[mock turns=1 tool=weather tokens=4 final=sunny]] How is it?"
PLACE = '[[mock text={"city":"Bonn","people":330000}]]'


class Place(BaseModel):
    """What a structured answer is made of."""

    city: str
    people: int


def weather(x: int) -> str:
    """Tell the weather.

    Args:
        x: Where.

    Returns:
        str: What it is like.
    """
    return f"sunny at {x}"


def headers(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture
def client(doors):
    with ollama.Client(host=doors.url, headers=headers(doors.key)) as found:
        yield found


def said(text: str) -> list[dict]:
    return [{"role": "user", "content": text}]


def test_chat(client) -> None:
    found = client.chat("mock", said("one two"), options={"seed": 1, "num_ctx": 8192})
    assert found.message.content.strip() == "echo: one two"
    assert (found.message.role, found.done, found.done_reason) == ("assistant", True, "stop")
    assert found.prompt_eval_count > 0
    assert found.eval_count > 0
    assert found.total_duration > 0


def test_chat_streams(client) -> None:
    parts = list(client.chat("mock", said("one two three"), stream=True))
    assert "".join(p.message.content for p in parts).strip() == "echo: one two three"
    assert len(parts) > 3
    assert [p.done for p in parts] == [False] * (len(parts) - 1) + [True]
    assert parts[-1].eval_count > 0


def test_an_answer_has_its_bounds(client) -> None:
    found = client.chat("mock", said("one two three four five"), options={"num_predict": 3})
    assert (found.done_reason, found.eval_count) == ("length", 3)
    assert client.chat("mock", said("one"), options={"num_predict": -1}).done_reason == "stop"


@pytest.mark.parametrize("stream", [False, True])
def test_chat_tools(client, stream) -> None:
    """As its documentation has it: the function is the tool, the message goes back as it came."""
    messages = said(ASKS)
    first = client.chat("mock", messages, tools=[weather], stream=stream)
    calling = [p.message for p in (first if stream else [first]) if p.message.tool_calls]
    (call,) = calling[0].tool_calls
    assert (call.function.name, dict(call.function.arguments)) == ("weather", {"x": 0})
    told = {"role": "tool", "tool_name": "weather", "content": weather(**call.function.arguments)}
    last = client.chat("mock", [*messages, calling[0], told], tools=[weather])
    assert last.message.content.startswith("sunny")


def test_chat_structured(client) -> None:
    found = client.chat("mock", said(PLACE), format=Place.model_json_schema())
    assert Place.model_validate_json(found.message.content) == Place(city="Bonn", people=330000)
    assert client.chat("mock", said(PLACE), format="json").message.content.startswith("{")


def test_chat_sees(client, doors) -> None:
    client.chat("mock", [{"role": "user", "content": "what?", "images": [PNG]}])
    assert doors.pictures() == ["image/png"]


def test_generate(client, doors) -> None:
    found = client.generate("mock", "one two", system="be short")
    assert (found.response.strip(), found.done_reason) == ("echo: one two", "stop")
    parts = list(client.generate("mock", "one two three", stream=True))
    assert "".join(p.response for p in parts).strip() == "echo: one two three"
    assert parts[-1].done
    form = Place.model_json_schema()
    assert Place.model_validate_json(client.generate("mock", PLACE, format=form).response)
    client.generate("mock", "what?", images=[base64.b64encode(PNG).decode()])
    assert doors.pictures() == ["image/png"]


def test_a_model_is_loaded(client) -> None:
    """Clients do so before they ask: nothing is asked and nothing is paid."""
    assert client.generate("mock").done_reason == "load"
    assert client.chat("mock", keep_alive="5m").done_reason == "load"
    with pytest.raises(ollama.ResponseError, match="gpt-9"):
        client.generate("gpt-9")


def test_a_program_of_the_machine(client) -> None:
    found = client.chat("oros/steps", said("one two"))
    assert "one two" in found.message.content


def test_list_and_show(client) -> None:
    names = [m.model for m in client.list().models]
    assert {"mock", "slow", "oros/steps"} <= {*names}
    found = client.show("mock")
    assert {"completion", "tools", "vision"} <= {*found.capabilities}
    kind = found.modelinfo["general.architecture"]
    assert found.modelinfo[f"{kind}.context_length"] > 0
    assert client.show("oros/steps").capabilities == ["completion"]
    with pytest.raises(ollama.ResponseError) as error:
        client.show("gpt-9")
    assert error.value.status_code == 404


def test_embed() -> None:
    async def story():
        async with (
            opened(lambda _: "x") as door,
            ollama.AsyncClient(host=door.url, headers=headers(door.secret)) as client,
        ):
            one = await client.embed("embed", "abc")
            two = await client.embed("embed", ["a", "abcd"])
            old = await client.embeddings("embed", "ab")
            with pytest.raises(ollama.ResponseError, match="nope"):
                await client.embed("nope", "abc")
            return one, two, old

    one, two, old = asyncio.run(story())
    assert one.embeddings == [[3.0, 1.0]]
    assert two.embeddings == [[1.0, 1.0], [4.0, 1.0]]
    assert (one.model, two.prompt_eval_count > 0) == ("tiny", True)
    assert old.embedding == [2.0, 1.0]


def test_errors_are_the_clients_own(client, doors) -> None:
    def fails(act, *words) -> ollama.ResponseError:
        with pytest.raises(ollama.ResponseError) as error:
            act(*words)
        return error.value

    unknown = fails(client.chat, "gpt-9", said("x"))
    assert (unknown.status_code, "gpt-9" in unknown.error) == (404, True)
    streamed = fails(list, client.chat("gpt-9", said("x"), stream=True))
    assert streamed.status_code == 404
    platform = fails(client.chat, "mock", said("[[mock fault=401]]"))
    assert (platform.status_code, "the machine's key" in platform.error) == (502, True)
    raw = fails(lambda: client.generate("mock", "x", raw=True))
    assert (raw.status_code, "raw" in raw.error) == (400, True)
    for head in ({}, headers("nope")):
        with ollama.Client(host=doors.url, headers=head) as other:
            assert fails(other.chat, "mock", said("x")).status_code == 401
            assert fails(other.list).status_code == 401


def test_cancel(doors, until) -> None:
    async def story():
        messages = said("[[mock tokens=400]] ollama")
        async with ollama.AsyncClient(host=doors.url, headers=headers(doors.key)) as client:
            stream = await client.chat("slow", messages, stream=True)
            async for part in stream:
                if part.message.content:
                    break
            await stream.aclose()

    asyncio.run(story())
    gone = "[[mock tokens=400]] ollama"
    row = until(lambda: [r for r in doors.ended() if r["goal"] == gone and r["status"] == 130])[0]
    assert row["tokens_in"] > 0
