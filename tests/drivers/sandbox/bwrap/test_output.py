"""Head and tail are exact, whatever the pieces."""

from hypothesis import given
from hypothesis import strategies as st

from oros.drivers.sandbox.bwrap.output import Keeper, Meter


@given(st.lists(st.binary(max_size=50)), st.integers(1, 60))
def test_head_and_tail(pieces: list[bytes], limit: int) -> None:
    keeper, whole = Keeper(limit), b"".join(pieces)
    for piece in pieces:
        keeper.add(piece)
    if len(whole) <= limit:
        assert (keeper.kept, keeper.cut) == (whole, 0)
        return
    head, tail = limit - limit // 2, limit // 2
    assert keeper.kept == whole[:head] + whole[len(whole) - tail :]
    assert keeper.cut == len(whole) - limit


def test_memory_is_bounded_by_the_limit_not_the_stream() -> None:
    keeper = Keeper(1000)
    for _ in range(1000):
        keeper.add(b"x" * 65536)
    assert len(keeper._tail) < 200_000
    assert keeper.cut == 65_536_000 - 1000


@given(st.lists(st.binary(max_size=50)), st.integers(0, 200))
def test_meter_passes_the_limit_and_no_more(pieces: list[bytes], limit: int) -> None:
    stopped, spooled = [], []
    meter = Meter(limit, lambda: stopped.append(1), lambda s, d: spooled.append(d))
    passed = b"".join(meter.pass_on("out", p) for p in pieces)
    whole = b"".join(pieces)
    assert passed == whole[:limit] == b"".join(spooled)
    assert bool(stopped) == (len(whole) > limit)
