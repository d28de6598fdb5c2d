"""Frames of a stream come out whole, however its bytes are cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oros.abi.errors import BadReply
from oros.drivers.frames import LONGEST, Events, Lines


def cut(stream: bytes, data) -> list[bytes]:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    return [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]


LINES = st.lists(st.binary(max_size=30).filter(lambda b: b"\n" not in b and b"\r" not in b))


@given(LINES, st.data())
def test_events_come_out_however_the_bytes_are_cut(datas, data) -> None:
    stream = b"".join(
        b"data: " + d + data.draw(st.sampled_from([b"\n\n", b"\r\n\r\n"])) for d in datas
    )
    events, found = Events(), []
    for piece in cut(stream, data):
        found += events.feed(piece)
    assert found == datas
    assert not events.begun


@given(LINES, st.data())
def test_lines_come_out_however_the_bytes_are_cut(datas, data) -> None:
    stream = b"".join(d + b"\n" for d in datas)
    lines, found = Lines(), []
    for piece in cut(stream, data):
        found += lines.feed(piece)
    assert found == [d for d in datas if d]


def test_an_event_may_have_many_lines_and_names_and_comments() -> None:
    stream = b": hello\nevent: x\nid: 7\ndata: a\ndata:b\nretry: 3\n\n: bye\n\n"
    assert Events().feed(stream) == [b"a\nb"]


@pytest.mark.parametrize("kind", [Events, Lines])
def test_a_line_without_an_end_is_refused(kind) -> None:
    frames = kind()
    frames.feed(b"x" * LONGEST)
    with pytest.raises(BadReply):
        frames.feed(b"x")
