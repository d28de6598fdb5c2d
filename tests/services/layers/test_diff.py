"""What a person reads of changes: bounded, whatever was changed."""

import pytest

from oros.services.files.resolve import Root
from oros.services.layers.compose import compose
from oros.services.layers.diff import HARD, WHOLE, text_of
from oros.services.layers.tree import Layer


@pytest.fixture
def told(tmp_path):
    base, layer = tmp_path / "base", tmp_path / "layer"
    base.mkdir()
    layer.mkdir()

    def of() -> str:
        return text_of(Root(base), compose([(Layer(layer), lambda _: True)]))

    return base, layer, of


def test_a_change_a_new_file_and_one_that_is_no_text(told) -> None:
    base, layer, of = told
    (base / "f").write_text("one\ntwo\n")
    (layer / "f").write_text("one\nthree\n")
    (layer / "g").write_text("")
    (layer / "h").write_bytes(b"\0\1")
    assert of() == (
        "--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n one\n-two\n+three\n"
        "new file, empty: g\nnew: h, no text or large\n"
    )


def test_lines_that_are_made_to_be_hard_to_compare(told) -> None:
    base, layer, of = told
    lines = [f"{n % 150}\n" for n in range(150_000)]
    (base / "f").write_text("".join(lines))
    (layer / "f").write_text("".join(reversed(lines)))
    assert len(lines) ** 2 / 150 > HARD
    assert of() == "changed: f, 150000 lines -> 150000 lines, too much to compare\n"


def test_more_than_anybody_reads(told) -> None:
    _, layer, of = told
    for number in range(30):
        (layer / f"{number:02}").write_text("some line\n" * 100_000)
    text = of()
    assert WHOLE < len(text) < WHOLE + (2 << 20)
    assert text.endswith("not shown, as this is long: 29\n")
    assert "+++ b/00\n" in text
