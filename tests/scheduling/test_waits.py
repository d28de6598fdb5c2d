"""Circles of waits, against a search by hand."""

from hypothesis import given
from hypothesis import strategies as st

from oros.scheduling.waits import stuck

pids = st.integers(1, 6)
graphs = st.dictionaries(pids, st.lists(pids, min_size=1, max_size=3))


def test_circles() -> None:
    assert stuck(1, [1], lambda _: None)
    assert stuck(1, [2], {2: [1]}.get)
    assert stuck(1, [2], {2: [3], 3: [1]}.get)
    assert not stuck(1, [2], {2: [3]}.get), "3 works"
    assert not stuck(1, [2], {2: [1, 3]}.get), "any one will do"
    assert not stuck(1, [2, 3], {2: [1]}.get)
    assert not stuck(1, [], {}.get)


@given(graphs, pids, st.lists(pids, min_size=1, max_size=3))
def test_it_is_stuck_only_if_nobody_that_works_is_reached(graph, caller, on) -> None:
    seen, queue, works = set(), list(on), False
    while queue:
        pid = queue.pop()
        if pid in seen or pid == caller:
            continue
        seen.add(pid)
        works = works or pid not in graph
        queue += graph.get(pid, [])
    assert stuck(caller, on, graph.get) == (not works)
