"""Pages to rows: nothing lost, none too long, each at its true place."""

import re

from hypothesis import given
from hypothesis import strategies as st

from oros.services.index.chunks import MOST, digits, exact, letters, pieces
from oros.services.index.inside.page import Page
from oros.services.memory.rows import tokens

words = st.sampled_from(["alpha", "beta.", "γάμμα", "x" * 900, "", "  indented"])
lines = st.lists(st.lists(words, max_size=30).map(" ".join), max_size=60)


@given(lines)
def test_prose_keeps_each_word_in_order_and_knows_its_line(body):
    text = "\n".join(body)
    cut = list(pieces([Page(text, line=1)]))
    assert "".join("".join(p.text.split()) for p in cut) == "".join(text.split())
    for piece in cut:
        assert tokens(piece.text) <= 2 * MOST
        number = int(piece.place.removeprefix("line "))
        assert piece.text.split("\n")[0].strip() in body[number - 1]


@given(
    st.lists(st.lists(st.sampled_from(["a", "bb", "c" * 50]), min_size=1, max_size=9), min_size=1)
)
def test_tables_have_each_row_once_under_the_header(rows):
    head, rows = ["one", "two"], [[*row, f"#{n}"] for n, row in enumerate(rows)]
    text = "\n".join("\t".join(row) for row in [head, *rows])
    cut = list(pieces([Page(text, "S!C4", shape="cells")]))
    assert all(p.text.startswith("one | two") for p in cut)
    found = [int(m) for p in cut for m in re.findall(r"#(\d+)", p.text)]
    assert found == list(range(len(rows)))
    assert cut[0].place.startswith("S!C4:")


@given(st.integers(0, 20_000))
def test_columns(number):
    assert digits(letters(number)) == number


def test_places():
    assert [letters(n) for n in (0, 25, 26, 701, 702)] == ["A", "Z", "AA", "ZZ", "AAA"]
    (piece,) = pieces([Page("def f():\n    pass", "A.f", 8)])
    assert piece.place == "line 8 (A.f)"
    (piece,) = pieces([Page("words", "page 3")])
    assert piece.place == "page 3"
    (piece,) = pieces([Page("a\tb\n1\t2", line=1, shape="rows")])
    assert (piece.place, piece.text) == ("rows 1-2", "a | b\n1 | 2")


def test_exact_hits_name_the_cell():
    sheet = Page("k\tv\nhoney\t42\nsalt\t7", "Sales!B3", shape="cells")
    assert exact([sheet], "SALT", 5) == [("Sales!B5", "salt | 7")]
    assert exact([sheet], "42", 5) == [("Sales!C4", "honey | 42")]
    assert exact([Page("a\nb a", "page 2")], "a", 1) == [("page 2", "a")]
