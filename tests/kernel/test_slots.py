"""Slots as leases: who waits, who yields, and who is let be."""

import asyncio
from contextlib import aclosing

import pytest
from tests.kernel.virtual import Setup, ended, start

from oros.abi.errors import Busy
from oros.abi.ports import ModelInfo, Quota
from oros.kernel.process import Process
from oros.kernel.slots import Slots
from oros.scheduling.pace import Meter
from oros.sdk.testing.clock import VirtualClock, run
from oros.sdk.testing.scripted import ScriptedModel


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


class Limited(ScriptedModel):
    """A server that takes two calls side by side, or so many tokens a minute, and says so."""

    refused = 0
    meter: Meter | None = None

    async def generate(self, request):
        now = self.clock.monotonic()
        room = self.meter.now(now) >= request.max_tokens if self.meter else self.active < 2
        if not room:
            self.refused += 1
            raise Busy("too many", retry_after=2.0)
        if self.meter is not None:
            self.meter.take(request.max_tokens, now)
            left, most = int(self.meter.left), self.meter.most
            yield [Quota("tokens", left, most, (most - left) / self.meter.per_second)]
        async with aclosing(super().generate(request)) as batches:
            async for batch in batches:
                yield batch


def crowd(meter: Meter | None, widest: int, nices: list[int]):
    """Processes over a limited server: how often it refused, and in which order they ended."""

    async def main():
        info = ModelInfo("limited", 32768, 8, frozenset({"tools"}), (0, 0, 0), widest=widest)
        setup = Setup(lambda users, results: "")
        setup.model = Limited(lambda _: "words " * 20, info, VirtualClock(), 20.0)
        setup.model.meter = meter
        ends: list[int] = []
        async with setup.machine() as kernel, asyncio.TaskGroup() as tasks:

            async def one(nice: int) -> None:
                await ended(kernel, await start(kernel, "go", nice=nice))
                ends.append(nice)

            for nice in nices:
                tasks.create_task(one(nice))
        return setup.model, kernel.m.slots["limited"].pace, ends

    return run(main())


def test_how_many_a_server_takes_is_learned_and_all_get_their_answer() -> None:
    model, pace, ends = crowd(None, 8, [1] * 40)
    assert len(ends) == 40
    assert 1 <= pace.width < 4
    assert model.refused < 20, "most calls were not made before there was room"


def test_tokens_of_a_minute_are_waited_for_and_the_foreground_goes_first() -> None:
    """With 2,000 tokens at once and 1,200 a minute, and calls that may take 1,024 each."""
    model, _, ends = crowd(Meter(2000.0, 2000, 20.0, 0.0), 8, [1] * 6 + [0] * 4)
    assert len(ends) == 10
    assert model.refused <= 8, "only the first, before anything was known"
    assert sum(ends[:6]) <= 2, "a batch that came first does not hold up who came later"
