"""What is told of kinds of documents is what happens to them."""

import importlib.util
import sys

import pytest
from tests.services.index import samples

from oros.services.index.kinds import kinds


def test_a_kind_that_is_said_to_be_read_is_read_and_another_is_not(house) -> None:
    told = kinds()
    (house.top / "a.txt").write_text("text speaks of zebras")
    samples.html(house.top / "b.html", "web speaks of zebras")
    samples.eml(house.top / "c.eml", "office", "office speaks of zebras")
    house.index()
    found = {source for source, _, text in house.rows() if "zebras" in text}
    assert ("a.txt" in found) == (": yes" in told["text"])
    assert ("b.html" in found) == (": no" not in told["web"])
    assert ("c.eml" in found) == (": yes" in told["office"])


@pytest.mark.parametrize(
    ("missing", "kind"),
    [("kreuzberg", "office"), ("trafilatura", "web"), ("rapidocr", "pictures")],
)
def test_what_is_missing_is_told_with_what_to_install(monkeypatch, missing, kind) -> None:
    before = kinds()
    for name in (missing, "kreuzberg"):
        monkeypatch.setitem(sys.modules, name, None)
    line = kinds()[kind]
    assert "yes" not in line
    assert "pip install 'oros[" in line
    if importlib.util.find_spec(missing) is not None:
        assert before[kind] != line
    assert all("\n" not in told for told in kinds().values())
