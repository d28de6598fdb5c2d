"""The slots of a llama.cpp server: learned, held to, and each process in one of its own.

The server is a real one, on weights made by hand; it counts what of a prompt it had read before.
"""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.drivers.models.llama_server import KEY, WINDOW
from tests.drivers.models.llamacpp.script import write
from tests.drivers.models.playing import answer, asking

from oros.abi.grants import Usage
from oros.abi.message import say
from oros.abi.ports import ModelInfo, Quota, TextDelta
from oros.boot.adding import settings
from oros.drivers.models.openai.driver import OpenAIModel, slots_of
from oros.drivers.models.openai.places import Places
from oros.services.weights.offers import Platform, offered

ROOT = Path(__file__).parents[3]
INFO = ModelInfo("llama", 1 << 20, 4, frozenset({"tools", "schema", "resume"}), widest=64)
SYSTEM = say("system", "be good " * 30)


def serving(folder: Path, slots: int) -> Iterator[str]:
    """A server; it ends when its stdin is closed."""
    pytest.importorskip("xllamacpp")
    weights = folder / "script.gguf"
    write(weights, ["again", " and", " and again"])
    command = [sys.executable, "-m", "tests.drivers.models.llama_server", str(weights), str(slots)]
    quiet, pipe = subprocess.DEVNULL, subprocess.PIPE
    server = subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=quiet, text=True)
    try:
        yield server.stdout.readline().strip()
    finally:
        server.kill()
        server.communicate()


@pytest.fixture(scope="module")
def apart(tmp_path_factory) -> Iterator[str]:
    """Two slots, each with a cache of its own."""
    yield from serving(tmp_path_factory.mktemp("apart"), 2)


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> Iterator[str]:
    """Four slots over one cache."""
    yield from serving(tmp_path_factory.mktemp("shared"), 0)


def use(url: str, case, platform: str = "llama.cpp") -> None:
    async def main() -> None:
        base = f"{url}/v1"
        model = OpenAIModel("llama", base, info=INFO, key=lambda: KEY, platform=platform)
        try:
            await case(model)
        finally:
            await model.close()

    asyncio.run(main())


async def turns(model, *askers: str, count: int = 3) -> dict[str, list[Usage]]:
    """Conversations of these askers, one turn of each after another, and what each turn used."""
    told = {a: [SYSTEM] for a in askers}
    used: dict[str, list[Usage]] = {a: [] for a in askers}
    for turn in range(count):
        for asker in askers:
            told[asker].append(say("user", f"{asker} says {turn} " + "word " * 20))
            draft = await answer(model, asking(*told[asker], affinity=asker))
            told[asker].append(say("assistant", draft.whole))
            used[asker].append(draft.usage)
    return used


def missed(used: list[Usage]) -> int:
    """Tokens that were read again although they had been read, or written, the turn before."""
    return max(before.tokens - after.cached for before, after in pairwise(used))


def test_how_many_slots_there_are_and_how_large_is_learned(apart, shared) -> None:
    for url, count, window in ((apart, 2, WINDOW // 2), (shared, 4, WINDOW)):

        async def case(model, count=count, window=window) -> None:
            batches = [b async for b in model.generate(asking(affinity="ann"))]
            assert batches[0] == [Quota("calls", count, count, 0.0)]
            assert model.info.window == window

        use(url, case)


def test_each_has_a_slot_of_its_own_and_reads_nothing_twice(apart) -> None:
    async def case(model) -> None:
        used = await turns(model, "ann", "bob")
        assert max(map(missed, used.values())) < 16
        assert used["ann"][-1].tokens_in > 300

    async def left_to_itself(model) -> None:
        used = await turns(model, "cat", "dan")
        assert max(map(missed, used.values())) > 64, "then there is no need for this"

    use(apart, case)
    use(apart, left_to_itself, platform="generic")


def test_who_was_cut_goes_on_in_its_slot(apart) -> None:
    async def case(model) -> None:
        ask = asking(SYSTEM, say("user", "eve " * 40), affinity="eve")
        async with aclosing(model.generate(ask)) as batches:
            async for batch in batches:
                if any(isinstance(d, TextDelta) for d in batch):
                    break
        await answer(model, asking(SYSTEM, say("user", "fay"), affinity="fay"))
        rest = await answer(model, ask)
        assert rest.usage.tokens_in - rest.usage.cached < 16

    use(apart, case)


def test_more_askers_than_slots_are_left_to_the_server(apart) -> None:
    async def case(model) -> None:
        await turns(model, "ann", "bob", count=1)
        assert model._places.of("ann") is not None
        await turns(model, "ann", "bob", "gil", count=2)
        assert {model._places.of(a) for a in ("ann", "bob", "gil")} == {None}

    use(apart, case)


def test_slots_that_keep_nothing_are_found_out_at_once(shared) -> None:
    async def case(model) -> None:
        used = await turns(model, "ann", "bob", "cat", count=5)
        nothing = [u for us in used.values() for u in us[1:] if not u.cached]
        assert len(nothing) <= 2
        assert all(us[-1].cached > 200 for us in used.values())

    use(shared, case)


def test_both_at_once_are_answered(apart) -> None:
    async def case(model) -> None:
        async def one(asker: str) -> None:
            ask = asking(SYSTEM, say("user", asker), affinity=asker)
            assert (await answer(model, ask)).whole == "again and and again"

        async with asyncio.TaskGroup() as group:
            for n in range(8):
                group.create_task(one(f"p{n % 3}"))

    use(apart, case)


def test_one_that_is_added_is_known_for_what_it_is(apart) -> None:
    place = Platform(f"{apart}/v1")
    (offer,) = asyncio.run(offered(place, KEY))
    table = settings(place, offer, {})
    assert (table["platform"], table["window"]) == ("llama.cpp", WINDOW // 2)


@pytest.mark.parametrize(
    "told",
    [b"", b"null", b"[]", b"{", b"[" * 100_000, b'{"total_slots": 4}',
     b'{"total_slots": 0, "default_generation_settings": {"n_ctx": 9}}',
     b'{"total_slots": "4", "default_generation_settings": {"n_ctx": 9}}'],
)  # fmt: skip
def test_what_tells_of_no_slots(told) -> None:
    assert slots_of(told) is None


ASKED = st.lists(st.tuples(st.sampled_from("abcde"), st.booleans(), st.integers(0, 2)), max_size=60)


@given(st.integers(0, 4), ASKED)
def test_no_slot_is_two_askers_and_none_is_beyond(count, asked) -> None:
    """Any order of beginnings and ends: who has a slot has it alone."""
    places, running = Places(count), []
    for asker, ends, cached in asked:
        if ends and running:
            context, place = running.pop(0)
            if place is not None:
                places.seen(place, Usage(9, 9, cached))
            context.__exit__(None, None, None)
            continue
        context = places.taken(asker)
        running.append((context, context.__enter__()))
        held = [p.slot for _, p in running if p is not None]
        assert len(set(held)) == len(held)
        assert set(held) <= set(range(count))


def test_a_slot_that_nobody_asks_for_any_more_is_given_on() -> None:
    places = Places(2)

    def asks(asker: str):
        with places.taken(asker) as place:
            if place is not None:
                places.seen(place, Usage(9, 9, 5))
            return place

    assert [asks(a).slot for a in "abab"] == [0, 1, 0, 1]
    assert asks("c") is None, "three askers for two slots"
    found = [asks("ca"[n % 2]) for n in range(12)]
    assert found[-1] is not None
    assert found[-1].back
    assert {p.slot for p in found[-2:]} == {0, 1}


def test_an_asker_that_comes_twice_at_once_has_one_slot() -> None:
    places = Places(2)
    with places.taken("a") as first, places.taken("a") as second:
        assert first is not None
        assert second is None


def test_the_info_of_one_that_tells_nothing_stays(apart) -> None:
    async def case(model) -> None:
        batches = [b async for b in model.generate(asking(affinity="ann"))]
        assert not any(isinstance(d, Quota) for b in batches for d in b)
        assert model.info == replace(INFO, window=INFO.window)

    use(apart, case, platform="vllm")
