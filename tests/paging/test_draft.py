"""An answer as it grows: pieces joined, calls decoded, what was thought kept apart."""

from hypothesis import given
from hypothesis import strategies as st

from oros.abi.grants import Usage
from oros.abi.labels import SYSTEM
from oros.abi.message import AudioPart, FilePart, ImagePart, ReasoningPart, TextPart, say, stands
from oros.abi.ports import (
    AskDelta,
    Finished,
    ModelInfo,
    ModelRequest,
    ReasoningDelta,
    TextDelta,
)
from oros.paging.draft import Draft


@given(st.lists(st.text(max_size=5), max_size=20), st.integers(1, 5))
def test_pieces_are_joined_however_they_come(pieces, size) -> None:
    draft = Draft(base="so ")
    deltas = [TextDelta(p) for p in pieces]
    for at in range(0, len(deltas), size):
        draft.take(deltas[at : at + size])
    assert draft.whole == "so " + "".join(pieces)


def test_what_was_thought_stands_before_the_text_and_is_no_text() -> None:
    draft = Draft()
    draft.take([ReasoningDelta(0, "let me", "acme"), ReasoningDelta(1, "", "acme", "{item}")])
    draft.take([ReasoningDelta(0, " see", "acme", "sig1"), ReasoningDelta(0, opaque="sig2")])
    draft.take([TextDelta("four"), Finished("stop", Usage(3, 9, reasoning=8))])
    assert draft.parts == (
        ReasoningPart("let me see", "acme", "sig2"),
        ReasoningPart("", "acme", "{item}"),
        TextPart("four"),
    )
    assert draft.whole == "four"
    draft.again()
    assert draft.parts == (TextPart("four"),)


def test_calls_have_ids_of_their_own_and_arguments_as_far_as_they_are_an_object() -> None:
    draft = Draft()
    draft.take([AskDelta(1, "x", "read", '{"path": "/a"}'), AskDelta(0, "x", "list", "{")])
    draft.take([AskDelta(2, "", "stat", ""), AskDelta(1, args="")])
    asks = draft.asked()
    assert [a.name for a in asks] == ["list", "read", "stat"]
    assert len({a.id for a in asks}) == 3
    assert asks[0].args == "{"
    assert asks[1].args == {"path": "/a"}


def test_it_goes_on_from_what_is_there() -> None:
    request = ModelRequest((say("user", "count"),), max_tokens=10)
    draft = Draft()
    assert draft.resumed(request) is request
    draft.take([TextDelta("one two")])
    draft.before = 2
    on = draft.resumed(request)
    assert on.messages[-1].text == "one two"
    assert on.messages[-1].partial
    assert on.max_tokens == 8


def test_what_was_thought_and_called_is_paid_for_when_it_is_cut() -> None:
    info = ModelInfo("acme/m", 8192, 1, frozenset(), (0, 1_000_000, 0))
    draft = Draft(held=1.0)
    draft.take([ReasoningDelta(0, "hm " * 100, "acme"), ReasoningDelta(0, "", "acme", "sealed")])
    thinking = draft.reply(info, SYSTEM, "TERM", 50).usage
    assert (thinking.tokens_in, thinking.reasoning) == (50, thinking.tokens_out)
    assert 60 <= thinking.tokens_out <= 120
    draft.take([TextDelta("so " * 100), AskDelta(0, "a", "go", "x" * 300)])
    more = draft.reply(info, SYSTEM, "TERM", 50).usage
    assert (more.tokens_out, more.reasoning) == (3 * thinking.tokens_out, thinking.reasoning)
    assert more.micros == more.tokens_out
    draft.take([Finished("stop", Usage(9, 7))])
    assert draft.reply(info, SYSTEM, "", 50).usage.tokens_out == 7  # what the server counted


def test_what_stands_for_parts() -> None:
    assert stands(TextPart("a")) == "a"
    assert stands(ImagePart("b", "image/png", "a cat")) == "[picture: a cat]"
    assert stands(AudioPart("b", "audio/wav", "")) == "[sound: without a transcript]"
    assert stands(FilePart("b", "x/y", "f.bin", 3)) == "[file f.bin, 3 bytes]"
    assert stands(ReasoningPart("secret", "acme")) == ""
