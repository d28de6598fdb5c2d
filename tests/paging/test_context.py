"""The window: nothing that leaves it is lost; calls leave with their answers."""

from hypothesis import given
from hypothesis import strategies as st

from oros.abi.message import Ask, Message, TextPart, say
from oros.paging.context import KEPT_TURNS, Context

turns = st.lists(st.tuples(st.booleans(), st.text(max_size=400)), min_size=1, max_size=40)


def filled(said) -> Context:
    context = Context()
    context.add("program", say("system", "be good"))
    context.add("pinned", say("user", "the goal"))
    for n, (call, text) in enumerate(said):
        if call:
            context.add("turn", Message("assistant", (), (Ask(f"k{n}", "read", {"path": text}),)))
            context.add("turn", Message("tool", (TextPart(text),), answers=f"k{n}"))
        else:
            context.add("turn", say("assistant", text))
    return context


@given(turns, st.integers(50, 2000))
def test_what_leaves_is_kept_whole_and_what_must_stay_stays(said, room) -> None:
    context = filled(said)
    before = [p.message for p in context.pages]
    gone = context.surplus(room)
    context.evict(gone)
    assert [p.message for p in context.pages] == before
    kept = {p.group for p in context.pages if p.kind == "turn"}
    last = sorted(kept)[-KEPT_TURNS:]
    for page in context.pages:
        assert page.resident or (page.kind == "turn" and page.group not in last)
    window = context.window()
    answered = {m.answers for m in window if m.role == "tool"}
    asked = {a.id for m in window for a in m.asks}
    assert answered == asked
    for page in context.pages:
        assert page.resident or any(f"[page {page.id}," in m.text for m in window)


@given(turns, st.integers(50, 2000))
def test_an_eviction_goes_well_below_the_room(said, room) -> None:
    context = filled(said)
    if context.tokens <= room:
        assert context.surplus(room) == ()
        return
    context.evict(context.surplus(room))
    assert context.tokens <= room * 0.6 or context.surplus(room) == () or context.tokens <= room


def test_the_models_own_count_corrects_the_estimate() -> None:
    context = filled([(False, "word " * 100)])
    context.calibrate(context.tokens * 2)
    assert context.ratio == 2.0
    context.calibrate(0)
    assert context.ratio == 2.0
