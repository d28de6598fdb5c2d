"""Tool calls for a model without: legal whatever it says, words stream, cut answers go on."""

import asyncio
import json

from hypothesis import given
from hypothesis import strategies as st

from oros.abi import wire
from oros.abi.message import Ask, Message, TextPart, say
from oros.abi.ports import AskDelta, ModelInfo, ModelRequest, TextDelta, ToolSpec
from oros.abi.syscalls import TABLE
from oros.drivers.models.constrained import ConstrainedModel, render, schema
from oros.sdk.testing.scripted import Answer, ScriptedModel

TOOL = ToolSpec("read", "Read a file.", wire.schema("read"))
INFO = ModelInfo("small", 8192, 1, frozenset({"schema", "resume"}), (0, 0, 0), small=True)


def said(text: str, *, cut: int = 0, twice: bool = False):
    async def main():
        inner = ScriptedModel(lambda _: Answer(text), INFO)
        model = ConstrainedModel(inner)
        request = ModelRequest((say("system", "be good"), say("user", "hi")), (TOOL,), affinity="1")
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


@given(st.text(max_size=60))
def test_rubbish_never_breaks_it(text) -> None:
    words, asks, _ = said(text)
    assert asks == [] or words == "" or isinstance(words, str)


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
