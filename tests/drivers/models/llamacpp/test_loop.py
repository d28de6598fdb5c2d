"""Who computes when: properties over random answers, and the promises one by one."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.drivers.models.llamacpp.toy import Box, uninterrupted

PROMPTS = st.lists(st.integers(0, 2), min_size=1, max_size=40)
ACTS = st.lists(
    st.tuples(
        st.sampled_from(["add", "add", "step", "step", "cancel", "resume"]),
        PROMPTS,
        st.integers(1, 20),
        st.integers(0, 2),
    ),
    max_size=40,
)


@given(ACTS, st.integers(64, 160), st.integers(2, 6), st.integers(0, 3))
@settings(max_examples=200, deadline=None)
def test_whatever_happens_every_answer_is_the_uninterrupted_one(acts, size, sequences, seed):
    """Random arrivals, levels, cuts and resumes in a small cache: only the order changes."""
    box, chance = Box(size, sequences), random.Random(seed)
    asked: dict[int, tuple[list[int], int]] = {}
    cut: list[tuple[list[int], int, int]] = []
    for act, prompt, count, nice in acts:
        live = [n for n in asked if n not in box.ended]
        if act == "add":
            asked[box.add(prompt, count, nice)] = (prompt, count)
        elif act == "cancel" and live:
            number = chance.choice(live)
            job = box.jobs[number]
            box.loop.remove(job)
            prompt, count = asked.pop(number)
            if len(box.said[number]) < count:
                cut.append((prompt + box.said[number], count - len(box.said[number]), nice))
        elif act == "resume" and cut:
            prompt, count, nice = cut.pop()
            asked[box.add(prompt, count, nice)] = (prompt, count)
        else:
            for _ in range(3):
                box.step()
    box.run()
    for number, (prompt, count) in asked.items():
        assert not box.ended[number].full
        room = min(count, size - len(prompt))
        assert box.said[number] == uninterrupted(prompt, room)


def test_a_better_level_stops_the_others_at_once_and_they_lose_nothing():
    box = Box()
    slow = [box.add([n] * 9, 30, nice=1) for n in range(3)]
    for _ in range(12):
        box.step()
    before = {n: len(box.said[n]) for n in slow}
    urgent = box.add([7] * 20, 5)
    while urgent not in box.ended:
        box.step()
    assert {n: len(box.said[n]) for n in slow} == before, "a worse level ran beside it"
    spent = box.toy.computed
    box.run()
    again = sum(30 - before[n] for n in slow)
    assert box.toy.computed - spent <= again, "something was computed twice"


def test_an_answer_that_is_cut_goes_on_at_the_price_of_one_token():
    box = Box()
    first = box.add(list(range(40)), 30, owner="ann")
    while len(box.said[first]) < 10:
        box.step()
    box.loop.remove(box.jobs[first])
    box.add([9] * 30, 5)
    box.run()
    spent = box.toy.computed
    rest = box.add(list(range(40)) + box.said[first], 20, owner="ann")
    while not box.said[rest]:
        box.step()
    assert box.toy.computed - spent == 1
    box.run()
    assert box.said[first] + box.said[rest] == uninterrupted(list(range(40)), 30)


def test_eight_answers_over_one_beginning_read_it_once():
    box = Box(size=400, sequences=10)
    page = [n % 50 for n in range(200)]
    for n in range(8):
        box.add([*page, n, n, n], 4)
    box.run()
    read = box.toy.computed - 8 * 4
    assert 200 <= read <= 200 + 8 * 4


def test_a_prompt_is_read_in_pieces_beside_the_answers():
    box = Box(size=400, batch=64)
    writer = box.add([1], 40)
    for _ in range(3):
        box.step()
    box.add(list(range(160)), 2)
    said = len(box.said[writer])
    while box.jobs[1].made == 0:
        box.step()
        assert len(box.said[writer]) == said + 1, "an answer waited for a prompt"
        said += 1
    assert max(map(len, box.toy.sets)) <= 17


def test_the_first_word_comes_with_the_step_that_ends_its_prompt():
    box = Box(size=400)
    for n in range(6):
        box.add([n] * 4, 40, nice=1)
    for _ in range(20):
        box.step()
    urgent = box.add(list(range(30)), 3)
    steps = 0
    while not box.said[urgent]:
        box.step()
        steps += 1
    assert steps == -(-30 // box.toy.batch)


def test_turns_are_shared_where_width_does_not_pay():
    """A step costs as much as it has inputs, and half as much again: one at a time is best."""
    box = Box(size=400, costs=lambda inputs: inputs**1.5)
    numbers = [box.add([n], 120) for n in range(3)]
    while not all(len(box.said[n]) >= 60 for n in numbers):
        box.step()
    counts = [len(box.said[n]) for n in numbers]
    assert max(counts) - min(counts) <= 40
    assert all(len(s) == 1 for s in box.toy.sets[-16:])


def test_answers_go_side_by_side_where_that_pays():
    box = Box(size=400, costs=lambda inputs: 1.0)
    for n in range(4):
        box.add([n], 60)
    for _ in range(40):
        box.step()
    assert all(len(s) == 4 for s in box.toy.sets[-8:])


def test_more_than_the_cache_holds_waits_and_is_put_away():
    box = Box(size=100, sequences=4)
    numbers = [box.add([n] * 30, 60) for n in range(3)]
    box.run()
    for n in numbers:
        assert box.said[n] == uninterrupted([n] * 30, 60)


def test_a_foreground_answer_takes_the_room_of_the_others():
    box = Box(size=100, sequences=4)
    slow = box.add([1] * 60, 20, nice=1)
    while len(box.said[slow]) < 5:
        box.step()
    spent = box.toy.computed
    urgent = box.add([2] * 60, 20)
    while urgent not in box.ended:
        box.step()
    assert box.jobs[slow].parks == 1
    box.run()
    assert box.said[slow] == uninterrupted([1] * 60, 20)
    assert box.toy.computed - spent <= 60 + 20 + 15, "the one put away was read again"
