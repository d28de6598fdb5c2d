"""Virtual time: hours in no time, the same each time, and no test that hangs."""

import asyncio
import time

import pytest

from oros.sdk.testing.clock import EPOCH, SeededRandom, Stuck, VirtualClock, VirtualLoop, run


def test_an_hour_passes_at_once_and_in_order() -> None:
    seen: list[tuple[str, float]] = []

    async def sleeper(name: str, seconds: float) -> None:
        await VirtualClock().sleep(seconds)
        seen.append((name, VirtualClock().wall() - EPOCH))

    async def main() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(sleeper("late", 3600.0))
            tasks.create_task(sleeper("soon", 1.5))

    begun = time.monotonic()
    run(main())
    assert time.monotonic() - begun < 60
    assert seen == [("soon", 1.5), ("late", 3600.0)]


def test_who_waits_for_nothing_is_an_error() -> None:
    with pytest.raises(Stuck, match="virtual second 2"):
        run(_forever())


async def _forever() -> None:
    await asyncio.sleep(2)
    await asyncio.Event().wait()


def test_something_happens_at_a_pass() -> None:
    async def main() -> list[int]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        seen: list[int] = []
        loop.at_turn(loop.turns + 3, lambda: seen.append(loop.turns))
        begun = loop.turns
        for _ in range(5):
            await asyncio.sleep(0)
        return [x - begun for x in seen]

    assert run(main()) == [3]


def test_the_same_chance_for_the_same_seed() -> None:
    one, two = SeededRandom(3), SeededRandom(3)
    assert [one.random(), one.token(8)] == [two.random(), two.token(8)]
    assert SeededRandom(4).random() != SeededRandom(3).random()
