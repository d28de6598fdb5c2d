import pytest
from hypothesis import given
from hypothesis import strategies as st

from oros.services.run.output import MAX_ERROR, cut, last_words, python_error, readable


@pytest.mark.parametrize(
    ("raw", "text"),
    [(b"\x1b[1;31mred\x1b[0m\n", "red\n"), (b"\x1b]0;title\x07x", "x"), (b"a\r\nb\r\n", "a\nb\n"),
     (b"10%\r50%\r100%\ndone", "100%\ndone"), (b"caf\xe9", "caf�"), (b"a\0\x07b", "a␀␇b"),
     (b"\ttab\n", "\ttab\n"), ("safe\u202egnp".encode(), "safe<RIGHT-TO-LEFT OVERRIDE>gnp"),
     ("hi\U000e0041".encode(), "hi<TAG LATIN CAPITAL LETTER A>"),
     ("👩\u200d🔬".encode(), "👩\u200d🔬")],
)  # fmt: skip
def test_output_is_made_readable(raw, text) -> None:
    assert readable(raw) == text


@pytest.mark.parametrize("piece", [b"x", b"x\r", b"\r", b"\x1b[", b"\x1b]", b"\x1bP", b"\n "])
def test_long_lines_are_made_readable_at_once(piece) -> None:
    """As a program that means harm prints them; the machine waits for it."""
    assert len(readable(piece * (1 << 19))) <= 1 << 20


@given(st.binary(max_size=300))
def test_nothing_of_a_terminal_gets_through(raw) -> None:
    text = readable(raw)
    assert all(c in "\n\t" or c >= " " for c in text)
    assert "\x1b" not in text
    text.encode()


@given(st.text(max_size=300), st.integers(2, 100), st.integers(0, 5))
def test_a_cut_keeps_both_ends(text, limit, lost) -> None:
    got = cut(text, lost, limit)
    if len(text) <= limit and not lost:
        assert got == text
    else:
        half = min(limit, len(text)) // 2
        assert got.startswith(text[:half])
        assert got.endswith(text[len(text) - half :])
        assert len(got) <= limit + 60


def test_python_errors() -> None:
    chained = (
        'Traceback (most recent call last):\n  File "job.py", line 2, in <module>\n    a()\n'
        "KeyError: 'x'\n\nDuring handling of the above exception, another exception occurred:\n\n"
        'Traceback (most recent call last):\n  File "job.py", line 9, in <module>\n    b(1)\n'
        '    ^^^^\n  File "/usr/lib/python3/pandas.py", line 3, in b\n    raise E\n'
        "ValueError: first\n  second line\n"
    )
    assert python_error(chained) == "job.py line 9: b(1)\nValueError: first\n  second line"
    assert python_error("no traceback") == ""
    assert python_error("") == ""
    assert len(python_error(chained + "x" * 5000)) <= MAX_ERROR


def test_last_words() -> None:
    assert last_words(" one\n") == "one"
    assert last_words("long line\n" * 200).startswith("long line\n")
    assert len(last_words("x" * 5000)) == MAX_ERROR
