"""Pages that left are found by their words; what is shown unasked has to do with the question."""

from hypothesis import given
from hypothesis import strategies as st

from oros.abi.labels import USER, Integrity, Label
from oros.abi.message import Ask, Message, say
from oros.paging import find
from oros.paging.context import Context

TALK = [
    "let us plan the trip to Lisbon in May",
    "the door code of the office is 4711",
    "Anna prefers tea over coffee",
    "the printer on floor two is broken again",
    "we agreed that invoices are paid on Fridays",
] + [f"turn {n}: nothing of note was said about the weather" for n in range(50)]


def pages(texts=TALK):
    context = Context()
    for text in texts:
        context.add("turn", say("user", text, USER))
    return context.pages


def test_a_question_finds_the_page_that_answers_it() -> None:
    assert find.search(pages(), "What is the door code for the office?", 3)[0].page.id == 1
    assert find.search(pages(), "what does Anna drink, tea or coffee", 3)[0].page.id == 2
    assert find.search(pages(), "when is an invoice paid?", 3)[0].page.id == 4


def test_what_has_nothing_to_do_with_it_is_not_shown_unasked() -> None:
    assert find.recalled(pages(), "write a poem about seagulls", 300) is None
    assert find.recalled(pages(), "thanks, that is all", 300) is None
    found = find.recalled(pages(), "tell me the office door code", 300)
    assert "[page 1, user: the door code of the office is 4711]" in found.text


def test_what_is_recalled_keeps_within_its_tokens_and_its_labels() -> None:
    third = Label(Integrity.THIRD, None, frozenset({"web:x"}))
    context = Context()
    for n in range(20):
        context.add("turn", say("user", f"the code {n} " + "of the door " * 40, third))
    found = find.recalled(context.pages, "the code of the door", 200)
    assert len(found.text) / 3.2 <= 200
    assert found.label.integrity is Integrity.THIRD


def test_arguments_of_calls_are_found_too() -> None:
    context = Context()
    context.add("turn", Message("assistant", (), (Ask("k", "read", {"path": "/work/budget.csv"}),)))
    assert find.search(context.pages, "budget.csv", 1)[0].page.id == 0


@given(st.text(max_size=2000), st.lists(st.text(max_size=20), max_size=5))
def test_a_passage_is_of_the_page_and_short(text, words) -> None:
    found = find.passage(text, words)
    assert len(found) <= find.PASSAGE + 6
    assert found.strip(".").strip() in " ".join(text.split()) or len(text) <= find.PASSAGE


@given(st.lists(st.text(max_size=100), max_size=20), st.text(max_size=100), st.integers(0, 10))
def test_any_query_over_any_pages(texts, query, limit) -> None:
    hits = find.search(pages(texts), query, limit)
    assert len(hits) <= limit
    assert all(0 <= h.cover <= 1 + 1e-9 for h in hits)


def test_several_finds_are_one_message() -> None:
    assert find.together([None, None]) is None
    both = find.together([say("user", "a", USER), None, say("user", "b", USER)])
    assert both.text == "ab"
