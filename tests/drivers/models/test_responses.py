"""The driver of Responses: the suite of its port, and servers that do it in their own way."""

import json

import pytest
from tests.drivers.models.conformance import Conformance
from tests.drivers.models.playing import INFO, Cases, answer, asking, served
from tests.drivers.models.responses import ResponsesDialect
from tests.drivers.models.served import Fault, Turn

from oros.abi.errors import BadReply, Busy, DeviceFailed, OrosError, Unsupported
from oros.abi.message import Message, ReasoningPart, TextPart, say
from oros.drivers.models.openai.driver import ResponsesModel
from oros.drivers.models.openai.quirks import PLATFORMS
from oros.drivers.models.openai.responses import Responses
from oros.paging.draft import Draft


def make(url, info, key, idle):
    base = f"{url}/v1"
    return ResponsesModel(
        info.name, base, "there", info=info, key=key, idle=idle, platform="openai"
    )


class TestResponses(Conformance):
    dialect = ResponsesDialect(make)


def folded(*events) -> Draft:
    """The draft that comes of these events."""
    fold = Responses(PLATFORMS["openai"], "m").fold(asking(stop=("END",)), INFO)
    draft = Draft()
    for event in events:
        draft.take(fold.take(json.dumps(event).encode()))
        if fold.done:
            break
    draft.take([fold.end()])
    return draft


def over(status="completed", **more):
    return {"type": f"response.{status}", "response": {"status": status, **more}}


def item(kind, data, **more):
    return {"type": f"response.output_item.{kind}", "item": data, **more}


CALL = {"type": "function_call", "call_id": "c1", "name": "look", "arguments": ""}
WHOLE = {**CALL, "arguments": '{"x": "1"}'}


def test_items_that_are_known_by_their_ids_alone_are_kept_apart() -> None:
    """As llama.cpp's server tells them."""
    two = {**CALL, "call_id": "c2"}
    kind = "response.function_call_arguments.delta"
    draft = folded(
        item("added", {**CALL, "id": "fc_1"}),
        item("added", {**two, "id": "fc_2"}),
        {"type": kind, "item_id": "fc_2", "delta": '{"x": '},
        {"type": kind, "item_id": "fc_1", "delta": "{}"},
        {"type": kind, "item_id": "fc_2", "delta": "2}"},
        over(),
    )
    assert [(a.id, a.args) for a in draft.asked()] == [("c1", {}), ("c2", {"x": 2})]


def test_what_was_not_streamed_comes_when_it_is_whole() -> None:
    said = {"type": "message", "content": [{"type": "output_text", "text": "hello"}]}
    thought = {"type": "reasoning", "id": "rs", "summary": [{"text": "a"}, {"text": "b"}]}
    draft = folded(
        item("done", thought, output_index=0),
        item("done", said, output_index=1),
        item("added", CALL, output_index=2),
        item("done", WHOLE, output_index=2),
        over(),
    )
    assert draft.whole == "hello"
    assert draft.parts[0] == ReasoningPart("a\n\nb", "openai/m", json.dumps(thought))
    assert draft.asked()[0].args == {"x": "1"}
    assert draft.finish == "calls"


def test_what_was_streamed_does_not_come_twice() -> None:
    delta = {"type": "response.output_text.delta", "output_index": 0, "delta": "hello"}
    said = {"type": "message", "content": [{"type": "output_text", "text": "hello"}]}
    assert folded(delta, item("done", said, output_index=0), over()).whole == "hello"


def test_stop_strings_are_watched_here() -> None:
    texts = ("one E", "N", "D two")
    deltas = [{"type": "response.output_text.delta", "output_index": 0, "delta": t} for t in texts]
    draft = folded(*deltas, over())
    assert (draft.whole, draft.finish) == ("one ", "stop")
    assert draft.usage.micros > 0


SAID = {"type": "response.output_text.delta", "output_index": 0, "delta": "hello"}


@pytest.mark.parametrize(
    ("why", "finish"), [("max_output_tokens", "length"), ("content_filter", "stop")]
)
def test_why_an_answer_is_incomplete(why, finish) -> None:
    assert folded(SAID, over("incomplete", incomplete_details={"reason": why})).finish == finish


def test_an_answer_that_was_declined_is_an_error_that_is_not_tried_again() -> None:
    with pytest.raises(Unsupported) as caught:
        folded(over("incomplete", incomplete_details={"reason": "content_filter"}))
    assert not caught.value.retryable


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        (over("failed", error={"code": "server_error", "message": "x"}), DeviceFailed),
        (over("failed", error={"code": "rate_limit_exceeded", "message": "x"}), Busy),
        ({"type": "error", "code": "server_error", "message": "x"}, DeviceFailed),
        ({"type": "error", "error": {"type": "rate_limit_error", "message": "x"}}, Busy),
        (over("cancelled"), BadReply),
        ({"type": "response.completed", "response": "no object"}, BadReply),
        ({"no": "type"}, BadReply),
    ],
)
def test_failures_amid_a_stream(event, kind) -> None:
    with pytest.raises(OrosError) as caught:
        folded(event)
    assert type(caught.value) is kind


class TestThoughts(Cases):
    dialect = ResponsesDialect(make)

    @served
    async def test_a_seal_that_is_not_opened_any_more_stays_here(self, model, server) -> None:
        class Refusing(ResponsesDialect):
            def error(self, status: int, why: str) -> bytes:
                words = "The encrypted content of item rs_1 could not be verified."
                error = {"message": words, "code": "invalid_encrypted_content"}
                return json.dumps({"error": error}).encode()

        server.dialect = Refusing(make)
        server.queue = [Fault("status", 400)]
        server.turn = Turn(("well",))
        seal = json.dumps({"type": "reasoning", "id": "rs_1", "encrypted_content": "s3al"})
        turn = Message("assistant", (ReasoningPart("", "openai/there", seal), TextPart("four")))
        request = asking(say("user", "x"), turn, say("user", "y"))
        assert (await answer(model, request)).whole == "well"
        assert [b"s3al" in r.body for r in server.requests] == [True, False]
