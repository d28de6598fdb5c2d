"""The driver for Anthropic's Messages: the conformance suite, and what only this platform has."""

import json

import pytest
from tests.drivers.models.conformance import Conformance
from tests.drivers.models.messages import MessagesDialect
from tests.drivers.models.playing import GO, LOOK, SCHEMA, Cases, answer, asking, served
from tests.drivers.models.served import Call, Fault, Turn

from oros.abi.errors import Busy, NoDevice, NotAuthorized, Unsupported
from oros.abi.message import Ask, Message, ReasoningPart, TextPart, say
from oros.abi.ports import ToolSpec
from oros.drivers.models.anthropic.driver import AnthropicModel


def make(url, info, key, idle):
    return AnthropicModel("acme/m", url + "/v1", "there", info=info, key=key, idle=idle)


def deep(url, info, key, idle):
    return AnthropicModel("m", url, "there", info=info, key=key, idle=idle, effort="low")


def bound(url, info, key, idle):
    return AnthropicModel("m", url, "claude-opus-5-5", info=info, key=key, idle=idle)


class Scripted(MessagesDialect):
    """A server that says the frames it is given, whatever the turn."""

    script = ()

    def frames(self, turn):
        return [*self.script] or super().frames(turn)


class TestAnthropic(Conformance):
    dialect = MessagesDialect(make)

    @served
    async def test_four_places_are_marked_for_the_cache(self, model, server) -> None:
        turns = [say("user", "a"), Message("assistant", (TextPart("b"),)), say("user", "c")]
        await answer(model, asking(say("system", "be good"), *turns, tools=(LOOK, GO)))
        body = json.loads(server.requests[-1].body)
        marked = [body["tools"][-1], body["system"][-1]]
        marked += [body["messages"][i]["content"][-1] for i in (0, 2)]
        assert [b["cache_control"] for b in marked] == [{"type": "ephemeral"}] * 4
        assert server.requests[-1].body.count(b'"cache_control"') == 4

    @served(cans=frozenset({"tools"}))
    async def test_without_a_native_schema_a_tool_is_filled_in(self, model, server) -> None:
        server.turn = Turn((), (Call("a", "answer", '{"n": 7}'),), finish="calls")
        draft = await answer(model, asking(schema=SCHEMA))
        assert (draft.whole, draft.asks, draft.finish) == ('{"n": 7}', {}, "stop")
        body = json.loads(server.requests[-1].body)
        assert body["tool_choice"] == {"type": "tool", "name": "answer"}
        assert body["tools"][0]["input_schema"] == SCHEMA

    @served
    async def test_a_schema_is_cut_to_what_the_platform_takes(self, model, server) -> None:
        size = {"type": "string", "minLength": 3, "pattern": "x"}
        shape = {"type": "object", "properties": {"minLength": size}, "minProperties": 1}
        await answer(model, asking(schema=shape))
        assert server.heard.schema == {
            "type": "object",
            "properties": {"minLength": {"type": "string"}},
            "additionalProperties": False,
        }

    @served
    async def test_names_and_ids_of_elsewhere_are_made_fit(self, model, server) -> None:
        send = ToolSpec("mail.send", "Sends.", {"type": "object", "properties": {}})
        first = Message("assistant", (), (Ask("t1:c0", "mail.send", {}),))
        again = Message("assistant", (), (Ask("t1:c0", "mail.send", {}),))
        done = Message("tool", (TextPart("sent"),), answers="t1:c0")
        server.turn = Turn((), (Call("x", "mail-send", "{}"),), finish="calls")
        draft = await answer(
            model, asking(say("user", "go"), first, done, again, done, tools=(send,))
        )
        assert [a.name for a in draft.asked()] == ["mail.send"]
        calls = [c for m in server.heard.messages for c in m.calls]
        assert {c.name for c in calls} == {"mail-send"}
        assert len({c.id for c in calls}) == 2
        assert [m.answers for m in server.heard.messages if m.answers] == [c.id for c in calls]

    @served
    async def test_a_result_of_no_call_is_words(self, model, server) -> None:
        await answer(model, asking(Message("tool", (TextPart("lost"),), answers="gone")))
        assert [(m.role, m.text) for m in server.heard.messages] == [("user", "lost")]

    @served
    async def test_a_thought_without_a_signature_stays_here(self, model, server) -> None:
        parts = (ReasoningPart("cut", "anthropic"), TextPart("so"))
        await answer(model, asking(say("user", "x"), Message("assistant", parts), say("user", "y")))
        assert b"cut" not in server.requests[-1].body

    @pytest.mark.parametrize(
        ("status", "kind"), [(529, Busy), (402, NotAuthorized), (429, NotAuthorized)]
    )
    @served
    async def test_errors_of_its_own(self, model, server, status, kind) -> None:
        bodies = {
            529: {"type": "overloaded_error", "message": "Overloaded"},
            402: {"type": "billing_error", "message": "pay"},
            429: {
                "type": "rate_limit_error",
                "message": "no more",
                "details": {"error_code": "contract_spend_limit_reached"},
            },
        }
        server.dialect = MessagesDialect(make)
        server.dialect.error = lambda status, _: json.dumps({"error": bodies[status]}).encode()
        server.turn = Fault("status", status, "", ("Retry-After: 2",))
        with pytest.raises(kind) as caught:
            await answer(model, asking())
        assert caught.value.retry_after == (2.0 if kind is Busy else None)


class TestBound(Cases):
    """A model that checks what stands before a thought."""

    dialect = MessagesDialect(bound)

    async def told(self, model, server) -> list[Message]:
        server.turn = Turn(("so",), thought=("hm",), opaque="c2VhbA==")
        draft = await answer(model, asking())
        return [say("user", "hi"), Message("assistant", draft.parts), say("user", "and?")]

    @served
    async def test_thoughts_that_fail_are_dropped_there(self, model, server) -> None:
        await answer(model, asking(*await self.told(model, server)))
        body = json.loads(server.requests[-1].body)
        drop = {"prefix_mismatch_behavior": "drop_block"}
        assert body["thinking"] == {"type": "adaptive", "block_binding": drop}
        assert "thinking-binding" in server.requests[-1].headers["anthropic-beta"]
        assert "thinking" not in json.loads(server.requests[0].body)

    @served
    async def test_another_model_is_not_shown_them(self, model, server) -> None:
        messages = await self.told(model, server)
        other = AnthropicModel("m", server.url, "claude-haiku-4-5")
        await answer(other, asking(*messages))
        await other.close()
        assert b"c2VhbA==" not in server.requests[-1].body
        assert "anthropic-beta" not in server.requests[-1].headers

    @served
    async def test_refused_thoughts_stay_here(self, model, server) -> None:
        messages = await self.told(model, server)
        why = "messages.1.content.0: Invalid `signature` in `thinking` block"
        error = {"type": "error", "error": {"type": "invalid_request_error", "message": why}}
        server.dialect = MessagesDialect(bound)
        server.dialect.error = lambda *_: json.dumps(error).encode()
        server.queue = [Fault("status", 400), Turn(("well",))]
        assert (await answer(model, asking(*messages))).whole == "well"
        assert b"c2VhbA==" in server.requests[-2].body
        assert b"c2VhbA==" not in server.requests[-1].body
        server.queue = [Fault("status", 400)] * 2
        with pytest.raises(NoDevice):
            await answer(model, asking(*messages))
        assert server.queue == []


class TestScripts(Cases):
    """What a turn can't say."""

    dialect = Scripted(deep)

    @served
    async def test_a_redacted_thought_goes_back_in_its_place(self, model, server) -> None:
        whole = self.dialect
        whole.script = [
            *MessagesDialect(deep).frames(Turn(end=False)),
            *whole.block(0, {"type": "redacted_thinking", "data": "c2VjcmV0"}),
            *whole.block(1, {"type": "text", "text": ""}, {"type": "text_delta", "text": "hi"}),
            *MessagesDialect(deep).frames(Turn())[-2:],
        ]
        draft = await answer(model, asking())
        whole.script = ()
        assert draft.whole == "hi"
        await answer(
            model, asking(say("user", "x"), Message("assistant", draft.parts), say("user", "y"))
        )
        assert [t for m in server.heard.messages for t in m.thoughts] == [("", "c2VjcmV0")]
        body = json.loads(server.requests[-1].body)
        assert body["thinking"]["type"] == "adaptive"
        assert body["output_config"] == {"effort": "low"}

    @served
    async def test_thoughts_between_calls_go_back_between_them(self, model, server) -> None:
        whole = self.dialect
        thoughts = [
            [
                {"type": "thinking_delta", "thinking": f"hm {i}"},
                {"type": "signature_delta", "signature": f"c2VhbA={i}"},
            ]
            for i in (0, 1)
        ]
        start = {"type": "thinking", "thinking": "", "signature": ""}
        call = {"type": "tool_use", "name": "go", "input": {}}
        args = {"type": "input_json_delta", "partial_json": "{}"}
        whole.script = [
            *MessagesDialect(deep).frames(Turn(end=False)),
            *whole.block(0, start, *thoughts[0]),
            *whole.block(1, {"type": "text", "text": ""}, {"type": "text_delta", "text": "one"}),
            *whole.block(2, call | {"id": "a"}, args),
            *whole.block(3, start, *thoughts[1]),
            *whole.block(4, call | {"id": "b"}, args),
            *MessagesDialect(deep).frames(Turn(finish="calls"))[-2:],
        ]
        draft = await answer(model, asking(tools=(GO,)))
        whole.script = ()
        told = Message("assistant", draft.parts, draft.asked())
        done = [Message("tool", (TextPart("ok"),), answers=a.id) for a in draft.asked()]
        await answer(model, asking(say("user", "x"), told, *done, tools=(GO,)))
        content = json.loads(server.requests[-1].body)["messages"][1]["content"]
        kinds = [b["type"] for b in content]
        assert kinds == ["thinking", "text", "tool_use", "thinking", "tool_use"]
        assert [b["id"] for b in content if b["type"] == "tool_use"] == ["a", "b"]
        assert [b["thinking"] for b in content if b["type"] == "thinking"] == ["hm 0", "hm 1"]

    @served
    async def test_a_refusal_is_an_error_that_says_why(self, model, server) -> None:
        ended = {"stop_reason": "refusal", "stop_details": {"type": "refusal", "category": "bio"}}
        self.dialect.script = [
            *MessagesDialect(deep).frames(Turn(("no",), end=False)),
            self.dialect.event("message_delta", delta=ended, usage={"output_tokens": 3}),
        ]
        with pytest.raises(Unsupported, match="bio"):
            await answer(model, asking())
        self.dialect.script = ()
