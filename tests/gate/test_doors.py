"""The doors over a real port: three dialects, keys, what goes wrong, who goes away."""

import asyncio
import base64
import copy
import json

import aiohttp
import pytest
from tests.gate.open_door import CANS, opened, other
from tests.waits import until

from oros.abi.errors import Busy, Invalid, NoSpace, NotAuthorized, TooBig, Unreachable
from oros.abi.grants import Limits
from oros.abi.labels import Integrity
from oros.abi.message import Ask, AudioPart, ImagePart
from oros.gate import doors
from oros.gate.doors import address
from oros.sdk.testing.scripted import Answer
from oros.services.doors.keys import Keys
from oros.services.replay import replay

HELLO = {"model": "scripted", "messages": [{"role": "user", "content": "hello"}]}
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TWO = Answer(
    "Let me look. ", (Ask("a", "weather", {"city": "Bonn"}), Ask("b", "weather", {"city": "Köln"}))
)
LOOK = 'name = "look"\nabout = ""\nshape = "steps"\nprompt = "You look."\nneeds = ["sight"]\n'
PIXEL = base64.b64encode(b"\x89PNG pixel").decode()


def run(story, script="Hello, you there!", **more):
    """A story over open doors; the script may be one answer."""
    said = script if callable(script) or isinstance(script, list) else lambda _: script

    async def main():
        async with opened(said, **more) as door:
            return await story(door)

    return asyncio.run(main())


def bodies():
    """One question in each dialect: (path, body, the text of its answer, the tools)."""
    chat_tool = {"type": "function", "function": {"name": "weather", "parameters": WEATHER}}
    flat = {"type": "function", "name": "weather", "parameters": WEATHER}
    theirs = {"name": "weather", "input_schema": WEATHER}
    return [
        ("/v1/chat/completions", HELLO, chat_tool),
        ("/v1/responses", {"model": "scripted", "input": "hello"}, flat),
        ("/v1/messages", {**HELLO, "max_tokens": 100}, theirs),
    ]


EACH = pytest.mark.parametrize(("path", "body", "tool"), bodies(), ids=["chat", "resp", "anthr"])


def text_of(found) -> str:
    """The text of an answer in any dialect."""
    if "choices" in found:
        return found["choices"][0]["message"]["content"] or ""
    if "output" in found:
        messages = [i for i in found["output"] if i["type"] == "message"]
        return "".join(c["text"] for m in messages for c in m["content"])
    return "".join(c["text"] for c in found["content"] if c["type"] == "text")


def calls_of(found) -> list:
    """(id, name, arguments) of the calls of an answer in any dialect."""
    if "choices" in found:
        asked = found["choices"][0]["message"].get("tool_calls", [])
        return [(c["id"], c["function"]["name"], json.loads(c["function"]["arguments"]))
                for c in asked]  # fmt: skip
    if "output" in found:
        asked = [i for i in found["output"] if i["type"] == "function_call"]
        return [(c["call_id"], c["name"], json.loads(c["arguments"])) for c in asked]
    return [(c["id"], c["name"], c["input"]) for c in found["content"] if c["type"] == "tool_use"]


def error_of(found) -> str:
    """What an error says, in any dialect; its shape is that of the dialect."""
    if found.get("type") == "error":
        return found["error"]["message"]
    assert set(found["error"]) == {"message", "type", "param", "code"}
    return found["error"]["message"]


# ---- answers -----------------------------------------------------------------------------------


@EACH
def test_an_answer_in_one_piece(path, body, tool) -> None:
    async def story(door):
        status, found, _ = await door.post(path, body)
        assert (status, text_of(found)) == (200, "Hello, you there!")
        (row,) = door.rows()
        assert (row.status, row.answer, row.goal) == (0, "Hello, you there!", "hello")
        return found, row

    found, row = run(story)
    counts = found["usage"]
    read = counts.get("prompt_tokens", counts.get("input_tokens"))
    assert read == row.usage.tokens_in > 0


def test_a_chat_streams() -> None:
    async def story(door):
        body = {**HELLO, "stream_options": {"include_usage": True}}
        return [d for _, d in await door.stream("/v1/chat/completions", body)]

    events = run(story)
    assert events.pop() == "[DONE]"
    deltas = [c["delta"] for e in events for c in e["choices"]]
    assert deltas[0]["role"] == "assistant"
    assert len([d for d in deltas if d.get("content")]) > 2
    assert "".join(d.get("content") or "" for d in deltas) == "Hello, you there!"
    assert [c["finish_reason"] for e in events for c in e["choices"]][-1] == "stop"
    assert events[-1]["usage"]["completion_tokens"] > 0
    assert len({e["id"] for e in events}) == 1


def test_a_response_streams() -> None:
    async def story(door):
        body = {"model": "scripted", "input": [{"role": "user", "content": "hello"}]}
        return await door.stream("/v1/responses", body)

    events = run(story)
    assert events.pop()[1] == "[DONE]"
    assert [name for name, _ in events] == [d["type"] for _, d in events]
    assert [d["sequence_number"] for _, d in events] == list(range(len(events)))
    said = "".join(d["delta"] for n, d in events if n == "response.output_text.delta")
    assert said == "Hello, you there!"
    last = events[-1][1]["response"]
    assert (last["status"], text_of(last), last["store"]) == ("completed", said, True)


def test_a_message_streams() -> None:
    async def story(door):
        return await door.stream("/v1/messages", {**HELLO, "max_tokens": 100})

    events = run(story)
    names = [name for name, _ in events]
    assert names[:2] == ["message_start", "content_block_start"]
    assert names[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    said = [d["delta"]["text"] for n, d in events if n == "content_block_delta"]
    assert "".join(said) == "Hello, you there!"
    assert events[-2][1]["delta"]["stop_reason"] == "end_turn"


@EACH
def test_tools_are_the_clients_to_call(path, body, tool) -> None:
    async def story(door):
        found = (await door.post(path, {**body, "tools": [tool]}))[1]
        request = door.model.requests[0]
        assert [t.name for t in request.tools] == ["weather"]
        assert request.tools[0].schema == WEATHER
        (row,) = door.rows()
        assert row.usage.calls == 1  # the model's, and no call of the machine
        return found

    found = run(story, TWO)
    assert text_of(found) == "Let me look. "
    assert calls_of(found) == [
        ("a", "weather", {"city": "Bonn"}),
        ("b", "weather", {"city": "Köln"}),
    ]


def test_streamed_calls_are_whole_in_each_dialect() -> None:
    async def story(door):
        return [await door.stream(p, {**b, "tools": [t]}) for p, b, t in bodies()]

    chat, response, message = run(story, TWO)
    deltas = [c["delta"] for _, d in chat[:-1] for c in d["choices"]]
    chunks = [c for d in deltas for c in d.get("tool_calls", [])]
    assert [(c["index"], c["id"]) for c in chunks] == [(0, "a"), (1, "b")]
    assert chat[-2][1]["choices"][0]["finish_reason"] == "tool_calls"
    done = [d["item"] for n, d in response[:-1] if n == "response.output_item.done"]
    assert [i["type"] for i in done] == ["message", "function_call", "function_call"]
    parts = [d["delta"] for n, d in message if n == "content_block_delta"]
    args = [json.loads(p["partial_json"]) for p in parts if p["type"] == "input_json_delta"]
    assert args == [{"city": "Bonn"}, {"city": "Köln"}]
    assert message[-2][1]["delta"]["stop_reason"] == "tool_use"


def answered(found, path, result):
    """The body that goes on with the answers to the calls."""
    if path.endswith("completions"):
        message = found["choices"][0]["message"]
        back = [{"role": "tool", "tool_call_id": c, "content": result} for c in ("a", "b")]
        return {**HELLO, "messages": [*HELLO["messages"], message, *back]}
    if path.endswith("responses"):
        back = [{"type": "function_call_output", "call_id": c, "output": result}
                for c in ("a", "b")]  # fmt: skip
        hello = {"role": "user", "content": "hello"}
        return {"model": "scripted", "input": [hello, *found["output"], *back]}
    blocks = [{"type": "tool_result", "tool_use_id": c, "content": result} for c in ("a", "b")]
    turns = [
        {"role": "assistant", "content": found["content"]},
        {"role": "user", "content": blocks},
    ]
    return {**HELLO, "max_tokens": 9, "messages": [*HELLO["messages"], *turns]}


@EACH
def test_what_tools_said_goes_back_and_is_others_text(path, body, tool) -> None:
    async def story(door):
        found = (await door.post(path, {**body, "tools": [tool]}))[1]
        status, last, _ = await door.post(path, answered(found, path, "sunny"))
        assert (status, text_of(last)) == (200, "It is sunny")
        request = door.model.requests[-1]
        assert [m.role for m in request.messages] == ["user", "assistant", "tool", "tool"]
        assert [m.answers for m in request.messages[2:]] == ["a", "b"]
        assert len(request.messages[1].asks) == 2
        assert [m.label.integrity for m in request.messages] == [3, 3, 0, 0]
        assert door.rows()[-1].label.integrity == Integrity.THIRD

    run(story, [TWO, "It is sunny"])


def test_pictures_and_sounds_are_parts() -> None:
    url = f"data:image/png;base64,{PIXEL}"
    source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
    asked = [
        ("/v1/chat/completions", [{"type": "image_url", "image_url": {"url": url}}], {}),
        ("/v1/messages", [{"type": "image", "source": source}], {"max_tokens": 10}),
    ]
    sound = {"type": "input_audio", "input_audio": {"format": "wav", "data": PIXEL}}

    async def story(door):
        for path, content, more in asked:
            body = {"model": "scripted", "messages": [{"role": "user", "content": content}], **more}
            assert (await door.post(path, body))[0] == 200
        item = {"role": "user", "content": [{"type": "input_image", "image_url": url}]}
        await door.post("/v1/responses", {"model": "scripted", "input": [item]})
        heard = {"model": "scripted", "messages": [{"role": "user", "content": [sound]}]}
        await door.post("/v1/chat/completions", heard)
        for request in door.model.requests:
            (part,) = request.messages[-1].parts
            assert request.fetch(part.blob) == b"\x89PNG pixel"
        kinds = [type(r.messages[-1].parts[0]) for r in door.model.requests]
        assert kinds == [ImagePart, ImagePart, ImagePart, AudioPart]

    run(story)


def test_a_model_without_sight_is_sent_no_picture() -> None:
    async def story(door):
        part = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
        body = {"model": "scripted", "messages": [{"role": "user", "content": [part]}]}
        status, found, _ = await door.post("/v1/chat/completions", body)
        assert (status, door.model.calls) == (400, 0)
        assert "has no sight" in error_of(found)

    run(story, cans=frozenset({"tools"}))


def test_a_schema_bounds_the_answer_and_a_forced_call_is_one() -> None:
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": WEATHER}}
    tool = bodies()[0][2]

    async def story(door):
        await door.post("/v1/chat/completions", {**HELLO, "response_format": form})
        assert door.model.requests[0].schema == WEATHER
        body = {**HELLO, "tools": [tool], "tool_choice": "required"}
        found = (await door.post("/v1/chat/completions", body))[1]
        assert door.model.requests[1].schema == WEATHER
        ((_, name, args),) = calls_of(found)
        assert (name, args) == ("weather", {"city": "Bonn"})
        assert found["choices"][0]["finish_reason"] == "tool_calls"

    run(story, '{"city": "Bonn"}')


def test_a_begun_answer_of_the_assistant_is_gone_on_with() -> None:
    async def story(door):
        turns = [*HELLO["messages"], {"role": "assistant", "content": "Hello, "}]
        body = {**HELLO, "messages": turns, "max_tokens": 50}
        return text_of((await door.post("/v1/messages", body))[1])

    assert run(story) == "you there!"


def test_vectors() -> None:
    async def story(door):
        body = {"model": "embed", "input": ["a", "abc"]}
        found = (await door.post("/v1/embeddings", body))[1]
        assert [d["embedding"] for d in found["data"]] == [[1.0, 1.0], [3.0, 1.0]]
        packed = (await door.post("/v1/embeddings", {**body, "encoding_format": "base64"}))[1]
        assert len(base64.b64decode(packed["data"][0]["embedding"])) == 8
        spent = door.kernel.m.accounts.spent(door.desk.keys.of(door.secret)[1].pid)
        assert spent.tokens_in == found["usage"]["total_tokens"] * 2
        assert [r.goal for r in door.rows()] == ["vectors of 2 texts"] * 2

    run(story)


def test_models_are_those_that_the_key_opens() -> None:
    async def story(door):
        async with door.http.get(f"{door.url}/v1/models") as got:
            names = [m["id"] for m in (await got.json())["data"]]
        assert names[0] == "scripted"
        assert "oros/steps" in names
        narrow = await door.key("narrow", models=("scripted",))
        async with door.session(narrow) as http, http.get(f"{door.url}/v1/models") as got:
            assert [m["id"] for m in (await got.json())["data"]] == ["scripted"]
        async with door.http.get(f"{door.url}/v1/models/nope") as got:
            assert got.status == 404

    run(story)


# ---- a program as a model ----------------------------------------------------------------------


def test_a_program_does_the_job_and_its_answer_streams() -> None:
    async def story(door):
        body = {**HELLO, "model": "oros/steps"}
        events = await door.stream("/v1/chat/completions", body)
        deltas = [c["delta"] for _, d in events[:-1] for c in d["choices"]]
        assert "".join(d.get("content") or "" for d in deltas) == "Hello, you there!"
        thought = "".join(d.get("reasoning_content") or "" for d in deltas)
        assert thought == "Hello, you there!"
        assert text_of((await door.post("/v1/chat/completions", body))[1]) == "Hello, you there!"

    run(story)


def test_a_program_that_waits_for_its_user_says_so() -> None:
    async def story(door):
        body = {**HELLO, "model": "oros/steps"}
        return text_of((await door.post("/v1/chat/completions", body))[1])

    script = Answer("", (Ask("q", "ask", {"question": "Which one?"}),))
    assert "waits for its user: Which one?" in run(story, script)


def test_a_program_of_ones_own_is_offered_as_the_machines_are(tmp_path) -> None:
    text = 'name = "{}"\nabout = ""\nshape = "{}"\nprompt = "You are {}."\n'
    for name, shape in (("look", "steps"), ("inner", "reader"), ("else", "code")):
        (tmp_path / f"{name}.toml").write_text(text.format(name, shape, name))
    (tmp_path / "broken.toml").write_text("name = ")

    async def names(door, secret):
        async with door.session(secret) as http, http.get(f"{door.url}/v1/models") as got:
            return [m["id"] for m in (await got.json())["data"] if m["id"].startswith("oros/")]

    async def story(door):
        body = {**HELLO, "model": "oros/look"}
        assert text_of((await door.post("/v1/chat/completions", body))[1]) == "Hello, you there!"
        assert door.model.requests[-1].messages[0].text.startswith("You are look.")
        assert (await door.post("/v1/chat/completions", {**body, "model": "oros/inner"}))[0] == 404
        assert (await names(door, door.secret)) == [
            "oros/code",
            "oros/steps",
            "oros/else",
            "oros/look",
        ]
        assert (await names(door, await door.key("one", apps=("l*",)))) == ["oros/look"]
        assert (await names(door, await door.key("none"))) == []

    run(story, folder=tmp_path)


@pytest.mark.parametrize("models", [("*",), ("scripted", "seeing"), ("seeing",)])
def test_a_program_begins_on_a_model_that_has_what_it_needs(tmp_path, models) -> None:
    (tmp_path / "look.toml").write_text(LOOK)
    seeing = other("seeing", "I saw it.")
    blind = other("blind", "I can't see.", CANS - {"image"})

    async def story(door):
        secret = await door.key("one", apps=("*",), models=models)
        async with door.session(secret) as http:
            body = {**HELLO, "model": "oros/look"}
            async with http.post(f"{door.url}/v1/chat/completions", json=body) as got:
                assert text_of(await got.json()) == "I saw it."

    run(story, others=[blind, seeing], cans=CANS - {"image"}, folder=tmp_path)
    assert len(seeing.requests) == 1


def test_a_key_whose_models_lack_what_a_program_needs_is_told_so(tmp_path) -> None:
    (tmp_path / "look.toml").write_text(LOOK)

    async def story(door):
        secret = await door.key("one", apps=("*",), models=("scripted",))
        async with door.session(secret) as http:
            body = {**HELLO, "model": "oros/look"}
            async with http.post(f"{door.url}/v1/chat/completions", json=body) as got:
                assert got.status == 400
                why = error_of(await got.json())
        assert "look needs sight, and scripted has not" in why
        assert "seeing" not in why

    run(story, others=[other("seeing", "")], cans=CANS - {"image"}, folder=tmp_path)


def test_a_key_without_apps_opens_no_program() -> None:
    async def story(door):
        secret = await door.key("plain")
        async with door.session(secret) as http:
            body = {**HELLO, "model": "oros/steps"}
            async with http.post(f"{door.url}/v1/chat/completions", json=body) as got:
                assert got.status == 404
                assert "oros/steps" not in error_of(await got.json()).partition("models:")[2]

    run(story)


# ---- keys --------------------------------------------------------------------------------------


@EACH
def test_without_a_key_nothing_is_opened(path, body, tool) -> None:
    async def story(door):
        for headers in ({}, {"Authorization": "Bearer no"}, {"x-api-key": "no"},
                        {"Authorization": "Basic x"}):  # fmt: skip
            async with (
                aiohttp.ClientSession(headers=headers) as http,
                http.post(f"{door.url}{path}", json=body) as got,
            ):
                assert got.status == 401
                assert error_of(await got.json())
        assert door.model.calls == 0
        headers = {"x-api-key": door.secret}
        async with (
            aiohttp.ClientSession(headers=headers) as http,
            http.post(f"{door.url}{path}", json=body) as got,
        ):
            assert got.status == 200

    run(story)


@EACH
def test_a_budget_is_a_wall(path, body, tool) -> None:
    async def story(door):
        secret = await door.key("small", limits=Limits(calls=1))
        async with door.session(secret) as http:
            statuses = []
            for _ in range(2):
                async with http.post(f"{door.url}{path}", json=body) as got:
                    statuses.append((got.status, await got.json()))
        assert [s for s, _ in statuses] == [200, 402]
        assert "budget" in error_of(statuses[1][1])
        assert door.model.calls == 1

    run(story)


def test_a_budget_in_tokens_makes_answers_shorter_and_holds_over_a_restart() -> None:
    async def first(door):
        secret = await door.key("small", limits=Limits(tokens=100))
        body = {**HELLO, "max_tokens": 4000}
        async with (
            door.session(secret) as http,
            http.post(f"{door.url}/v1/chat/completions", json=body) as got,
        ):
            assert got.status == 200
        assert door.model.requests[0].max_tokens < 100
        spent = next(k for k in door.desk.keys.rows() if k["name"] == "small")["spent"]
        return secret, door.disk, spent

    async def second(door, secret, spent):
        row = next(k for k in door.desk.keys.rows() if k["name"] == "small")
        counts = ("tokens_in", "tokens_out", "calls", "micros")
        assert [row["spent"][n] for n in counts] == [spent[n] for n in counts]
        async with door.session(secret) as http:
            for _ in range(20):
                async with http.post(f"{door.url}/v1/chat/completions", json=HELLO) as got:
                    if got.status == 402:
                        return
        raise AssertionError("the budget was never spent")

    secret, disk, spent = run(first)
    assert spent["tokens_in"] > 0

    run(lambda door: second(door, secret, spent), disk=disk)


def test_a_budget_in_money_refuses_a_model_without_a_price() -> None:
    async def story(door):
        secret = await door.key("rich", limits=Limits(micros=10**9))
        async with (
            door.session(secret) as http,
            http.post(f"{door.url}/v1/chat/completions", json=HELLO) as got,
        ):
            assert got.status == 402
            assert "price" in error_of(await got.json())

    run(story, price=None)


def test_a_key_ends_when_its_time_is_over_and_when_it_is_revoked() -> None:
    async def story(door):
        late = await door.key("late", seconds=1e-6)
        gone = await door.key("gone")
        door.desk.keys.revoke("gone")
        for secret in (late, gone):
            with pytest.raises(NotAuthorized):
                door.desk.keys.of(secret)
        kept = door.disk.settings["doors.keys"]
        assert late not in kept
        assert gone not in kept

    run(story)


def test_revoking_ends_what_is_under_way() -> None:
    async def story(door):
        secret = await door.key("gone")
        async with door.session(secret) as http:
            async with asyncio.TaskGroup() as tasks:
                post = http.post(f"{door.url}/v1/chat/completions", json=HELLO)
                work = tasks.create_task(post.__aenter__())
                await until(lambda: door.model.active)
                door.desk.keys.revoke("gone")
                got = await work
            assert got.status == 503
            got.close()
        (row,) = door.rows()
        assert (row.alive, row.status, door.model.closed) == (False, 137, 1)

    run(story, "word " * 500, tokens_a_second=20)


def test_another_keys_label_is_others_text() -> None:
    async def story(door):
        secret = await door.key("theirs")
        async with (
            door.session(secret) as http,
            http.post(f"{door.url}/v1/chat/completions", json=HELLO) as got,
        ):
            assert got.status == 200
        (row,) = door.rows()
        assert row.label.integrity == Integrity.THIRD
        assert "app:theirs" in row.label.origins
        assert row.nice == 1

    run(story)


# ---- what goes wrong ---------------------------------------------------------------------------

WRONG = [
    ("/v1/chat/completions", b"{", "JSON"),
    ("/v1/chat/completions", b"[]", "object"),
    ("/v1/chat/completions", b'{"model": "scripted"}', "nothing to answer"),
    ("/v1/chat/completions", b'{"model": "scripted", "messages": "x"}', "list"),
    ("/v1/chat/completions", b'{"model": "scripted", "messages": [{"role": "x"}]}', "role"),
    ("/v1/chat/completions", json.dumps({**HELLO, "n": 2}).encode(), "n:"),
    ("/v1/chat/completions", json.dumps({**HELLO, "max_tokens": -1}).encode(), "max_tokens"),
    ("/v1/chat/completions", json.dumps({**HELLO, "temperature": "hot"}).encode(), "temperature"),
    ("/v1/chat/completions", json.dumps({**HELLO, "tools": [{"type": "x"}]}).encode(), "tools[0]"),
    (
        "/v1/responses",
        b'{"model": "scripted", "input": "x", "previous_response_id": "r"}',
        "no response 'r' was made here",
    ),
    ("/v1/responses", b'{"model": "scripted", "input": [{"type": "computer_call"}]}', "items"),
    ("/v1/messages", json.dumps(HELLO).encode(), "max_tokens"),
    ("/v1/embeddings", b'{"model": "embed", "input": [[1, 2]]}', "input"),
    ("/v1/chat/completions", b"[" * 100_000, "JSON"),
]


@pytest.mark.parametrize(("path", "body", "why"), WRONG)
def test_what_is_wrong_is_named(path, body, why) -> None:
    async def story(door):
        async with door.http.post(f"{door.url}{path}", data=body) as got:
            assert got.status == 400
            assert why in error_of(await got.json())
        assert door.model.calls == 0

    run(story)


@pytest.mark.parametrize(
    ("part", "why"),
    [
        ({"type": "image_url", "image_url": {"url": "https://example.org/x.png"}}, "data:"),
        ({"type": "image_url", "image_url": {"url": "data:text/html;base64,aGk="}}, "picture"),
        ({"type": "image_url", "image_url": {"url": "data:image/png;base64,***"}}, "base64"),
        ({"type": "file", "file": {"file_id": "x"}}, "file"),
    ],
)
def test_pictures_that_are_none_are_refused_and_nothing_is_fetched(part, why) -> None:
    async def story(door):
        body = {"model": "scripted", "messages": [{"role": "user", "content": [part]}]}
        status, found, _ = await door.post("/v1/chat/completions", body)
        assert status == 400
        assert why in error_of(found)

    run(story)


@EACH
def test_an_unknown_model_and_an_answer_to_no_call(path, body, tool) -> None:
    async def story(door):
        status, found, _ = await door.post(path, {**body, "model": "gpt-9"})
        assert status == 404
        assert "gpt-9" in error_of(found)
        assert "scripted" in error_of(found)
        later = answered({"output": [], "content": "x", "choices": [{"message": {
            "role": "assistant", "content": "x"}}]}, path, "r")  # fmt: skip
        status, found, _ = await door.post(path, later)
        assert (status, "no call" in error_of(found)) == (400, True)

    run(story)


@EACH
def test_a_body_that_is_too_large_is_refused(path, body, tool, monkeypatch) -> None:
    monkeypatch.setattr(doors, "BODY", 1000)

    async def story(door):
        status, found, _ = await door.post(path, {**body, "junk": "x" * 2000})
        assert status == 413
        assert error_of(found)

    run(story)


def test_a_conversation_over_the_window_is_refused_before_it_is_sent() -> None:
    async def story(door):
        body = {**HELLO, "messages": [{"role": "user", "content": "word " * 20000}]}
        status, found, _ = await door.post("/v1/chat/completions", body)
        assert (status, found["error"]["code"]) == (400, "context_length_exceeded")
        assert door.model.calls == 0

    run(story, window=4096)


def test_a_models_errors_have_the_dialects_shape_and_a_status() -> None:
    async def story(door):
        async def ask(path, body):
            status, found, headers = await door.post(path, body)
            error_of(found)
            return status, headers

        path, body, _ = bodies()[0]
        assert (await ask(path, body))[0] == 502  # the platform refused the machine's own key
        got = await ask(path, body)
        assert got[0] == 400
        assert [r.status for r in door.rows()] == [130, 130]
        assert all(r.why for r in door.rows())

    run(story, [NotAuthorized("bad key"), TooBig("too long")])


def test_a_retry_amid_an_answer_is_not_seen(monkeypatch) -> None:
    monkeypatch.setattr("oros.scheduling.moves.BACKOFF", 0.001)
    monkeypatch.setattr("oros.scheduling.pace.BACKOFF", 0.001)

    async def story(door):
        body = {**HELLO, "tools": [bodies()[0][2]]}
        events = await door.stream("/v1/chat/completions", body)
        return [c["delta"] for _, d in events[:-1] for c in d["choices"]]

    deltas = run(story, [Unreachable("x"), Busy("y"), TWO])
    assert "".join(d.get("content") or "" for d in deltas) == "Let me look. "
    assert len([1 for d in deltas if d.get("tool_calls")]) == 2


@pytest.mark.parametrize("arguments", ["{", "[1]", ""])
def test_bad_arguments_of_a_model_reach_the_client_as_they_came(arguments) -> None:
    async def story(door):
        found = [await door.post(p, {**b, "tools": [t]}) for p, b, t in bodies()]
        assert [s for s, *_ in found] == [200, 200, 200]
        chat = found[0][1]["choices"][0]["message"]["tool_calls"]
        assert [c["id"] for c in chat] == ["a", "a-1"]  # ids are made unique
        assert chat[0]["function"]["arguments"] == (arguments or "{}")
        block = found[2][1]["content"][-1]
        assert isinstance(block["input"], dict)

    run(story, Answer("", (Ask("a", "nope", arguments), Ask("a", "weather", arguments))))


@EACH
def test_a_client_that_goes_away_ends_its_answer(path, body, tool) -> None:
    async def story(door):
        async with door.http.post(f"{door.url}{path}", json={**body, "stream": True}) as got:
            await got.content.readany()
            got.close()
        await until(lambda: not door.model.active and not door.rows()[0].alive)
        (row,) = door.rows()
        assert (row.status, door.model.closed) == (130, 1)
        assert row.usage.tokens_in > 0  # what it read is paid for
        assert row.usage.tokens_out < 400
        key = door.desk.keys.of(door.secret)[1]
        assert door.kernel.m.accounts.spent(key.pid).calls == 1
        await door.kernel.m.journal.sync()
        assert replay(door.kernel.m.journal.rows(row.pid)).same

    run(story, "word " * 500, tokens_a_second=100)


@EACH
def test_a_client_that_waits_for_the_whole_may_go_away_too(path, body, tool) -> None:
    async def story(door):
        async with asyncio.TaskGroup() as tasks:
            work = tasks.create_task(door.post(path, body))
            await until(lambda: door.model.active)
            work.cancel()
        await until(lambda: not door.model.active and not door.rows()[0].alive)
        assert (door.rows()[0].status, door.model.closed) == (130, 1)

    run(story, "word " * 500, tokens_a_second=100)


def test_a_stopped_key_opens_nothing_until_it_goes_on() -> None:
    async def story(door):
        secret = await door.key("other")
        pid = next(k["pid"] for k in door.desk.keys.rows() if k["name"] == "other")
        async with door.session(secret) as http:
            stream = http.post(f"{door.url}/v1/chat/completions", json={**HELLO, "stream": True})
            async with stream as got:
                await got.content.readany()
                await door.kernel.request("kill", {"pid": pid, "signal": "STOP"})
                assert b"[DONE]" not in await got.read()
            assert [r.status for r in door.rows()] == [130]
            assert (await door.post("/v1/chat/completions", HELLO))[0] == 200
            post = f"{door.url}/v1/chat/completions"
            async with http.post(post, json=HELLO) as got:
                assert got.status == 401
            await door.kernel.request("kill", {"pid": pid, "signal": "CONT"})
            async with http.post(post, json=HELLO) as got:
                assert got.status == 200

    run(story, "word " * 30, tokens_a_second=100)


def test_keys_that_a_crash_left_half_made_end() -> None:
    async def story(door):
        await door.key("half")
        pid = next(k["pid"] for k in door.desk.keys.rows() if k["name"] == "half")
        door.disk.settings["doors.keys"] = "[]"
        keys = Keys(door.kernel.m, door.kernel.m.world.store)
        keys.settle()
        await door.kernel.m.journal.sync()
        assert door.kernel.m.find(pid).status == 137

    run(story)


def test_a_journal_that_fails_stops_the_machine_and_the_client_is_told() -> None:
    async def story(door):
        door.kernel.m.world.store.fail(NoSpace("the disk is full"))
        status, found, _ = await door.post("/v1/chat/completions", HELLO)
        assert (status, "full" in error_of(found)) == (507, True)
        status, found, _ = await door.post("/v1/embeddings", {"model": "embed", "input": "a"})
        assert (status, "full" in error_of(found)) == (507, True)
        assert len(door.failed) == 2

    run(story)


def test_a_client_that_goes_away_ends_its_program() -> None:
    async def story(door):
        body = {**HELLO, "model": "oros/steps", "stream": True}
        async with door.http.post(f"{door.url}/v1/chat/completions", json=body) as got:
            await got.content.readany()
            got.close()
        m = door.kernel.m
        await until(lambda: not door.model.active)
        await until(lambda: not any(r.program == "steps" and r.alive for r in m.table))
        assert [r.status for r in m.done.values() if r.program == "steps"] == [137]

    run(story, "word " * 500, tokens_a_second=50)


def test_a_person_ends_an_answer() -> None:
    async def story(door):
        async with door.http.post(
            f"{door.url}/v1/chat/completions", json={**HELLO, "stream": True}
        ) as got:
            await got.content.readany()
            (row,) = door.rows()
            await door.kernel.request("kill", {"pid": row.pid})
            rest = (await got.read()).decode()
        assert "a signal ended the answer" in rest
        assert "[DONE]" not in rest
        assert not row.alive

    run(story, "word " * 500, tokens_a_second=100)


def test_a_key_has_so_many_requests_open_and_no_more(monkeypatch) -> None:
    monkeypatch.setattr("oros.services.doors.desk.MOST", 1)

    async def story(door):
        async with door.http.post(
            f"{door.url}/v1/chat/completions", json={**HELLO, "stream": True}
        ) as got:
            await got.content.readany()
            status, found, headers = await door.post("/v1/messages", {**HELLO, "max_tokens": 5})
            assert (status, found["error"]["type"]) == (429, "rate_limit_error")
            assert headers["Retry-After"] == "1"
            got.close()

    run(story, "word " * 500, tokens_a_second=100)


# ---- what is left behind -----------------------------------------------------------------------


def test_journals_replay_and_long_texts_stand_in_them_once() -> None:
    async def story(door):
        told = {"role": "system", "content": "rule " * 4000}
        body = {**HELLO, "messages": [told, *HELLO["messages"]]}
        for _ in range(3):
            assert (await door.post("/v1/chat/completions", body))[0] == 200
        m = door.kernel.m
        await m.journal.sync()
        for row in door.rows():
            rows = m.journal.rows(row.pid)
            assert sum(len(r.body) for r in rows) < 4000
            assert replay(rows).same
        assert len(door.disk.blobs) == 1
        assert len({r.affinity for r in door.model.requests}) == 1
        assert not m.table.children(door.desk.keys.of(door.secret)[1].pid)

    run(story)


def test_what_a_crash_cut_ends_at_the_next_start() -> None:
    async def first(door):
        async with door.http.post(
            f"{door.url}/v1/chat/completions", json={**HELLO, "stream": True}
        ) as got:
            await got.content.readany()
            await door.kernel.m.journal.sync()
            cut = copy.deepcopy(door.disk)
            got.close()
        return cut

    async def second(door):
        await until(lambda: door.rows() and not door.rows()[0].alive)
        (row,) = door.rows()
        assert (row.status, row.alive) == (130, False)
        assert door.model.calls == 0
        await door.kernel.m.journal.sync()
        assert replay(door.kernel.m.journal.rows(row.pid)).same
        assert not door.failed

    cut = run(first, "word " * 500, tokens_a_second=100)
    run(second, disk=cut)


# ---- where they listen -------------------------------------------------------------------------


def test_pages_of_a_browser_stay_outside() -> None:
    async def story(door):
        for headers in ({"Host": "evil.example"}, {"Origin": "https://evil.example"},
                        {"Origin": "null"}, {"Host": "[::"}):  # fmt: skip
            assert (await door.post("/v1/chat/completions", HELLO, **headers))[0] == 403
        fine = {"Host": "localhost:1", "Origin": "http://localhost:3000"}
        assert (await door.post("/v1/chat/completions", HELLO, **fine))[0] == 200
        async with door.http.get(f"{door.url}/v1/status") as got:
            assert got.status == 404  # the machine's own door is not behind this one

    run(story)


@pytest.mark.parametrize("wrong", ["0.0.0.0:80", "example.org:1", "127.0.0.1", ":x", "::1:99999"])
def test_only_loopback(wrong) -> None:
    with pytest.raises(Invalid):
        address(wrong)


def test_addresses() -> None:
    assert address("127.0.0.1:0") == ("127.0.0.1", 0)
    assert address("[::1]:8700") == ("::1", 8700)
    assert address(":8700") == ("127.0.0.1", 8700)
