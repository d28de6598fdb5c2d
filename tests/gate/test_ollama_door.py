"""Ollama's dialect over a real port: lines, their end, what is told of models, what is refused."""

import asyncio
import json

import aiohttp
import pytest
from tests.gate.open_door import other
from tests.gate.test_doors import HELLO, PIXEL, TWO, WEATHER, run

from oros.abi.errors import NotAuthorized
from oros.abi.message import ImagePart
from oros.abi.ports import ReasoningDelta, TextDelta
from oros.boot.names import Names
from oros.drivers.clock.wall import WallClock
from oros.sdk.testing.scripted import Answer, ScriptedModel

TOOL = {"type": "function", "function": {"name": "weather", "parameters": WEATHER}}


class Thinks(ScriptedModel):
    """Thinks before it says its answer."""

    async def generate(self, request):
        yield [ReasoningDelta(0, "let me see", "a")]
        async for batch in ScriptedModel.generate(self, request):
            yield batch


class Gone(ScriptedModel):
    """Its platform shuts the door amid the answer."""

    async def generate(self, request):
        yield [TextDelta("one ")]
        await self.clock.sleep(0.05)
        raise NotAuthorized("no more")


async def lines(door, path: str, body) -> list:
    """The lines of a stream, which is what comes unless it is said otherwise."""
    async with door.http.post(f"{door.url}{path}", json=body) as got:
        assert (got.status, got.content_type) == (200, "application/x-ndjson")
        return [json.loads(x) for x in (await got.read()).splitlines()]


def test_it_streams_unless_that_is_said_not_to() -> None:
    async def story(door):
        found = await lines(door, "/api/chat", HELLO)
        assert "".join(x["message"]["content"] for x in found) == "Hello, you there!"
        assert len(found) > 3
        status, whole, _ = await door.post("/api/chat", {**HELLO, "stream": False})
        assert (status, whole["message"]["content"]) == (200, "Hello, you there!")
        assert {k: whole[k] for k in ("model", "done_reason", "eval_count")} == {
            k: found[-1][k] for k in ("model", "done_reason", "eval_count")
        }
        prompt = {"model": "scripted", "prompt": "hello"}
        said = await lines(door, "/api/generate", prompt)
        assert "".join(x["response"] for x in said) == "Hello, you there!"

    run(story)


def test_a_stream_that_waits_says_so_in_lines(monkeypatch) -> None:
    monkeypatch.setattr("oros.gate.doors.BEAT", 0.02)

    class Silent(WallClock):
        def __init__(self) -> None:
            self.heard = asyncio.Event()

        async def sleep(self, seconds: float) -> None:
            await self.heard.wait()

    async def story(door):
        door.model.clock = Silent()
        async with door.http.post(f"{door.url}/api/chat", json=HELLO) as got:
            waits = [json.loads(await got.content.readline()) for _ in range(2)]
            door.model.clock.heard.set()
            said = [json.loads(x) for x in (await got.read()).splitlines()]
        assert [x["message"]["content"] for x in waits] == ["", ""]
        assert "".join(x["message"]["content"] for x in said) == "Hello, you there!"

    run(story, first=0.2)


def test_tools_go_out_and_their_answers_come_back() -> None:
    async def story(door):
        found = await lines(door, "/api/chat", {**HELLO, "tools": [TOOL]})
        (calls,) = [x["message"]["tool_calls"] for x in found if "tool_calls" in x["message"]]
        assert [(c["id"], c["function"]["arguments"]["city"]) for c in calls] == [
            ("a", "Bonn"),
            ("b", "Köln"),
        ]
        assert door.model.requests[0].tools[0].schema == WEATHER
        for call in calls:
            del call["id"]
        asked = {"role": "assistant", "content": "", "tool_calls": calls}
        back = [{"role": "tool", "content": c, "tool_name": "weather"} for c in ("x", "y")]
        turns = [*HELLO["messages"], asked, *back]
        await lines(door, "/api/chat", {**HELLO, "messages": turns, "tools": [TOOL]})
        told = door.model.requests[1].messages[1:]
        assert [m.answers for m in told] == ["", *(a.id for a in told[0].asks)]
        assert [m.label.integrity for m in told] == [3, 0, 0]

    run(story, [TWO, "It is sunny"])


def test_thoughts_come_unless_they_are_not_wanted() -> None:
    async def story(door):
        for think in (None, True, "low", False):
            body = {**HELLO, "think": think}
            found = await lines(door, "/api/chat", body)
            thought = "".join(x["message"].get("thinking", "") for x in found)
            whole = (await door.post("/api/chat", {**body, "stream": False}))[1]["message"]
            expected = "" if think is False else "let me see"
            assert (thought, whole.get("thinking", "")) == (expected, expected)

    run(story, kind=Thinks)


def test_options_schema_and_pictures() -> None:
    options = {"num_predict": 7, "temperature": 0.5, "seed": 3, "stop": ["x"], "num_ctx": 99}

    async def story(door):
        message = {"role": "user", "content": "what?", "images": [PIXEL, "/9j/4AAQ"]}
        body = {"model": "scripted", "messages": [message], "options": options, "format": WEATHER}
        await lines(door, "/api/chat", body)
        request = door.model.requests[0]
        assert (request.max_tokens, request.temperature, request.seed) == (7, 0.5, 3)
        assert (request.stop, request.schema) == (("x",), WEATHER)
        pictures = [p for p in request.messages[0].parts if isinstance(p, ImagePart)]
        assert [p.mime for p in pictures] == ["image/png", "image/jpeg"]
        assert request.fetch(pictures[0].blob) == b"\x89PNG pixel"
        both = {**HELLO, "options": {"num_predict": -1, "seed": -1}, "format": "json"}
        await lines(door, "/api/chat", both)
        assert door.model.requests[1].schema == {"type": "object"}

    run(story)


def test_a_begun_answer_is_gone_on_with_and_bad_arguments_are_an_object() -> None:
    async def story(door):
        turns = [*HELLO["messages"], {"role": "assistant", "content": "Hello, "}]
        body = {**HELLO, "messages": turns, "stream": False}
        assert (await door.post("/api/chat", body))[1]["message"]["content"] == "you there!"
        found = (await door.post("/api/chat", {**HELLO, "stream": False}))[1]["message"]
        assert found["tool_calls"][0]["function"]["arguments"] == {"": "{"}

    bad = Answer("", (TWO.asks[0].__class__("a", "weather", "{"),))
    run(story, ["Hello, you there!", bad])


def test_a_model_is_loaded_without_being_asked() -> None:
    async def story(door):
        for path, body in (("/api/chat", {"messages": []}), ("/api/generate", {"prompt": ""})):
            (last,) = await lines(door, path, {"model": "scripted", **body})
            assert (last["done"], last["done_reason"], last["eval_count"]) == (True, "load", 0)
        assert (await door.post("/api/generate", {"model": "nope"}))[0] == 404
        assert (door.model.calls, door.rows()) == (0, [])

    run(story)


def test_what_there_is() -> None:
    two = other("b/two", "x", cans=frozenset({"tools"}), window=4096)

    async def story(door):
        async with door.http.get(f"{door.url}/api/tags") as got:
            rows = (await got.json())["models"]
        assert [r["model"] for r in rows][:3] == ["scripted", "b/two", "best"]
        assert "oros/steps" in {r["model"] for r in rows}
        assert len({r["digest"] for r in rows}) == len(rows)
        async with door.http.get(f"{door.url}/api/version") as got:
            assert (await got.json())["version"].count(".") == 2
        found = (await door.post("/api/show", {"model": "b/two"}))[1]
        assert found["capabilities"] == ["completion", "tools"]
        assert found["model_info"]["oros.context_length"] == 4096
        assert (await door.post("/api/show", {"name": "oros/steps"}))[0] == 200  # the older name
        narrow = await door.key("narrow", models=("b/two",))
        async with door.session(narrow) as http:
            async with http.get(f"{door.url}/api/tags") as got:
                assert [r["name"] for r in (await got.json())["models"]] == ["b/two"]
            async with http.post(f"{door.url}/api/show", json={"model": "scripted"}) as got:
                assert got.status == 404

    run(story, others=[two], names=Names("scripted", {"best": ["scripted", "b/two"]}))


def test_vectors_by_either_path() -> None:
    async def story(door):
        found = (await door.post("/api/embed", {"model": "embed", "input": ["a", "abc"]}))[1]
        assert found["embeddings"] == [[1.0, 1.0], [3.0, 1.0]]
        old = (await door.post("/api/embeddings", {"model": "embed", "prompt": "ab"}))[1]
        assert old == {"embedding": [2.0, 1.0]}

    run(story)


WRONG = [
    ("/api/chat", {"model": "nope"}, 404, "nope"),
    ("/api/chat", {"model": "scripted", "messages": "x"}, 400, "list"),
    ("/api/chat", {**HELLO, "messages": [{"role": "x", "content": "y"}]}, 400, "role"),
    ("/api/chat", {**HELLO, "messages": [{"role": "tool", "content": "y"}]}, 400, "no call"),
    ("/api/chat", {**HELLO, "format": "yaml"}, 400, "format"),
    ("/api/chat", {**HELLO, "options": {"num_predict": "x"}}, 400, "num_predict"),
    ("/api/chat", {**HELLO, "logprobs": True}, 400, "logprobs"),
    ("/api/generate", {"model": "scripted", "prompt": "x", "raw": True}, 400, "raw"),
    ("/api/generate", {"model": "scripted", "prompt": "x", "images": ["***"]}, 400, "base64"),
    ("/api/embed", {"model": "embed", "input": [[1]]}, 400, "input"),
    ("/api/embed", {"model": "nope", "input": "x"}, 404, "nope"),
    ("/api/show", {}, 400, "model"),
]


@pytest.mark.parametrize(("path", "body", "code", "why"), WRONG)
def test_what_is_wrong_is_named(path, body, code, why) -> None:
    async def story(door):
        status, found, _ = await door.post(path, body)
        assert (status, [*found]) == (code, ["error"])
        assert why in found["error"]
        assert door.model.calls == 0

    run(story)


def test_an_error_amid_a_stream_is_a_line() -> None:
    async def story(door):
        found = await lines(door, "/api/chat", HELLO)
        assert found[0]["message"]["content"] == "one "
        assert "the machine's key" in found[-1]["error"]

    run(story, kind=Gone)


def test_without_a_key_nothing_is_opened() -> None:
    async def story(door):
        async with aiohttp.ClientSession() as http:
            for path in ("/api/chat", "/api/generate", "/api/embed", "/api/show"):
                async with http.post(f"{door.url}{path}", json=HELLO) as got:
                    assert (got.status, [*await got.json()]) == (401, ["error"])
            for path in ("/api/tags", "/api/version"):
                async with http.get(f"{door.url}{path}") as got:
                    assert got.status == 401

    run(story)
