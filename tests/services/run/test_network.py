"""A program with a way out: to what was granted, told flow by flow, its words labelled by it."""

import pytest

from oros.abi.errors import Invalid
from oros.abi.labels import Integrity

SOURCE = """
import urllib.request
for url in ("http://example.com/a", "http://other.net/"):
    try:
        print(urllib.request.urlopen(url, timeout=5).read().decode())
    except OSError as e:
        print("refused:", url)
open("got.txt", "w").write("from the web")
"""


def test_only_what_was_granted_is_reached_and_all_is_told(perform, user, work) -> None:
    (found,) = perform(user, ["example.com"], SOURCE)
    value = found.value
    assert value["out"].splitlines() == ["hello", "refused: http://other.net/"], value
    flows = {(f["host"], f["decision"]) for f in value["flows"]}
    assert flows == {("example.com", "allowed"), ("other.net", "refused")}
    assert "web:example.com" in found.label.origins
    assert found.label.integrity is Integrity.THIRD
    # What it wrote may be others' words: it waits for the person.
    assert value["waits"] == "all of it, for a review"
    assert not (work / "got.txt").exists()


def test_each_cell_has_the_flows_that_it_made(perform, user) -> None:
    """What one leaves open is closed and told at its end, and the next one finds the way again."""
    if not perform.warm:
        pytest.skip("a program of its own leaves nothing open")
    left = (
        "import http.client\nc = http.client.HTTPConnection('example.com', 80)\n"
        "c.request('GET', '/'); r = c.getresponse(); r.read(2)"
    )
    first, second, third = perform(user, ["example.com"], left, "1 + 1", SOURCE + "r.read()")
    assert first.value["value"] == "b'he'"
    assert [f["host"] for f in first.value["flows"]] == ["example.com"]
    assert "web:example.com" in first.label.origins
    assert "flows" not in second.value
    assert third.value["out"].splitlines()[0] == "hello"


def test_without_a_grant_there_is_no_network(perform, user, work) -> None:
    (found,) = perform(user, [], SOURCE)
    assert found.value["out"].count("refused") == 2
    assert "flows" not in found.value
    assert (work / "got.txt").exists()


def test_one_that_wanted_it_is_told_why_not(perform, user) -> None:
    (found,) = perform(user, [], "import socket\nsocket.create_connection(('example.com', 80))")
    assert "--net HOST" in found.value["note"]


def test_what_is_no_host_is_refused_before_anything_runs(perform, user) -> None:
    with pytest.raises(Invalid):
        perform(user, ["*.com"], SOURCE)
