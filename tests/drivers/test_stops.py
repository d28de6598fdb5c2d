"""Stop strings that are watched here end a text as a server's own would, however it is cut."""

from hypothesis import given
from hypothesis import strategies as st

from oros.drivers.stops import Stops

TEXT = st.text("abc", max_size=12)


@given(TEXT, st.lists(st.text("abc", min_size=1, max_size=4), max_size=3), st.data())
def test_a_text_ends_before_the_stop_string_that_is_whole_first(text, stops, data) -> None:
    watched, said, at = Stops(stops), "", 0
    while at < len(text):
        size = data.draw(st.integers(1, len(text) - at))
        said += watched.feed(text[at : at + size])
        at += size
    ends = [(i + len(s), i) for s in stops if (i := text.find(s)) >= 0]
    assert watched.hit == bool(ends)
    assert said + watched.rest() == (text[: min(ends)[1]] if ends else text)


def test_text_is_not_held_back_longer_than_it_must() -> None:
    watched = Stops(["```"])
    assert watched.feed("code `") == "code "
    assert watched.feed("x`") == "`x"
    assert watched.feed("``") == ""
    assert watched.hit
    assert watched.feed("more") == ""
