"""Preemption for real, on the smallest model: what a cut, a fork and a better level cost."""

import asyncio
import json
from contextlib import aclosing
from dataclasses import replace

import pytest
from tests.drivers.models.llamacpp.test_driver import INFO, answer, use, weights

from oros.abi.message import Message, TextPart, say
from oros.abi.ports import Finished, ModelRequest, TextDelta
from oros.drivers.models.llamacpp.driver import LlamaCppModel

__all__ = ["weights"]
PAGE = "The quick brown fox jumps over the lazy dog. " * 30


async def part(model, request, tokens: int) -> str:
    """The first so many pieces of an answer, and then the stream is closed."""
    text = ""
    async with aclosing(model.generate(request)) as batches:
        async for batch in batches:
            text += "".join(d.text for d in batch if isinstance(d, TextDelta))
            tokens -= sum(isinstance(d, TextDelta) for d in batch)
            if tokens <= 0:
                break
    return text


def going_on(request: ModelRequest, text: str, left: int) -> ModelRequest:
    begun = Message("assistant", (TextPart(text),), partial=True)
    return replace(request, messages=(*request.messages, begun), max_tokens=left)


@pytest.mark.model
def test_an_answer_cut_ten_times_is_the_uncut_one_and_each_return_costs_a_token(weights) -> None:
    ask = ModelRequest((say("user", f"{PAGE} Go on."),), max_tokens=120, affinity="ann")

    async def check(model) -> None:
        whole, _ = await answer(model, replace(ask, affinity="whole"))
        text = await part(model, ask, 9)
        for _ in range(9):
            other = ModelRequest((say("user", "Count to 1000."),), max_tokens=3, affinity="bob")
            await answer(model, other)
            text += await part(model, going_on(ask, text, 120), 9)
        rest, end = await answer(model, going_on(ask, text, 120))
        assert whole.startswith((text + rest)[: len(whole)])
        assert end.usage.tokens_in - end.usage.cached == 1

    use(weights, check, threads=1)


@pytest.mark.model
def test_the_foreground_runs_alone_and_the_background_goes_on_after_it(weights) -> None:
    async def check(model) -> None:
        order: list[str] = []
        begun = asyncio.Event()

        async def run(name: str, nice: int, tokens: int) -> None:
            ask = ModelRequest((say("user", f"{name}: count to 1000."),), (), tokens, nice=nice)
            async for batch in model.generate(replace(ask, affinity=name)):
                order.extend(name for d in batch if isinstance(d, TextDelta))
                if len(order) >= 20:
                    begun.set()

        await model.count("load")
        async with asyncio.TaskGroup() as group:
            slow = [group.create_task(run(f"b{n}", 1, 60)) for n in range(3)]
            await begun.wait()
            at = len(order)
            await run("ann", 0, 12)
            assert not any(t.done() for t in slow)
        urgent = [n for n, name in enumerate(order) if name == "ann"]
        beside = set(order[urgent[0] : urgent[-1]]) - {"ann"}
        assert not beside, "the background ran beside the foreground"
        assert urgent[0] - at <= 64

    use(weights, check)


@pytest.mark.model
def test_eight_children_over_one_beginning_read_it_once(weights) -> None:
    async def check(model) -> None:
        asks = [
            ModelRequest((say("system", PAGE), say("user", f"{n}?")), (), 4, affinity=f"c{n}")
            for n in range(8)
        ]
        found = await asyncio.gather(*(answer(model, ask) for ask in asks))
        fresh = sorted(end.usage.tokens_in - end.usage.cached for _, end in found)
        assert fresh[-1] > 200, "one of them reads it"
        assert fresh[-2] < 32, "and the others do not"

    use(weights, check)


@pytest.mark.model
def test_a_schema_holds_over_a_cut_and_over_a_new_worker(weights) -> None:
    shape = {
        "type": "object",
        "properties": {"call": {"const": "say"}, "text": {"type": "string", "maxLength": 60}},
        "required": ["call", "text"],
        "additionalProperties": False,
    }
    ask = ModelRequest((say("user", "Greet me in JSON."),), max_tokens=100, schema=shape)

    async def check(model) -> None:
        text = await part(model, ask, 8)
        assert text.startswith("{")
        rest, _ = await answer(model, going_on(ask, text, 100))
        assert json.loads(text + rest)["call"] == "say"
        await model.close()
        rest, _ = await answer(model, going_on(ask, text, 100))
        assert json.loads(text + rest)["call"] == "say"

    use(weights, check)


@pytest.mark.model
def test_more_than_the_cache_holds_is_put_away_and_each_answer_is_whole(weights) -> None:
    async def main() -> None:
        model = LlamaCppModel(weights, replace(INFO, window=512))

        async def run(n: int) -> Finished:
            ask = ModelRequest((say("user", f"{n} {PAGE}"),), max_tokens=20, affinity=f"p{n}")
            return (await answer(model, ask))[1]

        try:
            ends = await asyncio.gather(*(run(n) for n in range(5)))
            assert [e.usage.tokens_out for e in ends] == [20] * 5
            state = await model.state()
            assert state["cells"] < sum(e.usage.tokens_in for e in ends)
            assert state["ram"] > 0
        finally:
            await model.close()

    asyncio.run(main())
