"""The set of our own making: what answers is found more often than by words of a turn alone."""

import statistics

from bench.recall.__main__ import fill, no_model, words_of
from bench.recall.made import made
from bench.recall.talks import talk

from oros.services.memory.store import Store


def test_more_is_found_than_by_the_words_of_a_turn(tmp_path) -> None:
    assert made(talks=1) == made(talks=1)
    talks = [talk(x) for x in made(talks=4)]
    store = Store.open(tmp_path / "memory.db")
    ids = fill(store, talks)
    figures = []
    for method in (words_of("text"), no_model):
        found = []
        for n, one in enumerate(talks):
            for q in one.questions:
                ranked = method(store, f"app:talk{n}", q.text, None)[:10]
                wanted = {ids[n, s, i] for s, i in q.evidence}
                found.append(len(wanted & set(ranked)) / len(wanted))
        figures.append(statistics.mean(found))
    store.close()
    assert figures[1] > figures[0] + 0.05
