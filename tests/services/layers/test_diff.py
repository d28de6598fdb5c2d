"""What waits, as a diff that patch(1) takes."""

import subprocess

import pytest

from oros.services.files.resolve import Root
from oros.services.layers.compose import compose
from oros.services.layers.diff import text_of
from oros.services.layers.tree import Layer, white_out


@pytest.fixture
def told(tmp_path):
    base, layer = tmp_path / "base", tmp_path / "layer"
    base.mkdir()
    layer.mkdir()

    def diff() -> str:
        seen = compose([(Layer(layer), lambda _: True)])
        return text_of(Root(base), seen)

    return base, layer, diff


def gone(layer, name: str) -> None:
    root = Root(layer)
    white_out(root.fd, name)


def test_patch_takes_it(told, tmp_path) -> None:
    base, layer, diff = told
    (base / "old").write_text("one\ntwo\n")
    (base / "away").write_text("x\ny\n")
    (layer / "old").write_text("one\n2\n")
    (layer / "new").write_text("fresh\n")
    gone(layer, "away")
    text = diff()
    assert "--- /dev/null\n+++ b/new\n" in text
    assert "--- a/away\n+++ /dev/null\n" in text
    subprocess.run(["git", "apply"], cwd=base, input=text, text=True, check=True)
    assert {p.name: p.read_text() for p in base.iterdir()} == {"old": "one\n2\n", "new": "fresh\n"}


def test_what_is_no_text_and_what_is_empty_is_named(told) -> None:
    base, layer, diff = told
    (base / "bin").write_bytes(b"\0")
    (base / "none").write_text("")
    (layer / "fresh").write_bytes(b"\0\1")
    (layer / "empty").write_text("")
    gone(layer, "bin")
    gone(layer, "none")
    assert diff().splitlines() == [
        "removed: bin, no text or large",
        "new file, empty: empty",
        "new: fresh, no text or large",
        "removed, empty: none",
    ]
