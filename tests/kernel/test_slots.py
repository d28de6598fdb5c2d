"""Slots as leases: who waits, who yields, and who is let be."""

import asyncio

import pytest

from oros.kernel.process import Process
from oros.kernel.slots import Slots
from oros.sdk.testing.clock import VirtualClock, run


def row(pid: int, root: int | None = None, started: float = 0.0) -> Process:
    return Process(pid, root=root or pid, started=started)


async def work(slots: Slots, process: Process, nice: int, seconds: float, log: list) -> None:
    """Hold a slot for some seconds of work, over as many slices as it takes."""
    left, fruitless = seconds, 0
    while left > 1e-9:
        async with slots.lease(process, nice, fruitless) as lease:
            log.append(("took", process.pid, slots.clock.monotonic()))
            begun = slots.clock.monotonic()
            async with lease.scope:
                while left - (slots.clock.monotonic() - begun) > 1e-9:
                    await slots.clock.sleep(0.1)
                    lease.advanced()
            left -= slots.clock.monotonic() - begun
        fruitless = 0 if lease.claim.advanced else fruitless + 1
    log.append(("done", process.pid, slots.clock.monotonic()))


def test_the_foreground_takes_a_slot_back_and_the_background_ends_all_the_same() -> None:
    async def main():
        slots, log = Slots(VirtualClock(), 1, True), []
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(work(slots, row(2), 1, 8.0, log))
            await asyncio.sleep(3.0)
            tasks.create_task(work(slots, row(3, started=3.0), 0, 0.5, log))
        return slots, log

    slots, log = run(main())
    assert ("took", 3, pytest.approx(3.0)) in log
    assert [x[1] for x in log if x[0] == "done"] == [3, 2]
    assert slots.preemptions == 1
    assert not slots.waiting
    assert not slots.running


def test_a_program_takes_no_slot_from_itself() -> None:
    """Two processes of a tree stand at the same level at any time, whatever floats say."""

    async def main():
        slots, log = Slots(VirtualClock(), 1, True), []
        async with asyncio.TaskGroup() as tasks:
            for pid in (2, 3, 4):
                tasks.create_task(work(slots, row(pid, 2), 0, 5.0, log))
        return slots

    assert run(main()).preemptions == 0


def test_a_slice_that_brought_nothing_is_not_taken_twice() -> None:
    async def main():
        slots = Slots(VirtualClock(), 1, True)
        struck: list[int] = []

        async def stubborn(fruitless: int) -> None:
            async with slots.lease(row(2), 1, fruitless) as lease:
                async with lease.scope:
                    await asyncio.sleep(10)
                struck.append(lease.preempted)

        async def short() -> None:
            async with slots.lease(row(3), 0, 0):
                await asyncio.sleep(0.1)

        for fruitless in (0, 1):
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(stubborn(fruitless))
                await asyncio.sleep(1)
                tasks.create_task(short())
        return struck

    assert run(main()) == [True, False]


def test_one_who_gives_up_waiting_takes_no_slot() -> None:
    async def main():
        slots = Slots(VirtualClock(), 1, True)
        log: list = []
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(work(slots, row(2), 0, 1.0, log))
            await asyncio.sleep(0.2)
            gone = tasks.create_task(work(slots, row(3), 0, 1.0, log))
            tasks.create_task(work(slots, row(4), 0, 1.0, log))
            await asyncio.sleep(0.2)
            gone.cancel()
        return [x[1] for x in log if x[0] == "took"]

    assert run(main()) == [2, 4]


def test_a_model_that_cant_go_on_is_never_cut() -> None:
    async def main():
        slots, log = Slots(VirtualClock(), 1, False), []
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(work(slots, row(2), 1, 30.0, log))
            await asyncio.sleep(3.0)
            tasks.create_task(work(slots, row(3), 0, 0.5, log))
        return log

    assert [x[1] for x in run(main()) if x[0] == "done"] == [2, 3]
