"""What every driver of a `Model` promises, over a local server that speaks its dialect.

How to use it: write a `Dialect` (see `served.py`), then in the driver's test module

    class TestAnthropic(Conformance):
        dialect = AnthropicDialect()

A case about something that `dialect.can` does not name checks that the driver goes without. A
driver that talks to no server (the model in the box) takes `Port`, with a `stage` of its own.
"""

import asyncio
import json

import pytest
from tests.drivers.models.faults import Faults, Leaving
from tests.drivers.models.playing import (
    CANS,
    GO,
    INFO,
    LOOK,
    PNG,
    SCHEMA,
    WAV,
    answer,
    asking,
    served,
    shown,
)
from tests.drivers.models.served import Call, Counts, Turn

from oros.abi.message import Ask, AudioPart, ImagePart, Message, ReasoningPart, TextPart, say
from oros.abi.ports import AskDelta, Finished, ReasoningDelta, TextDelta
from oros.paging.draft import Draft


class Port(Leaving):
    """What holds for every driver, be there a server or none; a subclass names its `dialect`."""

    # ---- words -------------------------------------------------------------------------------

    @served
    async def test_words_are_joined_and_the_end_is_last(self, model, server) -> None:
        server.turn = Turn(("hel", "lo \u00e9", " \U0001f600\n\n"), counts=Counts(10, 5))
        draft = await answer(model, asking(say("system", "be good"), say("user", "hi")))
        assert draft.whole == "hello \u00e9 \U0001f600\n\n"
        assert draft.finish == "stop"
        assert (draft.usage.tokens_in, draft.usage.tokens_out) == server.counts
        heard = server.heard
        assert heard.model == "there"
        assert [(m.role, m.text) for m in heard.messages] == [("system", "be good"), ("user", "hi")]

    @served
    async def test_words_come_as_they_are_said(self, model, server) -> None:
        server.turn = Turn(("first ", "second"), hold=True)
        draft = Draft()
        async for batch in model.generate(asking()):
            draft.take(batch)
            if draft.whole and not server.go.is_set():
                assert draft.whole == "first "
                server.go.set()
        assert draft.whole == "first second"

    @pytest.mark.parametrize("cut", [1, 7, 100])
    @served
    async def test_bytes_may_be_cut_anywhere(self, model, server, cut) -> None:
        server.cut = cut
        server.turn = Turn(("\u00e9\u20ac", "\U0001f600"), (Call("a", "look", '{"x": "\u00e9"}'),))
        draft = await answer(model, asking(tools=(LOOK,)))
        assert draft.whole == "\u00e9\u20ac\U0001f600"
        assert draft.asked()[0].args == {"x": "\u00e9"}

    @served
    async def test_an_empty_answer_is_an_answer(self, model, server) -> None:
        server.turn = Turn()
        draft = await answer(model, asking())
        assert (draft.whole, draft.asks) == ("", {})

    @served
    async def test_an_answer_that_was_too_long_says_so(self, model, server) -> None:
        server.turn = Turn(("cut",), finish="length")
        assert (await answer(model, asking(max_tokens=7))).finish == "length"
        assert server.heard.most == 7

    @served
    async def test_half_a_surrogate_can_be_sent(self, model, server) -> None:
        await answer(model, asking(say("user", "a\ud83db")))
        assert "a" in server.heard.messages[-1].text

    @served(cans=CANS)
    async def test_it_goes_on_from_a_part(self, model, server) -> None:
        part = Message("assistant", (TextPart("so fa"),), partial=True)
        await answer(model, asking(say("user", "sing"), part))
        last = server.heard.messages[-1]
        if "resume" in self.can:
            assert (last.role, last.text) == ("assistant", "so fa")
        else:
            assert last.role == "user"

    @served(cans=frozenset({"tools"}))
    async def test_a_model_that_cant_go_on_is_asked_to(self, model, server) -> None:
        part = Message("assistant", (TextPart("so fa"),), partial=True)
        await answer(model, asking(say("user", "sing"), part))
        told = server.heard.messages
        assert (told[-2].role, told[-2].text, told[-1].role) == ("assistant", "so fa", "user")

    @served
    async def test_many_streams_at_once_are_kept_apart(self, model, server) -> None:
        server.queue = [Turn((f"{i} ", "end")) for i in range(16)]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(answer(model, asking())) for _ in range(16)]
        assert {t.result().whole for t in tasks} == {f"{i} end" for i in range(16)}

    # ---- calls -------------------------------------------------------------------------------

    @served
    async def test_parallel_calls_come_in_pieces(self, model, server) -> None:
        args = ({"x": "a long one \u00e9"}, {"x": "b"}, {})
        said = zip("abc", ("look", "look", "go"), args, strict=True)
        server.turn = Turn(
            ("I look. ",), tuple(Call(i, n, json.dumps(a)) for i, n, a in said), finish="calls"
        )
        draft = await answer(model, asking(tools=(LOOK, GO)))
        assert [(a.name, a.args) for a in draft.asked()] == [
            ("look", args[0]),
            ("look", args[1]),
            ("go", {}),
        ]
        assert draft.finish == "calls"
        assert draft.whole == "I look. "
        if "named" in self.can:
            assert [a.id for a in draft.asked()] == ["a", "b", "c"]
        assert server.heard.tools == {"look": LOOK.schema, "go": GO.schema}

    @served
    async def test_calls_with_one_id_are_two_calls(self, model, server) -> None:
        calls = (Call("a", "look", '{"x": "1"}'), Call("a", "look", '{"x": "2"}'))
        server.turn = Turn((), calls, finish="calls")
        asks = (await answer(model, asking(tools=(LOOK,)))).asked()
        assert [a.args for a in asks] == [{"x": "1"}, {"x": "2"}]
        assert len({a.id for a in asks}) == 2

    @served
    async def test_a_tool_that_is_not_there_is_the_kernels_business(self, model, server) -> None:
        server.turn = Turn((), (Call("a", "dig", '{"x": "1"}'),), finish="calls")
        asks = (await answer(model, asking(tools=(LOOK,)))).asked()
        assert [(a.name, a.args) for a in asks] == [("dig", {"x": "1"})]

    @served
    async def test_arguments_that_are_no_json_stay_what_they_are(self, model, server) -> None:
        if "raw" not in self.can:
            pytest.skip("here arguments are objects and can't be anything else")
        server.turn = Turn((), (Call("a", "look", '{"x": 1'),), finish="calls")
        draft = await answer(model, asking(tools=(LOOK,)))
        assert draft.asked()[0].args == '{"x": 1'

    @served
    async def test_a_conversation_with_calls_is_told(self, model, server) -> None:
        asks = (Ask("k1", "look", {"x": "1"}), Ask("k2", "look", "{broken"), Ask("k3", "go", {}))
        await answer(
            model,
            asking(
                say("system", "be good"),
                say("user", "look"),
                Message("assistant", (TextPart("I look."),), asks),
                Message("tool", (TextPart("seven"),), answers="k1"),
                Message("tool", (TextPart("no JSON"),), answers="k2"),
                Message("tool", (TextPart(""),), answers="k3"),
                say("user", "so?"),
                tools=(LOOK, GO),
            ),
        )
        told = server.heard.messages
        called = [c for m in told for c in m.calls]
        assert [c.name for c in called] == ["look", "look", "go"]
        assert json.loads(called[0].args) == {"x": "1"}
        results = [m for m in told if m.answers]
        assert [m.answers for m in results] == [c.id for c in called]
        assert results[0].text == "seven"
        assert told[-1].text == "so?"

    # ---- shapes ------------------------------------------------------------------------------

    @served
    async def test_a_schema_is_asked_for(self, model, server) -> None:
        server.turn = Turn(('{"n": ', "7}"))
        draft = await answer(model, asking(schema=SCHEMA))
        assert json.loads(draft.whole) == {"n": 7}
        if "schema" in self.can:
            assert server.heard.schema == SCHEMA
        else:
            assert '"n"' in server.heard.messages[0].text

    @served
    async def test_a_schema_beside_tools_is_asked_for_too(self, model, server) -> None:
        await answer(
            model, asking(say("system", "be good"), say("user", "x"), schema=SCHEMA, tools=(LOOK,))
        )
        heard = server.heard
        assert set(heard.tools) == {"look"}
        assert heard.schema == SCHEMA or json.dumps(SCHEMA) in heard.messages[0].text
        assert heard.messages[0].text.startswith("be good")

    @served(cans=frozenset({"tools"}))
    async def test_a_model_without_schemas_is_told_of_it(self, model, server) -> None:
        await answer(model, asking(schema=SCHEMA, tools=(LOOK,)))
        heard = server.heard
        assert set(heard.tools) == {"look"}
        assert heard.schema == SCHEMA or json.dumps(SCHEMA) in heard.messages[0].text
        await answer(model, asking(schema=SCHEMA))
        assert b"additionalProperties" in server.requests[-1].body  # as a shape, a tool or words

    @served
    async def test_a_model_that_ignores_the_schema_is_heard_all_the_same(
        self, model, server
    ) -> None:
        server.turn = Turn(("I'd rather not.",))
        assert (await answer(model, asking(schema=SCHEMA))).whole == "I'd rather not."

    # ---- pictures and sounds -----------------------------------------------------------------

    @served
    async def test_a_picture_is_shown(self, model, server) -> None:
        await answer(model, shown(ImagePart("png", "image/png", "a cat")))
        seen = [i for m in server.heard.messages for i in m.images]
        if "image" in self.can:
            assert seen == [("image/png", PNG)]
        else:
            assert "a cat" in server.heard.messages[-1].text

    @served
    async def test_a_picture_that_a_tool_gave_is_shown(self, model, server) -> None:
        told = Message("assistant", (), (Ask("k1", "look", {}), Ask("k2", "look", {})))
        one = Message("tool", (ImagePart("png", "image/png", "a cat"),), answers="k1")
        two = Message("tool", (TextPart("and"), one.parts[0]), answers="k2")
        await answer(model, asking(say("user", "look"), told, one, two, tools=(LOOK,)))
        seen = [i for m in server.heard.messages for i in m.images]
        assert len(seen) == (2 if "image" in self.can else 0)
        results = [m for m in server.heard.messages if m.answers]
        assert [m.answers for m in results] == [
            c.id for m in server.heard.messages for c in m.calls
        ]

    @served(cans=frozenset({"tools"}))
    async def test_a_model_without_sight_is_told(self, model, server) -> None:
        await answer(model, shown(ImagePart("png", "image/png", "a cat")))
        told = server.heard.messages[-1]
        assert (told.images, told.text) == ([], "what is it? [picture: a cat]")

    @served
    async def test_a_huge_picture_is_told_and_not_sent(self, model, server) -> None:
        await answer(model, shown(ImagePart("huge", "image/png", "a map")))
        told = server.heard.messages[-1]
        assert told.images == []
        assert "a map" in told.text
        assert "not shown" in told.text or "image" not in self.can
        assert len(server.requests[-1].body) < 1 << 20

    @served
    async def test_a_sound_is_heard(self, model, server) -> None:
        await answer(model, shown(AudioPart("wav", "audio/wav", "a bark")))
        heard = [s for m in server.heard.messages for s in m.sounds]
        if "audio" in self.can:
            assert heard == [("audio/wav", WAV)]
        else:
            assert "a bark" in server.heard.messages[-1].text

    # ---- thoughts ----------------------------------------------------------------------------

    async def thought(self, model, server) -> Message:
        """An answer that was thought of, as a message."""
        call = Call("a", "look", '{"x": "1"}')
        server.turn = Turn(("I look",), (call,), ("hm", ", so"), "c2VhbA==", finish="calls")
        draft = await answer(model, asking(tools=(LOOK,)))
        return Message("assistant", draft.parts, draft.asked())

    @served
    async def test_thoughts_are_no_words(self, model, server) -> None:
        message = await self.thought(model, server)
        assert message.text == "I look"
        thoughts = [p for p in message.parts if isinstance(p, ReasoningPart)]
        assert "".join(p.thought for p in thoughts) == ("hm, so" if "thoughts" in self.can else "")
        assert all(p.by for p in thoughts)

    @served
    async def test_thoughts_go_back_to_who_had_them(self, model, server) -> None:
        message = await self.thought(model, server)
        result = Message("tool", (TextPart("7"),), answers=message.asks[0].id)
        await answer(model, asking(say("user", "x"), message, result, tools=(LOOK,)))
        back = [t for m in server.heard.messages for t in m.thoughts]
        if "sealed" in self.can:
            assert [o for _, o in back] == ["c2VhbA=="]
        elif "thoughts" in self.can:
            assert [t for t, _ in back] == ["hm, so"]

    @served
    async def test_thoughts_of_another_platform_are_kept_from_it(self, model, server) -> None:
        parts = (ReasoningPart("deep thought", "elsewhere", "sealed-there"), TextPart("four"))
        message = Message("assistant", parts)
        await answer(model, asking(say("user", "x"), message, say("user", "y")))
        assert b"deep thought" not in server.requests[-1].body
        assert b"sealed-there" not in server.requests[-1].body
        assert "four" in [m.text for m in server.heard.messages]

    # ---- what it cost ------------------------------------------------------------------------

    @served
    async def test_cached_written_and_thought_tokens_are_counted(self, model, server) -> None:
        counts = Counts(
            100,
            50,
            60 if "cached" in self.can else 0,
            20 if "written" in self.can else 0,
            30 if "reasoning" in self.can else 0,
        )
        server.turn = Turn(("x",), counts=counts)
        used = (await answer(model, asking())).usage
        assert (
            Counts(used.tokens_in, used.tokens_out, used.cached, used.written, used.reasoning)
            == counts
        )
        assert used.micros == INFO.cost(used)

    @served(price=None)
    async def test_without_a_price_the_cost_is_unknown(self, model, server) -> None:
        assert (await answer(model, asking())).usage.micros is None

    @served(price=(0, 0, 0))
    async def test_a_price_of_nothing_is_nothing(self, model, server) -> None:
        assert (await answer(model, asking())).usage.micros == 0

    @served
    async def test_a_server_that_counts_nothing_is_not_free(self, model, server) -> None:
        if "uncounted" not in self.can:
            pytest.skip("this platform always counts")
        server.turn = Turn(("one ", "two ", "three"), counts=None)
        used = (await answer(model, asking())).usage
        assert used.tokens_out > 0
        assert used.micros > 0

    @served
    async def test_deltas_are_those_of_the_port(self, model, server) -> None:
        server.turn = Turn(("a", "b"), (Call("a", "go", "{}"),), ("t",), finish="calls")
        kinds = set()
        async for batch in model.generate(asking(tools=(GO,))):
            kinds |= {type(d) for d in batch}
        assert {TextDelta, AskDelta, Finished} <= kinds
        assert kinds <= {TextDelta, AskDelta, Finished, ReasoningDelta}


class Conformance(Port, Faults):
    """The suite of the drivers that talk to a server over HTTP."""
