"""Anthropic's own client: Messages."""

import asyncio
import base64

import anthropic
import pytest
from pydantic import BaseModel

PIXEL = base64.b64encode(b"\x89PNG pixel").decode()
WEATHER = {"type": "object", "properties": {"x": {"type": "integer"}}}
TOOL = {"name": "weather", "description": "", "input_schema": WEATHER}
ASKS = "[[mock turns=1 tool=weather tokens=4 final=sunny]] How is it?"


class Place(BaseModel):
    """What a structured answer is made of."""

    city: str
    people: int


@pytest.fixture
def client(doors):
    with anthropic.Anthropic(base_url=doors.url, api_key=doors.key, max_retries=0) as found:
        yield found


def said(text: str) -> list[dict]:
    return [{"role": "user", "content": text}]


def test_a_message(client) -> None:
    found = client.messages.create(
        model="mock", max_tokens=50, messages=said("one two"), system="be short"
    )
    assert found.content[0].text.strip() == "echo: one two"
    assert (found.stop_reason, found.role) == ("end_turn", "assistant")
    assert found.usage.input_tokens > 0


def test_it_streams(client) -> None:
    with client.messages.stream(
        model="mock", max_tokens=50, messages=said("one two three")
    ) as stream:
        words = list(stream.text_stream)
        last = stream.get_final_message()
    assert len(words) > 2
    assert "".join(words) == last.content[0].text
    assert last.usage.output_tokens > 0


def test_it_is_cut_at_its_limit(client) -> None:
    found = client.messages.create(model="mock", max_tokens=2, messages=said("a b c d e f"))
    assert found.stop_reason == "max_tokens"


@pytest.mark.parametrize("streamed", [False, True])
def test_tools(client, streamed) -> None:
    more = {"model": "mock", "max_tokens": 100, "tools": [TOOL]}
    if streamed:
        with client.messages.stream(messages=said(ASKS), **more) as stream:
            first = stream.get_final_message()
    else:
        first = client.messages.create(messages=said(ASKS), **more)
    assert first.stop_reason == "tool_use"
    call = first.content[-1]
    assert (call.name, call.input) == ("weather", {"x": 0})
    back = [{"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}]
    turns = [{"role": "assistant", "content": first.content}, {"role": "user", "content": back}]
    last = client.messages.create(messages=[*said(ASKS), *turns], **more)
    assert last.content[0].text.startswith("sunny")


def test_its_own_runner_of_tools(client) -> None:
    seen = []

    @anthropic.beta_tool
    def weather(x: int) -> str:
        """Tell the weather.

        Args:
            x: where
        """
        seen.append(x)
        return "sunny"

    runner = client.beta.messages.tool_runner(
        model="mock", max_tokens=100, tools=[weather], messages=said(ASKS)
    )
    assert runner.until_done().content[0].text.startswith("sunny")
    assert seen == [0]


def test_structured(client) -> None:
    text = '[[mock text={"city":"Bonn","people":330000}]]'
    found = client.messages.parse(
        model="mock", max_tokens=100, messages=said(text), output_format=Place
    )
    assert found.parsed_output == Place(city="Bonn", people=330000)


def test_it_sees(client, doors) -> None:
    source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
    content = [{"type": "image", "source": source}, {"type": "text", "text": "what?"}]
    messages = [{"role": "user", "content": content}]
    client.messages.create(model="mock", max_tokens=50, messages=messages)
    assert doors.pictures() == ["image/png"]


def test_models(client) -> None:
    assert {"mock", "oros/steps"} <= {m.id for m in client.models.list()}


def test_errors_are_the_clients_own(client, doors) -> None:
    with pytest.raises(anthropic.NotFoundError, match="claude-9"):
        client.messages.create(model="claude-9", max_tokens=5, messages=said("x"))
    with pytest.raises(anthropic.AuthenticationError):
        client.with_options(api_key="nope").models.list()
    with pytest.raises(anthropic.APIStatusError, match="the machine's key"):
        client.messages.create(model="mock", max_tokens=5, messages=said("[[mock fault=401]]"))


def test_cancel(doors, until) -> None:
    async def story():
        messages = said("[[mock tokens=400]] please")
        async with (
            anthropic.AsyncAnthropic(base_url=doors.url, api_key=doors.key) as client,
            client.messages.stream(model="slow", max_tokens=400, messages=messages) as stream,
        ):
            async for _ in stream.text_stream:
                break

    asyncio.run(story())
    gone = "[[mock tokens=400]] please"
    row = until(lambda: [r for r in doors.ended() if r["goal"] == gone and r["status"] == 130])[0]
    assert row["tokens_in"] > 0
