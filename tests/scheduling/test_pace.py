"""What is learned of a server's limits, against servers that have them."""

from hypothesis import given, settings
from hypothesis import strategies as st

from oros.abi.ports import Quota
from oros.scheduling.pace import MAX_BACKOFF, Meter, Pace

chances = st.floats(0, 1, exclude_max=True)


@given(
    st.integers(1, 20), st.integers(0, 40), st.lists(st.tuples(st.booleans(), chances), max_size=80)
)
def test_the_width_stays_between_one_and_the_widest(slots, widest, story) -> None:
    pace, now = Pace(slots, widest), 0.0
    for well, chance in story:
        number = pace.begin(10, now)
        if not well:
            pace.refused(number, now, None, chance)
        pace.end(number, well=well)
        assert 1 <= pace.width <= max(slots, widest)
        assert pace.delay(10, now) <= MAX_BACKOFF * 2
        now += 1.0
    assert pace.delay(10, now + 2 * MAX_BACKOFF) == 0, "a server that was busy is asked again"


def test_calls_that_were_on_their_way_together_are_one_refusal() -> None:
    pace = Pace(8, 8)
    together = [pace.begin(1, 0.0) for _ in range(8)]
    for number in together:
        pace.refused(number, 0.0, 1.0, 0.5)
    assert int(pace.width) == 5
    pace.refused(pace.begin(1, 2.0), 2.0, 1.0, 0.5)
    assert int(pace.width) == 3


@given(st.integers(1, 12), st.integers(1, 64))
@settings(max_examples=40)
def test_it_finds_how_many_a_server_takes(taken, begins) -> None:
    """Rounds of as many calls as the pace allows, to a server that takes `taken` side by side."""
    pace, now = Pace(begins, 64), 0.0
    refusals, served = [], []
    for _ in range(200):
        now = max(now + 1.0, pace.until)
        flying = []
        while pace.free(len(flying), 1, now):
            flying.append(pace.begin(1, now))
        refused = flying[taken:]
        for number in refused:
            pace.refused(number, now, 0.5, 0.0)
        for number in flying:
            pace.end(number, well=number not in refused)
        refusals.append(len(refused))
        served.append(len(flying) - len(refused))
    assert sum(served[100:]) >= 0.6 * taken * 100, "it stays near what the server takes"
    assert sum(refusals[100:]) <= 0.3 * sum(served[100:]), "and is seldom refused"


@given(
    st.integers(1, 30),
    st.integers(100, 5000),
    st.lists(st.integers(1, 2000), min_size=1, max_size=40),
)
def test_one_that_hears_its_limits_is_never_refused(requests, tokens, calls) -> None:
    """A server with two meters that refill evenly, and says in each answer what is left."""
    server = {"requests": Meter(requests, requests, requests / 60, 0.0)}
    server["tokens"] = Meter(tokens, tokens, tokens / 60, 0.0)
    pace, now = Pace(4, 4), 0.0
    for need in calls:
        need = min(need, tokens)
        wait = pace.delay(need, now)
        assert wait <= 61
        now += wait + 1e-6
        number = pace.begin(need, now)
        for what, amount in (("requests", 1), ("tokens", need)):
            assert server[what].now(now) >= amount - 2, f"over its {what}"
            server[what].take(amount, now)
        told = [
            Quota(w, int(m.left), m.most, (m.most - m.left) / m.per_second)
            for w, m in server.items()
        ]
        pace.heard(number, told, now)
        pace.end(number, well=True)


def test_what_was_begun_since_is_taken_off() -> None:
    """An answer tells of the time when its call came in; later calls are not in it yet."""
    pace = Pace(4, 4)
    first, _second = pace.begin(100, 0.0), pace.begin(300, 0.0)
    pace.heard(first, [Quota("tokens", 900, 1000, 60.0)], 0.0)
    assert pace.delay(600, 0.0) == 0
    assert pace.delay(700, 0.0) > 0
    third = pace.begin(600, 0.0)
    pace.heard(third, [Quota("tokens", 0, 1000, 60.0)], 0.0)
    assert 29 < pace.delay(500, 0.0) < 31
    assert 59 < pace.delay(10**6, 0.0) < 61, "what never fits waits for all there is"


@given(st.floats(0.01, 600), chances)
def test_a_time_that_was_named_is_waited_for(wait, chance) -> None:
    pace = Pace(4, 4)
    pace.refused(pace.begin(1, 5.0), 5.0, wait, chance)
    assert wait * 0.999 <= pace.delay(1, 5.0) <= wait * 1.101
    assert not pace.free(0, 1, 5.0 + wait * 0.99)
    assert pace.free(0, 1, 5.0 + wait * 1.11)


@given(st.integers(1, 8), st.integers(0, 64), st.integers(1, 64), st.integers(1, 64))
def test_a_server_that_tells_its_slots_is_never_asked_for_more(slots, widest, first, then) -> None:
    """At once, and as often as all goes well; no more than a person allowed, whatever it tells."""
    pace = Pace(slots, widest)
    for count in (first, then):
        for _ in range(100):
            number = pace.begin(1, 0.0)
            pace.heard(number, [Quota("calls", count, count, 0.0)], 0.0)
            pace.end(number, well=True)
            assert pace.width == min(count, max(slots, widest))
    assert pace.delay(10**6, 0.0) == 0, "it is no quota of a time"


def test_one_that_refuses_in_spite_of_its_slots_is_asked_for_fewer() -> None:
    pace = Pace(4, 64)
    told = [Quota("calls", 10, 10, 0.0)]
    pace.heard(pace.begin(1, 0.0), told, 0.0)
    pace.refused(pace.begin(1, 0.0), 0.0, 1.0, 0.5)
    pace.heard(pace.begin(1, 5.0), told, 5.0)
    assert int(pace.width) == 7
