"""Ranking: pure, and the recipe does what each of its parts is there for."""

from hypothesis import given
from hypothesis import strategies as st

from oros.services.memory import retrieve
from oros.services.memory.pieces import MOST, pieces
from oros.services.memory.rows import Row
from oros.services.memory.store import Store


def test_terms_leave_out_what_says_nothing_unless_all_does() -> None:
    assert retrieve.terms("What did Ann's dog eat?") == ["ann", "dog", "eat"]
    assert retrieve.terms("Who was it?") == ["who", "was", "it"]
    assert retrieve.terms("  ?! ") == []
    assert len(retrieve.terms(" ".join(f"w{n}" for n in range(500)))) == retrieve.MOST_TERMS


def test_an_expression_holds_no_syntax_of_a_query() -> None:
    assert retrieve.match(["a", 'b"c', ""], "text") == 'text: ("a" OR "bc")'
    assert retrieve.match([]) == retrieve.match([], "text") == ""


def test_fusion_keeps_what_one_view_is_sure_of() -> None:
    scores = retrieve.fuse([(1.0, [1, 2, 3]), (1.0, [4, 2, 5])])
    assert max(scores, key=scores.get) == 2
    assert scores[1] == scores[4] == 1 / 6
    assert retrieve.fuse([]) == {}


def test_far_rows_have_no_rank() -> None:
    assert retrieve.near_enough([(1, 0.2), (2, 0.9), (3, 0.6), (4, -0.1)]) == [2, 3]
    assert retrieve.near_enough([(1, -0.5)]) == retrieve.near_enough([]) == []


def test_hits_lend_to_the_rows_near_them() -> None:
    ranked = dict(retrieve.lend({1: 1.0, 9: 0.5}, {1: [(2, 1), (3, 2)], 9: [(2, 1)]}))
    assert ranked == {1: 1.0, 9: 0.5, 2: 0.3 + 0.15, 3: 0.2}


@given(st.lists(st.tuples(st.integers(), st.integers(1, 50))), st.integers(0, 200))
def test_a_budget_is_never_passed_and_the_first_that_fits_is_there(sized, budget) -> None:
    found = list(retrieve.fill(sized, budget))
    assert sum(size for _, size in found) <= budget
    if sized and sized[0][1] <= budget:
        assert found[0] == sized[0]
    assert list(retrieve.fill(sized, 10**9)) == sized
    assert len(list(retrieve.fill(sized, 10**9, 2))) <= 2


@given(st.text(max_size=5000) | st.lists(st.text("ab .\n", max_size=900)).map("\n\n".join))
def test_pieces_are_the_text_and_small(text) -> None:
    found = pieces(text)
    assert "".join(p for _, p in found) == text
    assert all(0 < len(p) <= MOST for _, p in found)


def test_pieces_end_at_paragraphs_and_know_their_lines() -> None:
    text = "\n\n".join(f"Paragraph {n}. " + "word " * 90 for n in range(4))
    found = pieces(text)
    assert [p.startswith("Paragraph") for _, p in found] == [True] * 4
    assert [where for where, _ in found] == ["line 1", "line 3", "line 5", "line 7"]
    assert pieces("short") == [("", "short")]


def test_the_turn_before_makes_an_answer_findable(tmp_path) -> None:
    store = Store.open(tmp_path / "memory.db")
    talk = ["Hello there", "Which city did your sister move to?", "Lisbon, last spring.", "Nice!"]
    store.put("user", "talk", [Row(t) for t in [*talk, *(f"noise {n}" for n in range(50))]])
    found = store.search(["user"], "city of the sister", limit=2)
    assert {h.kept.row.text for h in found.hits} == set(talk[1:3])
    store.close()
