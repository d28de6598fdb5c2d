"""Who can take a process over, and when patience ends."""

from hypothesis import given
from hypothesis import strategies as st

from oros.abi.errors import Busy, NotAuthorized, Unreachable
from oros.abi.labels import Label
from oros.abi.ports import ModelInfo
from oros.scheduling.moves import PATIENCE, TRIES, Need, fits, gives_up, may_read

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


def test_patience() -> None:
    gone = Unreachable("gone")
    assert not gives_up(gone, TRIES, 4, ways=True)
    assert gives_up(gone, TRIES + 1, 4, ways=True)
    assert not gives_up(gone, 4, 4, ways=False)
    assert gives_up(gone, 5, 4, ways=False)
    long = Busy("later", retry_after=PATIENCE + 1)
    assert gives_up(long, 1, 4, ways=True)
    assert not gives_up(long, 1, 4, ways=False)
    assert gives_up(NotAuthorized("no"), 1, 4, ways=False)
