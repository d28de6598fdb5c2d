"""The driver for Google's Gemini API: the conformance suite, and what only this platform has."""

import json

import pytest
from tests.drivers.models.conformance import Conformance
from tests.drivers.models.generate import UNSIGNED, GenerateDialect
from tests.drivers.models.playing import GO, LOOK, SCHEMA, Cases, answer, asking, served
from tests.drivers.models.served import Call, Fault, Turn

from oros.abi.errors import BadReply, Busy, NotAuthorized, Unsupported
from oros.abi.message import Ask, Message, TextPart, say
from oros.drivers.models.gemini.driver import GeminiModel


def make(url, info, key, idle):
    return GeminiModel("acme/m", url + "/v1beta", "there", info=info, key=key, idle=idle)


def older(url, info, key, idle):
    return GeminiModel(
        "m", url + "/v1beta", "gemini-2.5-flash", info=info, key=key, idle=idle, effort="low"
    )


def newer(url, info, key, idle):
    return GeminiModel("m", url + "/v1beta", "gemini-3-pro", info=info, key=key, idle=idle)


class Scripted(GenerateDialect):
    """A server that says the frames it is given, whatever the turn."""

    script = ()

    def frames(self, turn):
        return [*self.script] or super().frames(turn)


class TestGemini(Conformance):
    dialect = GenerateDialect(make)

    @served
    async def test_the_second_of_parallel_calls_is_not_signed(self, model, server) -> None:
        calls = (Call("a", "look", '{"x": "1"}'), Call("b", "go", "{}"))
        server.turn = Turn((), calls, opaque="c2VhbA==", finish="calls")
        draft = await answer(model, asking(tools=(LOOK, GO)))
        done = [Message("tool", (TextPart("7"),), answers=a.id) for a in draft.asked()]
        told = Message("assistant", draft.parts, draft.asked())
        await answer(model, asking(say("user", "x"), told, *done, tools=(LOOK, GO)))
        parts = json.loads(server.requests[-1].body)["contents"][1]["parts"]
        assert [p.get("thoughtSignature") for p in parts] == ["c2VhbA==", None]

    @served
    async def test_a_call_of_another_platform_needs_no_signature(self, model, server) -> None:
        told = Message("assistant", (), (Ask("t1", "look", {}),))
        done = Message("tool", (TextPart("7"),), answers="t1")
        await answer(model, asking(say("user", "x"), told, done, tools=(LOOK,)))
        part = json.loads(server.requests[-1].body)["contents"][1]["parts"][0]
        assert part["thoughtSignature"] == UNSIGNED
        assert server.heard.messages[1].thoughts == []

    @served
    async def test_a_signature_of_words_goes_back_in_a_part_of_its_own(self, model, server) -> None:
        server.turn = Turn(("it is ", "four"), opaque="c2VhbA==")
        draft = await answer(model, asking())
        message = Message("assistant", draft.parts)
        await answer(model, asking(say("user", "x"), message, say("user", "y")))
        parts = json.loads(server.requests[-1].body)["contents"][1]["parts"]
        assert parts == [{"text": "it is four"}, {"text": "", "thoughtSignature": "c2VhbA=="}]

    @served
    async def test_later_models_keep_their_own_temperature(self, model, server) -> None:
        await answer(model, asking(temperature=0.5))
        assert "temperature" not in json.loads(server.requests[-1].body)["generationConfig"]

    @served
    async def test_errors_of_its_own(self, model, server) -> None:
        reason = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
        retry = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.07s"}
        for status, state, detail, kind in (
            (400, "INVALID_ARGUMENT", reason, NotAuthorized),
            (429, "RESOURCE_EXHAUSTED", retry, Busy),
        ):
            error = {"code": status, "message": "no", "status": state, "details": [detail]}
            data = json.dumps([{"error": error}]).encode()
            server.dialect = GenerateDialect(make)
            server.dialect.error = lambda *_, data=data: data
            server.turn = Fault("status", status)
            with pytest.raises(kind) as caught:
                await answer(model, asking())
            assert caught.value.retry_after == (34.07 if kind is Busy else None)


class TestScripts(Cases):
    """What a turn can't say."""

    dialect = Scripted(make)

    @pytest.mark.parametrize(
        ("reason", "kind"),
        [
            ("SAFETY", Unsupported),
            ("RECITATION", Unsupported),
            ("SOMETHING_NEW", Unsupported),
            ("MALFORMED_FUNCTION_CALL", BadReply),
        ],
    )
    @served
    async def test_an_answer_that_is_stopped_is_an_error(self, model, server, reason, kind) -> None:
        server.dialect = Scripted(make)
        server.dialect.script = [server.dialect.chunk({"text": "a"}, finish=reason)]
        with pytest.raises(kind, match=reason):
            await answer(model, asking())

    @served
    async def test_a_prompt_that_is_blocked_is_an_error(self, model, server) -> None:
        server.dialect = Scripted(make)
        whole = {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}
        server.dialect.script = [server.dialect.frame(json.dumps(whole).encode())]
        with pytest.raises(Unsupported, match="PROHIBITED_CONTENT"):
            await answer(model, asking())

    @served
    async def test_calls_without_ids_get_one(self, model, server) -> None:
        server.dialect = Scripted(make)
        call = {"functionCall": {"name": "go"}}
        server.dialect.script = [server.dialect.chunk(call, call, finish="STOP")]
        draft = await answer(model, asking(tools=(GO,)))
        assert [(a.id, a.args) for a in draft.asked()] == [("r1-0", {}), ("r1-1", {})]
        assert draft.finish == "calls"


class TestOlder(Cases):
    """Models that take a temperature and a budget."""

    dialect = GenerateDialect(older, strict=False)

    @served
    async def test_what_they_are_asked(self, model, server) -> None:
        await answer(model, asking(temperature=0.5, seed=7, stop=("END",)))
        how = json.loads(server.requests[-1].body)["generationConfig"]
        assert (how["temperature"], how["seed"], how["stopSequences"]) == (0.5, 7, ["END"])
        assert how["thinkingConfig"] == {"includeThoughts": True, "thinkingBudget": 1024}

    @served
    async def test_a_schema_is_told_in_words_beside_tools(self, model, server) -> None:
        await answer(model, asking(schema=SCHEMA, tools=(LOOK,)))
        assert server.heard.schema is None
        assert json.dumps(SCHEMA) in server.heard.messages[0].text
        await answer(model, asking(schema=SCHEMA))
        assert server.heard.schema == SCHEMA


class TestNewer(Cases):
    """Models that take a schema beside tools."""

    dialect = GenerateDialect(newer)

    @served
    async def test_a_schema_goes_beside_tools(self, model, server) -> None:
        await answer(model, asking(schema=SCHEMA, tools=(LOOK,)))
        assert (server.heard.schema, set(server.heard.tools)) == (SCHEMA, {"look"})
        assert [m.role for m in server.heard.messages] == ["user"]
