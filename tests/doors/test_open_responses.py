"""What `/v1/responses` sends, against the OpenAPI description of Open Responses, in force.

The description is that of 2026-04-24, as `openresponses-py` ships it; types that others made of it
(`openresponses-types`) are asked too. The cases are those of its own compliance tests in substance,
and what they leave out: what fails, what is cut, what is thought.
"""

import asyncio
import base64
import json
import urllib.error
import urllib.request
from importlib.resources import files

import openresponses
import pytest
from jsonschema import Draft202012Validator
from openresponses_types import types as spec
from tests.gate.open_door import opened
from tests.gate.test_ollama_door import Gone, Thinks

from oros.sdk.testing.scripted import ScriptedModel

DESCRIPTION = json.loads((files(openresponses) / "openapi" / "2026-04-24.json").read_text())
POST = DESCRIPTION["paths"]["/responses"]["post"]
CONTENT = POST["responses"]["200"]["content"]
PIXEL = base64.b64encode(b"\x89PNG pixel").decode()
WEATHER = {"type": "object", "properties": {"location": {"type": "string"}}}
TOOL = {
    "type": "function",
    "name": "get_weather",
    "description": "How it is",
    "parameters": WEATHER,
}
ASKS = "[[mock turns=1 tool=get_weather tokens=4 final=sunny]] How is it?"
CALLS = "[[mock turns=1 tool=get_weather tokens=0 final=sunny]] How is it?"
PLACE = '[[mock text={"city":"Bonn"}]]'
JSON = {"format": {"type": "json_object"}}
"""A form that answers may have in the description, and only OpenAI's own requests."""
FORM = {"type": "json_schema", "name": "place", "schema": {"type": "object"}}


def valid(schema, value) -> None:
    """Fails with all that is wrong, by its place."""
    whole = {**schema, "components": DESCRIPTION["components"]}
    found = Draft202012Validator(whole).iter_errors(value)
    assert [f"{e.json_path}: {e.message[:300]}" for e in found] == []


def test_the_description_is_one_itself() -> None:
    assert DESCRIPTION["info"] == {"title": "Open Responses", "version": "2026-04-24"}
    for schema in (*DESCRIPTION["components"]["schemas"].values(), *CONTENT.values()):
        Draft202012Validator.check_schema(schema)
    with pytest.raises(AssertionError, match="required"):
        valid(CONTENT["application/json"]["schema"], {})


def item(role: str, content) -> dict:
    return {"type": "message", "role": role, "content": content}


IMAGE = [
    {"type": "input_text", "text": "What do you see?"},
    {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}"},
]
TURNS = [item("user", "My name is Alice."), item("assistant", "Hello."), item("user", "My name?")]
SENT = {"type": "function_call", "call_id": "c1", "name": "get_weather", "arguments": "{}"}
BACK = {"type": "function_call_output", "call_id": "c1", "output": "sunny"}
PARTS = [{"type": "input_text", "text": "sunny"}, IMAGE[1]]
ALLOWED = {
    "type": "allowed_tools",
    "mode": "auto",
    "tools": [{"type": "function", "name": "get_weather"}],
}
CASES = {
    "basic": ({"input": [item("user", "Say hello in exactly 3 words.")]}, "message"),
    "a text": ({"input": "Count from 1 to 5.", "instructions": "be short"}, "message"),
    "system": ({"input": [item("system", "A pirate."), item("user", "Say hello.")]}, "message"),
    "developer": ({"input": [item("developer", "A pirate."), item("user", "Hello.")]}, "message"),
    "tools": ({"input": ASKS, "tools": [TOOL]}, "function_call"),
    "calls alone": ({"input": CALLS, "tools": [TOOL]}, "function_call"),
    "a call that must be": (
        {
            "input": '[[mock text={"location":"Bonn"}]]',
            "tools": [TOOL],
            "tool_choice": {"type": "function", "name": "get_weather"},
        },
        "function_call",
    ),
    "tools that may be": (
        {"input": ASKS, "tools": [TOOL], "tool_choice": ALLOWED},
        "function_call",
    ),
    "no tools": ({"input": "x", "tools": [TOOL], "tool_choice": "none"}, "message"),
    "back": ({"input": [item("user", ASKS), SENT, BACK], "tools": [TOOL]}, "message"),
    "back in parts": ({"input": [item("user", ASKS), SENT, {**BACK, "output": PARTS}]}, "message"),
    "image": ({"input": [item("user", IMAGE)]}, "message"),
    "turns": ({"input": TURNS}, "message"),
    "json": ({"input": PLACE, "text": JSON}, "message"),
    "schema": ({"input": PLACE, "text": {"format": FORM, "verbosity": "low"}}, "message"),
    "nothing": ({"input": "[[mock empty=1]]"}, "message"),
    "cut": ({"input": "[[mock tokens=60]]", "max_output_tokens": 16}, "message"),
    "all fields": (
        {
            "input": "x",
            "temperature": 0.5,
            "top_p": 0.9,
            "metadata": {"a": "b"},
            "store": False,
            "include": ["reasoning.encrypted_content"],
            "truncation": "auto",
            "parallel_tool_calls": True,
            "service_tier": "auto",
            "reasoning": {"effort": "low", "summary": "auto"},
            "safety_identifier": "s",
            "prompt_cache_key": "k",
            "presence_penalty": 0,
            "frequency_penalty": 0,
            "top_logprobs": 0,
            "background": False,
            "max_tool_calls": 3,
            "stream_options": {"include_obfuscation": False},
        },
        "message",
    ),
}
EACH = pytest.mark.parametrize(("body", "kind"), CASES.values(), ids=CASES)


def raw(doors, **body) -> bytes:
    """The bytes of an answer, through nobody's client."""
    if body.get("text") != JSON:
        valid(POST["requestBody"]["content"]["application/json"]["schema"], body)
    request = urllib.request.Request(
        f"{doors.url}/v1/responses",
        json.dumps({"model": "mock", **body}).encode(),
        {"Authorization": f"Bearer {doors.key}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as reply:
        return reply.read()


def events(data: bytes) -> list[dict]:
    """The events of a stream, each as it has to be; in their order, and [DONE] is the last."""
    blocks = [b for b in data.decode().split("\n\n") if b and not b.startswith(":")]
    assert blocks.pop() == "data: [DONE]"
    by_type = {next(iter(k.model_fields["type"].annotation)).value: k for k in KINDS}
    found = []
    for block in blocks:
        name, text = block.split("\n")
        event = json.loads(text.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        valid(CONTENT["text/event-stream"]["schema"], event)
        by_type[event["type"]].model_validate_json(text.removeprefix("data: "), strict=True)
        found.append(event)
    assert [e["sequence_number"] for e in found] == list(range(len(found)))
    return found


KINDS = [getattr(spec, k) for k in dir(spec) if k.endswith("StreamingEvent")]


def in_order(found: list[dict]) -> None:
    """Items begin, grow and end, one after another; what grew is what is there at last."""
    assert [e["type"] for e in found[:2]] == ["response.created", "response.in_progress"]
    items: list[dict] = []
    for event in found[2:-1]:
        match event["type"]:
            case "response.output_item.added":
                assert event["output_index"] == len(items)
                assert not items or items[-1]["done"]
                items.append({"id": event["item"]["id"], "done": False, "text": ""})
            case "response.output_item.done":
                assert event["item"]["id"] == items[-1]["id"]
                items[-1] |= {"done": True, "item": event["item"]}
            case kind:
                assert event.get("item_id", items[-1]["id"]) == items[-1]["id"]
                assert not items[-1]["done"]
                if kind.endswith(".delta"):
                    items[-1]["text"] += event["delta"]
    assert all(i["done"] for i in items)
    assert [i["item"] for i in items] == found[-1]["response"]["output"]
    for row in items:
        said = row["item"]
        texts = [p["text"] for p in said.get("content") or said.get("summary") or ()]
        assert row["text"] == said.get("arguments", "".join(texts))


@EACH
def test_an_answer(doors, body, kind) -> None:
    data = raw(doors, **body)
    found = json.loads(data)
    valid(CONTENT["application/json"]["schema"], found)
    spec.ResponseResource.model_validate_json(data, strict=True)
    assert kind in [i["type"] for i in found["output"]]
    cut = body.get("max_output_tokens") == 16
    assert found["status"] == ("incomplete" if cut else "completed")
    assert found["incomplete_details"] == ({"reason": "max_output_tokens"} if cut else None)


@EACH
def test_a_stream(doors, body, kind) -> None:
    found = events(raw(doors, **body, stream=True))
    in_order(found)
    last = found[-1]
    cut = body.get("max_output_tokens") == 16
    assert last["type"] == ("response.incomplete" if cut else "response.completed")
    whole = json.loads(raw(doors, **body))
    assert [i["type"] for i in last["response"]["output"]] == [i["type"] for i in whole["output"]]
    names = [e["type"] for e in found]
    if kind == "function_call":
        assert "response.function_call_arguments.delta" in names
        assert "response.function_call_arguments.done" in names


def test_a_call_goes_there_and_back(doors) -> None:
    """What the answer says goes back as it came, and is a request as the description has it."""
    hello = item("user", ASKS)
    first = json.loads(raw(doors, input=[hello], tools=[TOOL]))
    (call,) = [i for i in first["output"] if i["type"] == "function_call"]
    back = {"type": "function_call_output", "call_id": call["call_id"], "output": "20 degrees"}
    last = json.loads(raw(doors, input=[hello, *first["output"], back], tools=[TOOL]))
    assert last["output"][0]["content"][0]["text"].startswith("sunny")


def test_it_goes_on_from_an_answer_by_its_id(doors) -> None:
    """Only what is new is sent; the request and what comes back are as the description has them."""
    first = json.loads(raw(doors, input=[item("user", ASKS)], tools=[TOOL], instructions="Be kind"))
    (call,) = [i for i in first["output"] if i["type"] == "function_call"]
    back = {"type": "function_call_output", "call_id": call["call_id"], "output": "20 degrees"}
    more = {"tools": [TOOL], "previous_response_id": first["id"]}
    last = json.loads(raw(doors, input=[back], **more))
    assert last["output"][0]["content"][0]["text"].startswith("sunny")
    assert last["previous_response_id"] == first["id"]
    found = events(raw(doors, input=[back], stream=True, **more))
    assert found[-1]["response"]["output"][0]["content"] == last["output"][0]["content"]
    assert found[-1]["response"]["previous_response_id"] == first["id"]


def test_a_file_is_read(doors) -> None:
    data = {"filename": "a.txt", "file_data": base64.b64encode(b"417 pounds").decode()}
    found = json.loads(raw(doors, input=[item("user", [{"type": "input_file", **data}])]))
    assert "417 pounds" in found["output"][0]["content"][0]["text"]


def test_what_is_refused_says_so(doors) -> None:
    """As an error payload has to be; nothing is fetched here."""
    data = base64.b64encode(b"%PDF-1.4 no more").decode()
    pdf = {"type": "input_file", "filename": "a.pdf", "file_data": data}
    there = {"type": "input_image", "image_url": "https://example.org/a.png"}
    refused = [
        ({"input": "x", "previous_response_id": "resp_1"}, 400, "has no answer 1 to go on from"),
        ({"input": "x", "previous_response_id": "mine"}, 400, "previous_response_id"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, 400, "item_reference"),
        ({"input": [item("user", [pdf])]}, 400, "a.pdf: no text can be had"),
        ({"input": [item("user", [there])]}, 400, "nothing is fetched"),
        ({"input": "x", "background": True}, 400, "background"),
        ({"input": "x", "model": "gpt-9"}, 404, "gpt-9"),
        ({"input": "[[mock fault=401]]"}, 502, "the machine's key"),
        ({"input": "[[mock fault=401]]", "stream": True}, 502, "the machine's key"),
    ]
    for body, code, why in refused:
        with pytest.raises(urllib.error.HTTPError) as error:
            raw(doors, **body)
        with error.value as answer:
            found = json.loads(answer.read())
        assert answer.code == code
        assert why in found["error"]["message"]
        valid({"$ref": "#/components/schemas/ErrorPayload"}, found["error"])


async def streamed(door, **body) -> list[dict]:
    """The events of a machine in this process."""
    body |= {"model": "scripted", "stream": True}
    async with door.http.post(f"{door.url}/v1/responses", json=body) as got:
        assert (got.status, got.content_type) == (200, "text/event-stream")
        return events(await got.read())


def told(kind, story):
    """A story over a scripted model of a kind."""

    async def main():
        async with opened(lambda _: "Hello, you there!", kind=kind) as door:
            return await story(door)

    return asyncio.run(main())


def test_thoughts(doors) -> None:
    async def story(door):
        body = {"model": "scripted", "input": "hello"}
        return await streamed(door, input="hello"), (await door.post("/v1/responses", body))[1]

    found, whole = told(Thinks, story)
    in_order(found)
    valid(CONTENT["application/json"]["schema"], whole)
    spec.ResponseResource.model_validate(whole, strict=False)
    assert [i["type"] for i in whole["output"]] == ["reasoning", "message"]
    assert whole["output"][0]["summary"][0]["text"] == "let me see"
    kinds = [e["type"] for e in found]
    assert "response.reasoning_summary_text.delta" in kinds


def test_a_failure_amid_the_stream() -> None:
    found = told(Gone, lambda door: streamed(door, input="hello"))
    assert found[-1]["type"] == "response.failed"
    response = found[-1]["response"]
    assert (response["status"], "machine's key" in response["error"]["message"]) == ("failed", True)


def test_an_answer_that_is_ended() -> None:
    """By a person at the machine, amid the stream."""

    async def story(door):
        door.model.tokens_a_second = 50
        body = {"model": "scripted", "input": "hello", "stream": True}
        async with door.http.post(f"{door.url}/v1/responses", json=body) as got:
            first = await got.content.readuntil(b"output_text.delta")
            await door.kernel.request("kill", {"pid": door.rows()[0].pid})
            return events(first + await got.read())

    found = told(ScriptedModel, story)
    assert found[-1]["type"] == "response.failed"
    assert "a signal ended" in found[-1]["response"]["error"]["message"]
