"""OpenAI's own client: Chat Completions, Responses, embeddings, models."""

import asyncio
import base64

import openai
import pytest
from pydantic import BaseModel

PIXEL = base64.b64encode(b"\x89PNG pixel").decode()
URL = f"data:image/png;base64,{PIXEL}"
WEATHER = {"type": "object", "properties": {"x": {"type": "integer"}}}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": WEATHER}}
FLAT = {"type": "function", "name": "weather", "parameters": WEATHER, "strict": False}
ASKS = "[[mock turns=1 tool=weather tokens=4 final=sunny]] How is it?"


class Place(BaseModel):
    """What a structured answer is made of."""

    city: str
    people: int


@pytest.fixture
def client(doors):
    with openai.OpenAI(base_url=f"{doors.url}/v1", api_key=doors.key, max_retries=0) as found:
        yield found


def said(text: str) -> list[dict]:
    return [{"role": "user", "content": text}]


def test_chat(client) -> None:
    found = client.chat.completions.create(model="mock", messages=said("one two"), seed=1)
    assert found.choices[0].message.content.strip() == "echo: one two"
    assert found.choices[0].finish_reason == "stop"
    assert found.usage.total_tokens == found.usage.prompt_tokens + found.usage.completion_tokens > 0


def test_chat_streams(client) -> None:
    with client.chat.completions.stream(
        model="mock", messages=said("one two three"), stream_options={"include_usage": True}
    ) as stream:
        events = list(stream)
    deltas = [e.delta for e in events if e.type == "content.delta"]
    assert "".join(deltas).strip() == "echo: one two three"
    last = stream.get_final_completion()
    assert last.choices[0].message.content.strip() == "echo: one two three"
    assert last.usage.completion_tokens > 0


def test_chat_tools(client) -> None:
    messages = said(ASKS)
    first = client.chat.completions.create(model="mock", messages=messages, tools=[TOOL])
    (call,) = first.choices[0].message.tool_calls
    assert (call.function.name, call.function.arguments) == ("weather", '{"x": 0}')
    assert first.choices[0].finish_reason == "tool_calls"
    back = {"role": "tool", "tool_call_id": call.id, "content": "sunny"}
    messages = [*messages, first.choices[0].message, back]
    last = client.chat.completions.create(model="mock", messages=messages, tools=[TOOL])
    assert last.choices[0].message.content.startswith("sunny")


def test_chat_tools_streamed(client) -> None:
    with client.chat.completions.stream(
        model="mock", messages=said(ASKS), tools=[openai.pydantic_function_tool(Place)]
    ) as stream:
        stream.until_done()
    (call,) = stream.get_final_completion().choices[0].message.tool_calls
    assert call.function.name == "weather"


def test_chat_structured(client) -> None:
    text = '[[mock text={"city":"Bonn","people":330000}]]'
    found = client.chat.completions.parse(model="mock", messages=said(text), response_format=Place)
    assert found.choices[0].message.parsed == Place(city="Bonn", people=330000)


def test_chat_sees(client, doors) -> None:
    parts = [{"type": "text", "text": "what?"}, {"type": "image_url", "image_url": {"url": URL}}]
    client.chat.completions.create(model="mock", messages=[{"role": "user", "content": parts}])
    assert doors.pictures() == ["image/png"]


def test_a_response(client) -> None:
    found = client.responses.create(model="mock", input="one two", instructions="be short")
    assert found.output_text.strip() == "echo: one two"
    assert found.status == "completed"


def test_a_response_streams(client) -> None:
    events = list(client.responses.create(model="mock", input=ASKS, tools=[FLAT], stream=True))
    assert events[0].type == "response.created"
    calls = [i for i in events[-1].response.output if i.type == "function_call"]
    assert [(c.name, c.arguments) for c in calls] == [("weather", '{"x": 0}')]
    with client.responses.stream(model="mock", input="one two") as stream:
        stream.until_done()
        assert stream.get_final_response().output_text.strip() == "echo: one two"


def test_a_conversation_of_responses(client) -> None:
    first = client.responses.create(model="mock", input=said(ASKS), tools=[FLAT])
    call = next(i for i in first.output if i.type == "function_call")
    back = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    items = [*said(ASKS), *first.output, back]
    last = client.responses.create(model="mock", input=items, tools=[FLAT])
    assert last.output_text.startswith("sunny")
    only = client.responses.create(
        model="mock", input=[back], tools=[FLAT], previous_response_id=first.id
    )
    assert only.output_text == last.output_text
    assert only.previous_response_id == first.id


def test_a_structured_response_and_a_picture(client, doors) -> None:
    text = '[[mock text={"city":"Bonn","people":330000}]]'
    found = client.responses.parse(model="mock", input=text, text_format=Place)
    assert found.output_parsed == Place(city="Bonn", people=330000)
    parts = [{"type": "input_image", "image_url": URL, "detail": "auto"}]
    client.responses.create(model="mock", input=[{"role": "user", "content": parts}])
    assert doors.pictures() == ["image/png"]


def test_models(client) -> None:
    names = [m.id for m in client.models.list()]
    assert {"mock", "oros/steps"} <= set(names)
    assert client.models.retrieve("mock").owned_by == "oros"


def test_a_program_of_the_machine(client) -> None:
    found = client.chat.completions.create(model="oros/steps", messages=said("one two"))
    assert "one two" in found.choices[0].message.content


def test_errors_are_the_clients_own(client, doors) -> None:
    with pytest.raises(openai.NotFoundError, match="gpt-9"):
        client.chat.completions.create(model="gpt-9", messages=said("x"))
    with pytest.raises(openai.BadRequestError, match="no answer 1 to go on from"):
        client.responses.create(model="mock", input="x", previous_response_id="resp_1")
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="nope").models.list()
    text = "[[mock fault=401]]"
    with pytest.raises(openai.InternalServerError, match="the machine's key"):
        client.chat.completions.create(model="mock", messages=said(text))


def test_cancel(doors, until) -> None:
    async def story():
        async with openai.AsyncOpenAI(base_url=f"{doors.url}/v1", api_key=doors.key) as client:
            stream = await client.chat.completions.create(
                model="slow", messages=said("[[mock tokens=400]]"), stream=True
            )
            async for chunk in stream:
                if chunk.choices[0].delta.content:
                    break
            await stream.close()

    asyncio.run(story())
    rows = until(lambda: [r for r in doors.ended() if r["model"] == "slow" and r["status"] == 130])
    assert rows[-1]["tokens_in"] > 0
