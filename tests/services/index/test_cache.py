"""The cache of documents: what goes in comes out; a damaged or full one is only a cache."""

import random

from hypothesis import given
from hypothesis import strategies as st

from oros.services.index.cache import Cache, packed, unpacked
from oros.services.index.inside.page import Page, Read

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
pages = st.builds(Page, text, text, st.integers(0, 9), st.sampled_from(["text", "cells", "rows"]))
answers = text | st.builds(Read, text, st.lists(pages, max_size=3).map(tuple), text)


@given(answers)
def test_packed(answer):
    assert unpacked(packed(answer)) == answer


def test_kept_and_damaged(tmp_path):
    path = tmp_path / "documents.db"
    cache = Cache(path)
    cache.put([("a", "an error"), ("b", Read("pdf", (Page("x"),)))])
    cache.close()
    cache = Cache(path)
    assert (cache.get("a"), cache.get("c")) == ("an error", None)
    cache._db.execute("UPDATE document SET body=x'00' WHERE hash='a'")
    assert cache.get("a") is None
    cache.close()
    path.write_bytes(random.Random(2).randbytes(20_000))
    cache = Cache(path)
    assert cache.get("b") is None
    cache.put([("b", "again")])
    assert cache.get("b") == "again"
    cache.close()


def test_the_longest_unused_goes(tmp_path):
    cache = Cache(tmp_path / "d.db", most=20_000)
    chance = random.Random(3)
    for n in range(30):
        cache.put([(str(n), chance.randbytes(600).hex())])
        assert cache.get("0") is not None
    assert cache._number("SELECT sum(size) FROM document") <= 20_000
    assert cache.get("1") is None
    assert cache.get("29") is not None
    cache.close()
