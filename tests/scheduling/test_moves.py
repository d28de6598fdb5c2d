"""Who can take a process over, and when patience ends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oros.abi.errors import Busy, DeviceFailed, NotAuthorized, Unreachable
from oros.abi.labels import Label
from oros.abi.ports import ModelInfo
from oros.scheduling.moves import (
    BACKOFF,
    MAX_BACKOFF,
    PATIENCE,
    RETRIES,
    TRIES,
    Need,
    delay,
    fits,
    gives_up,
    may_read,
)

names = st.sampled_from(["acme/large", "acme/small", "other/one", "plain"])
infos = st.builds(
    ModelInfo,
    names,
    st.integers(1, 9000),
    cans=st.frozensets(st.sampled_from(["tools", "image", "here"])),
    price=st.sampled_from([None, (0, 0, 0), (1, 2, 3)]),
)
readers = st.none() | st.frozensets(st.sampled_from(["acme", "other/one", "ann", "plain"]))


@given(infos, readers)
def test_no_provider_is_shown_what_it_may_not_read(info, who) -> None:
    allowed = may_read(info, Label(readers=who))
    named = who is None or info.name in who or info.name.split("/")[0] in who
    assert allowed == (named or "here" in info.cans)


@given(infos, readers, st.booleans(), st.integers(0, 9000), st.frozensets(st.just("image")))
def test_it_fits_only_if_nothing_is_lacking(info, who, money, window, cans) -> None:
    need = Need(Label(readers=who), money, window, cans)
    if fits(info, need):
        assert info.price is not None or not money
        assert info.window > window
        assert cans <= info.cans
        assert may_read(info, need.label)


@given(st.none() | st.floats(0, 600), st.integers(1, 9), st.floats(0, 1, exclude_max=True))
def test_a_delay_is_spread_and_never_shorter_than_was_asked(asked, tries, chance) -> None:
    e = DeviceFailed("overloaded", retry_after=asked)
    backoff = delay(DeviceFailed("overloaded"), tries, chance)
    assert backoff == min(MAX_BACKOFF, BACKOFF * 2.0**tries) * (0.5 + chance)
    assert max(backoff, asked or 0.0) <= delay(e, tries, chance)
    assert delay(e, tries, chance) <= max(backoff, 1.1 * (asked or 0.0))


def test_two_that_were_told_the_same_time_come_back_apart() -> None:
    e = DeviceFailed("overloaded", retry_after=100.0)
    assert [delay(e, 1, chance) for chance in (0.0, 0.5)] == [100.0, pytest.approx(105.0)]


def test_patience() -> None:
    gone = Unreachable("gone")
    assert not gives_up(gone, TRIES, ways=True)
    assert gives_up(gone, TRIES + 1, ways=True)
    assert not gives_up(gone, RETRIES, ways=False)
    assert gives_up(gone, RETRIES + 1, ways=False)
    long = Busy("later", retry_after=PATIENCE + 1)
    assert gives_up(long, 1, ways=True)
    assert not gives_up(long, 1, ways=False)
    assert gives_up(NotAuthorized("no"), 1, ways=False)
