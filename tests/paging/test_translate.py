"""What another model is told of a conversation."""

from hypothesis import given
from hypothesis import strategies as st

from oros.abi.ids import BlobId
from oros.abi.message import (
    AudioPart,
    FilePart,
    ImagePart,
    Message,
    ReasoningPart,
    TextPart,
    stands,
)
from oros.paging.translate import told

PARTS = [
    TextPart("words"),
    ImagePart(BlobId("b1"), "image/png", "a cat"),
    AudioPart(BlobId("b2"), "audio/wav", "meow"),
    FilePart(BlobId("b3"), "text/csv", "t.csv", 9),
    ReasoningPart("hm", "acme", "sig"),
]
messages = st.lists(
    st.builds(
        Message,
        st.sampled_from(["user", "assistant", "tool"]),
        st.lists(st.sampled_from(PARTS)).map(tuple),
    ),
    max_size=5,
).map(tuple)
senses = st.frozensets(st.sampled_from(["image", "audio", "tools"]))


@given(messages, senses)
def test_only_what_it_has_no_sense_for_is_put_in_words(given_, cans) -> None:
    found = told(given_, cans)
    assert len(found) == len(given_)
    for old, new in zip(given_, found, strict=True):
        assert (old.role, old.asks, old.answers) == (new.role, new.asks, new.answers)
        assert len(old.parts) == len(new.parts)
        for was, now in zip(old.parts, new.parts, strict=True):
            if was.kind in ("image", "audio") and was.kind not in cans:
                assert now == TextPart(stands(was))
            else:
                assert now is was


@given(messages)
def test_one_with_all_senses_is_told_the_same_objects(given_) -> None:
    assert told(given_, {"image", "audio"}) is given_


def test_the_words_are_those_of_the_picture() -> None:
    found = told((Message("user", (PARTS[1], PARTS[0])),), frozenset())
    assert found[0].text == "[picture: a cat]words"
