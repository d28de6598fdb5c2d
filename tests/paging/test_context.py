"""The window: nothing that leaves it is lost; calls leave with their answers; it fits its room."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from oros.abi.events import OWNERS, Evicted, Recalled
from oros.abi.labels import Integrity, Label
from oros.abi.message import Ask, Message, TextPart, say
from oros.paging import context as paging
from oros.paging.context import KEPT_TURNS, LEAST_CHARS, STUBS, Context, estimate, size

turns = st.lists(st.tuples(st.booleans(), st.text(max_size=400)), min_size=1, max_size=40)
rooms = st.integers(700, 3000)


def filled(said, goal: str = "the goal") -> Context:
    context = Context()
    context.add("program", say("system", "be good"))
    context.add("pinned", say("user", goal))
    for n, (call, text) in enumerate(said):
        if call:
            context.add("turn", Message("assistant", (), (Ask(f"k{n}", "read", {"path": text}),)))
            context.add("turn", Message("tool", (TextPart(text),), answers=f"k{n}"))
        else:
            context.add("turn", say("assistant", text))
    return context


def fitted(context: Context, room: int) -> list[Evicted]:
    """Let leave what has to, as often as that is asked for."""
    steps = []
    while (fact := context.fit(room)) is not None:
        context.take(fact)
        steps.append(fact)
        assert len(steps) < 200
    return steps


@given(turns, rooms)
def test_what_leaves_is_kept_whole_and_calls_leave_with_their_answers(said, room) -> None:
    context = filled(said)
    before = [p.message for p in context.pages]
    fitted(context, room)
    assert [p.message for p in context.pages] == before
    assert all(p.resident for p in context.pages if p.kind in ("program", "pinned"))
    window = context.window()
    answered = {m.answers for m in window if m.role == "tool"}
    asked = {a.id for m in window for a in m.asks}
    assert answered == asked


@given(turns, st.integers(0, 30_000), st.integers(900, 3000))
def test_a_window_fits_its_room_whatever_stands_in_it(said, goal, room) -> None:
    context = filled(said, "g" * goal)
    fitted(context, room)
    assert context.tokens <= room
    read = sum(estimate(m) for m in context.window())
    assert read <= room * 1.05, "what is sent is as long as what was counted"


@given(turns, rooms)
def test_each_page_that_left_is_named_by_a_line_or_by_the_range(said, room) -> None:
    context = filled(said)
    fitted(context, room)
    gone = [p.id for p in context.pages if not p.resident]
    earlier = context.earlier()
    assert (earlier is None) == (not gone)
    if earlier is not None:
        assert f"pages {gone[0]} to {gone[-1]} left" in earlier.text
        for number in gone[-STUBS:]:
            assert f"[page {number}," in earlier.text
        assert earlier in context.window()


@given(turns, st.integers(900, 3000))
def test_an_eviction_goes_well_below_the_room(said, room) -> None:
    context = filled(said)
    if context.tokens <= room:
        assert context.fit(room) is None
        return
    fact = context.fit(room)
    assert fact is not None
    last = sorted({p.group for p in context.pages if p.kind == "turn"})[-KEPT_TURNS:]
    context.take(fact)
    spared = any(p.group in last for p in context.pages if not p.resident)
    left = [p for p in context.pages if p.resident and p.kind == "turn" and p.group not in last]
    assert spared or context.tokens <= room * 0.62 or not left


def test_between_evictions_a_window_only_grows() -> None:
    context = filled([(True, "x" * 300)] * 20)
    windows = []
    for n in range(120):
        context.add("turn", say("assistant", f"word {n} " * 20))
        if (fact := context.fit(4000)) is not None:
            context.take(fact)
        windows.append(context.window())
    grown = sum(b[: len(a)] == a for a, b in pairwise(windows))
    assert grown > 110, "the prefix changes at an eviction only"


def test_what_left_takes_no_more_room_the_more_it_is() -> None:
    context = Context()
    for n in range(3000):
        context.add("turn", say("user", f"message {n} " * 10))
    context.take(Evicted(tuple(range(2990))))
    assert estimate(context.earlier()) < 450


def test_a_page_larger_than_the_window_is_cut_and_says_where_the_rest_is() -> None:
    context = filled([(False, "fine")], "word " * 20_000)
    fitted(context, 2000)
    goal = context.window()[1]
    assert len(goal.text) >= LEAST_CHARS
    assert "read /proc/self/pages/1]" in goal.text
    assert len(context.pages[1].message.text) == 100_000


def test_a_call_whose_arguments_are_too_large_leaves_at_last() -> None:
    context = filled([])
    context.add("turn", Message("assistant", (), (Ask("k", "write", {"text": "x" * 50_000}),)))
    context.add("turn", Message("tool", (TextPart("ok"),), answers="k"))
    fitted(context, 1000)
    assert context.tokens <= 1000
    assert "[page 2, assistant: write]" in context.window()[-1].text


def test_an_answer_that_is_gone_on_with_stays() -> None:
    context = filled([(False, "a" * 2000)] * 6)
    context.add("turn", Message("assistant", (TextPart("half " * 900),), partial=True))
    fitted(context, 2000)
    assert context.pages[-1].resident
    assert context.pages[-1].shown == context.pages[-1].message


@pytest.mark.parametrize("text", ["", "plain words of English", "数据库", "naïve café"])
def test_other_scripts_count_more(text: str) -> None:
    assert size(text) >= len(text) / paging.CHARS_A_TOKEN - 1
    assert size("数" * 100) == 100


def test_the_models_own_count_corrects_the_estimate() -> None:
    context = filled([(False, "word " * 100)])
    context.calibrate(context.tokens * 2)
    assert context.ratio == pytest.approx(2.0)
    context.calibrate(0)
    assert context.ratio == pytest.approx(2.0)


def test_where_the_pages_are_counted_the_rest_is_what_a_template_adds() -> None:
    context = filled([(False, "word " * 100)])
    for page in context.pages:
        page.tokens, page.exact = 10, True
    context.exact = True
    context.calibrate(context.tokens + 37)
    assert (context.ratio, context.base) == (1.0, 37)


@given(turns, st.integers(500, 3000), st.booleans())
def test_a_window_that_was_refused_is_counted_higher_than_its_room(said, room, exact) -> None:
    context = filled(said)
    context.exact = exact
    for page in context.pages:
        page.exact = exact
    tries = 0
    while context.tokens <= room and context.overflowed(room):
        tries += 1
    assert context.tokens > room or not context.overflowed(room)
    assert tries < 30


def test_owners_are_told_apart_and_come_to_the_whole() -> None:
    context = filled([(True, "x" * 2000)] * 10)
    context.base = 50
    context.take(Recalled(say("user", "found " * 20)))
    fitted(context, 4000)
    owners = dict(zip(OWNERS, context.owners, strict=True))
    assert sum(owners.values()) == context.tokens
    assert owners["calls"] == 50
    assert all(owners.values())


def test_a_summary_stands_once_and_keeps_the_labels_of_what_it_sums_up() -> None:
    context = filled([(False, "said " * 50)] * 30)
    third = Label(Integrity.THIRD, None, frozenset({"web:x"}))
    fitted(context, 1000)
    gone = context.unsummed()
    assert gone
    context.summarise(gone, "what was said", third)
    assert context.unsummed() == ()
    earlier = context.earlier()
    assert "what was said" in earlier.text
    assert earlier.label.integrity is Integrity.THIRD
    context.summarise((), "", third)
    assert context.digest.text == "what was said"


def test_what_was_recalled_leaves_without_a_line() -> None:
    context = filled([])
    context.take(Recalled(say("user", "found")))
    context.take(Evicted((2,)))
    assert context.earlier() is None
    assert context.unsummed() == ()


@given(st.integers(500, 30_000), st.integers(1000, 4000), st.floats(0.4, 2.0))
def test_what_the_model_has_not_seen_yet_is_cut_and_stays(length, room, ratio) -> None:
    context = filled([(True, "seen " * 200)] * 6)
    context.ratio, context.counted = ratio, len(context.pages)
    context.add("turn", Message("assistant", (), (Ask("k", "read", {"path": "/a"}),)))
    last = context.add("turn", Message("tool", (TextPart("x" * length),), answers="k"))
    fitted(context, room)
    assert last.resident
    assert context.tokens + context.caution <= room
    assert len(last.shown.text) >= min(length, LEAST_CHARS)


class Counted(RuleBasedStateMachine):
    """Whatever happens to a window, what is known of the whole is what its pages come to."""

    def __init__(self) -> None:
        super().__init__()
        self.context = Context()

    @rule(
        kind=st.sampled_from(["program", "pinned", "turn"]),
        text=st.text(max_size=900),
        label=st.builds(
            Label, st.sampled_from(Integrity), st.none(), st.sets(st.sampled_from("ab"))
        ),
    )
    def a_page_comes(self, kind, text, label) -> None:
        label = Label(label.integrity, None, frozenset(label.origins))
        self.context.add(kind, say("user", text, label))

    @rule(text=st.text(max_size=300))
    def an_answer_is_cut_and_gone_on_with(self, text) -> None:
        self.context.add("turn", Message("assistant", (TextPart(text),), partial=True))
        assert self.context.tokens >= 0
        self.context.rest(say("assistant", text + "and more", Label(Integrity.THIRD)))

    @rule(counted=st.integers(0, 5000))
    def a_model_says_what_it_read(self, counted) -> None:
        self.context.calibrate(counted)

    @rule(cost=st.integers(0, 900))
    def calls_are_offered(self, cost) -> None:
        self.context.offers(cost)

    @rule(room=st.integers(200, 3000))
    def pages_leave(self, room) -> None:
        if (fact := self.context.fit(room)) is not None:
            self.context.take(fact)

    @rule(room=st.integers(200, 3000), exact=st.booleans())
    def a_model_refuses_it(self, room, exact) -> None:
        self.context.exact = exact
        self.context.overflowed(room)

    @rule()
    def another_model_counts(self) -> None:
        self.context.recount()

    @rule(text=st.text(max_size=80))
    def what_left_is_summed_up(self, text) -> None:
        self.context.summarise(self.context.unsummed(), text, Label(Integrity.PROVIDER))

    @invariant()
    def what_is_kept_is_what_would_be_counted(self) -> None:
        context = self.context
        kept = context.owners, context.label
        context.changed()
        assert (context.owners, context.label) == kept


TestCounted = Counted.TestCase
