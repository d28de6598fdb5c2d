"""The order of claims: levels, ageing, preemption only for a strictly better one."""

from hypothesis import given
from hypothesis import strategies as st

from oros.scheduling.scheduler import AGEING, BORDERS, Claim, aged, level, pick, rank, victim

claims = st.builds(
    Claim,
    pid=st.integers(2, 50),
    root=st.integers(2, 50),
    nice=st.integers(0, 1),
    attained=st.floats(0, 200),
    start=st.floats(0, 1000),
    since=st.floats(0, 1000),
    advanced=st.booleans(),
)


def test_levels_by_class_and_attained_service() -> None:
    assert [level(0, x) for x in (0, 0.99, 1, 4, 16, 64, 1e9)] == [0, 0, 1, 2, 3, 4, 4 + (1e9 < 0)]
    assert level(1, 0) == 1
    assert len(BORDERS) == 4


@given(st.integers(0, 6), st.floats(0, 1e5))
def test_ageing_lifts_but_never_into_level_0(base, waited) -> None:
    found = aged(base, waited)
    assert found <= base
    assert (found == 0) == (base == 0)
    if base >= 1 and waited >= AGEING * (base - 1):
        assert found == 1


@given(st.lists(claims, max_size=8), st.floats(1000, 5000))
def test_the_pick_is_the_best_of_all(waiting, now) -> None:
    found = pick(waiting, now)
    assert (found is None) == (not waiting)
    assert found is None or all(rank(found, now) <= rank(c, now) for c in waiting)


@given(st.lists(claims, max_size=6), claims, st.floats(1000, 5000))
def test_only_a_strictly_worse_claim_yields(running, candidate, now) -> None:
    found = victim(running, candidate, now)
    if found is not None:
        held = level(found.nice, found.attained + now - found.since)
        assert rank(candidate, now)[0] < held
        assert found.advanced or found.fruitless < 1
