"""Tool calls for a model without: legal whatever it says, words stream, cut answers go on."""

import asyncio
import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from oros.abi import wire
from oros.abi.message import Ask, Message, TextPart, say
from oros.abi.ports import AskDelta, ModelInfo, ModelRequest, TextDelta, ToolSpec
from oros.abi.syscalls import TABLE
from oros.drivers.models.constrained import ConstrainedModel, render, schema
from oros.sdk.testing.scripted import Answer, ScriptedModel

TOOL = ToolSpec("read", "Read a file.", wire.schema("read"))
SHAPE = {
    "type": "object",
    "properties": {"at": {"$ref": "#/$defs/Point"}},
    "required": ["at"],
    "additionalProperties": False,
    "$defs": {
        "Point": {
            "type": "object",
            "properties": {"x": {"type": "integer"}},
            "required": ["x"],
            "additionalProperties": False,
        }
    },
}
INFO = ModelInfo("small", 8192, 1, frozenset({"schema", "resume"}), (0, 0, 0), small=True)


def said(text: str, *, cut: int = 0, twice: bool = False, schema=None):
    async def main():
        inner = ScriptedModel(lambda _: Answer(text), INFO)
        model = ConstrainedModel(inner)
        request = ModelRequest((say("system", "be good"), say("user", "hi")), (TOOL,), affinity="1")
        request = replace(request, schema=schema)
        words, asks = "", []
        for round_ in range(2 if twice else 1):
            stream = model.generate(request)
            count = 0
            async for batch in stream:
                for delta in batch:
                    words += delta.text if isinstance(delta, TextDelta) else ""
                    asks += [delta] if isinstance(delta, AskDelta) else []
                count += 1
                if cut and count >= cut and not round_:
                    await stream.aclose()
                    break
        return words, asks, inner

    return asyncio.run(main())


def test_words_and_calls() -> None:
    assert said('{"call": "say", "text": "hello \\"you\\" \\u00e9"}')[0] == 'hello "you" é'
    words, asks, _ = said('{"call": "read", "path": "a.txt"}')
    assert words == ""
    assert (asks[0].name, json.loads(asks[0].args)) == ("read", {"path": "a.txt"})


def test_a_call_that_was_cut_goes_on_from_its_part() -> None:
    _, asks, inner = said('{"call": "read", "path": "a-long-name.txt"}', cut=3, twice=True)
    assert json.loads(asks[0].args) == {"path": "a-long-name.txt"}
    assert inner.requests[1].messages[-1].partial


@given(st.text(max_size=60), st.sampled_from([None, SHAPE]))
def test_rubbish_never_breaks_it(text, shape) -> None:
    words, asks, _ = said(text, schema=shape)
    assert asks == [] or words == "" or isinstance(words, str)


def test_words_under_a_schema_are_an_answer_beside_the_calls() -> None:
    words, asks, inner = said('{"call": "answer", "value": {"at": {"x": 7}}}', schema=SHAPE)
    assert (json.loads(words), asks) == ({"at": {"x": 7}}, [])
    asked = inner.requests[0]
    answer, call = asked.schema["anyOf"]
    assert answer["properties"]["call"] == {"const": "answer"}
    assert answer["properties"]["value"] == {k: v for k, v in SHAPE.items() if k != "$defs"}
    assert asked.schema["$defs"] == SHAPE["$defs"]  # where "#/$defs/Point" is looked for
    assert call["properties"]["call"] == {"const": "read"}
    assert json.dumps(SHAPE) in asked.messages[0].text
    words, asks, _ = said('{"call": "read", "path": "a.txt"}', schema=SHAPE)
    assert (words, [a.name for a in asks]) == ("", ["read"])


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12),
    lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=4), x, max_size=3),
    max_leaves=8,
)


def shaped(value) -> str:
    return json.dumps({"call": "answer", "value": value})


def heard(request, text: str, batches: int = 1 << 20) -> str:
    """The words of the first so many batches."""

    async def main() -> str:
        stream, words = ConstrainedModel(ScriptedModel(lambda _: Answer(text), INFO)), ""
        asked = stream.generate(request)
        for _ in range(batches):
            batch = await anext(asked, None)
            if batch is None:
                break
            assert not any(isinstance(d, AskDelta) for d in batch)
            words += "".join(d.text for d in batch if isinstance(d, TextDelta))
        await asked.aclose()
        return words

    return asyncio.run(main())


@given(values, st.integers(1, 30))
def test_a_value_streams_as_it_comes_and_goes_on_from_its_part(value, cut) -> None:
    asked = ModelRequest((say("user", "hi"),), (TOOL,), schema=SHAPE)
    assert json.loads(heard(asked, shaped(value))) == value
    begun = heard(asked, shaped(value), cut)
    if begun:
        part = Message("assistant", (TextPart(begun),), partial=True)
        asked = replace(asked, messages=(*asked.messages, part))
    assert json.loads(begun + heard(asked, shaped(value))) == value


def test_a_value_is_shown_before_it_is_whole() -> None:
    asked = ModelRequest((say("user", "hi"),), (TOOL,), schema=SHAPE)
    words = heard(asked, shaped({"at": {"x": 7}, "more": "a}"}), 9)
    assert words
    assert json.dumps({"at": {"x": 7}, "more": "a}"}).startswith(words)


def test_a_value_that_was_too_long_is_as_far_as_it_came() -> None:
    asked = ModelRequest((say("user", "hi"),), (TOOL,), schema=SHAPE, max_tokens=11)
    assert heard(asked, shaped({"at": {"x": [1, 2, 3]}})) == '{"at": {"x": [1,'


def test_a_tool_called_answer_is_one_where_words_have_no_schema() -> None:
    _, asks, _ = said('{"call": "answer", "value": 7}')
    assert [(a.name, a.args) for a in asks] == [("answer", '{"value": 7}')]


def test_calls_are_told_where_nothing_was_said_by_the_system() -> None:
    told = render((say("user", "hi"),), [TOOL], "")
    assert [m.role for m in told] == ["system", "user"]
    assert "read(path" in told[0].text


def test_every_call_has_a_shape() -> None:
    tools = [ToolSpec(n, k.__doc__ or n, wire.schema(n)) for n, k in TABLE.items()]
    found = schema(tools)
    assert len(found["anyOf"]) == len(TABLE) + 1
    assert "$ref" not in json.dumps(found)


def test_history_is_told_in_the_same_form() -> None:
    ask = Ask("k", "read", {"path": "a"})
    told = render(
        (
            say("system", "s"),
            Message("assistant", (), (ask,)),
            Message("tool", (TextPart("7"),), answers="k"),
        ),
        [TOOL],
        "",
    )
    assert told[1].text == '{"call": "read", "path": "a"}'
    assert told[2].text == "Result: 7"
