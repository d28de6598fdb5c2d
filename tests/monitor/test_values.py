"""Values as people write them: forms, comparing, looks; and texts made to keep the machine busy."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oros.monitor import phrases, values


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("write to ann@b.example.", ["ann@b.example"]),
        ("see http://a.example/x?y=1, www.b.example!", ["http://a.example/x?y=1", "www.b.example"]),
        ("pay GB29NWBK60161331926819 or 1234 5678 9012",
         ["GB29NWBK60161331926819", "1234 5678 9012"]),
        ("at secure-site-1.com/now", ["secure-site-1.com"]),
        ("on 2024-05-15 at 10:00, in notes.txt, for 10.50", []),
        ("call +49 151 2345678", ["+49 151 2345678"]),
    ],
)  # fmt: skip
def test_what_in_a_text_leads_somewhere(text, found) -> None:
    assert sorted(values.links(text)) == sorted(found)


@pytest.mark.parametrize(
    ("text", "form", "what"),
    [
        ("refund that 10.00.", "amount", "10"),
        ("it is $1,200.50 now", "amount", "1200.5"),
        ("my rent is 2200", "amount", "2200"),
        ("pay 30 euros", "amount", "30"),
        ("file number 13", "id", "13"),
        ("our site www.our-company.com.They wrote", "url", "our-company.com"),
        ("'Dinner at {place}'", "template", "dinner at {place}"),
        ("ask Ann Bell about it", "name", "ann bell"),
        ("open /home/ann/x.txt", "path", "/home/ann/x.txt"),
        ("the code is 1j1l-2k3j", "token", "1j1l-2k3j"),
    ],
)
def test_forms(text, form, what) -> None:
    assert (form, what) in {(g.form, g.what) for g in phrases.mint(text)}


NUMBERED = {
    "account": values.ACCOUNT, "amount": values.AMOUNT, "id": values.ID, "number": values.NUMBER,
    "token": values.TOKEN,
}  # fmt: skip
PIECES = ["1", "22", "345678", "12-34", "x9", "ab12cd", "GB29NWBK60161331926819", "1234 5678 9012",
          "$5", "3.10", "7%", "10", "usd", "Euros", "rent", "is", "total", "of", "id", "#", "no.",
          "process", "+49", "-", ":", "'", ",", "café", "Bill", "price:", "é12345"]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=8), st.sampled_from([" ", "", "  "]))
@example(["1", "1", "x9", "-"], "")
def test_a_form_that_is_not_looked_for_is_not_there(pieces, between) -> None:
    text = between.join(pieces)
    looked = dict.fromkeys(p for _, p in phrases.numbered(text, values.words_of(text)))
    for pattern in (*NUMBERED.values(), values.MONEY):
        assert pattern in looked or pattern.search(text) is None, (pattern, text)


def test_one_word_at_the_start_of_a_sentence_is_no_name() -> None:
    names = {g.what for g in phrases.mint("Find a channel. Ask Ann.") if g.form == "name"}
    assert names == {"ask ann", "ann", "ask"}


@given(st.text(), st.text())
def test_equal_values_have_one_form_and_look_alike(a, b) -> None:
    assert values.canon(values.canon(a)) == values.canon(a)
    if values.canon(a) == values.canon(b):
        assert values.alike(a, [b]) == ()


@given(st.text(min_size=6, alphabet="abcdef"), st.integers(0, 5))
def test_a_letter_changed_looks_alike(word, at) -> None:
    other = word[:at] + "x" + word[at + 1 :]
    assert values.alike(other, [word]) == (word,)


BUSY = ["Aa ", "'", "1 ", "a.", "a@a.", "send a mail to bob and ", " ", "a-1", "www.", "/a", "1,",
        "_1a", "rent is ", "is ", "1", "a", "{", "<a", "#1", "ab:", "Bell's "]  # fmt: skip


@pytest.mark.parametrize("piece", BUSY)
def test_no_text_keeps_the_machine_busy(piece) -> None:
    """With a pattern that looks at a text again and again each of these would take hours."""
    text = piece * (400_000 // len(piece))
    mine = phrases.arranged((text,), (("m", ("send * mail",)),))
    values.links(text)
    mine.names(text, "target")
    mine.designates(text[:400])
    values.alike(text[:300], [text[:301]])


LINKED = ["HTTP://", "https://", "Www.", "www", "http:", "/", "a.com", "x", " "]


@given(st.lists(st.sampled_from(LINKED), max_size=8))
def test_a_link_that_is_not_looked_for_is_not_there(pieces) -> None:
    text = "".join(pieces)
    found = [g.what for g in phrases.mint(text) if g.form == "url"]
    assert found == list(dict.fromkeys(filter(None, map(values.canon, values.urls(text)))))


def test_words_alone_are_named_and_kept_as_words() -> None:
    mine = phrases.arranged(("Ask @joe about 12 apples", "and joe"), (), denied=["value:apples"])
    assert list(mine.words) == ["ask", "joe", "about"]
    assert mine.names("Joe", "target")
    assert not mine.names("joe", "secret")
    assert not mine.names("apples", "label")
    assert not mine.names("12", "target")
