"""Stories in virtual time, each of which the simulation once found the kernel to lose."""

import asyncio

from tests.kernel.virtual import Setup, call, ended, play, start

from oros.kernel.process import State
from oros.sdk.testing.clock import run


def test_steering_ends_a_question_that_waits() -> None:
    def script(users, results):
        return call("ask", question="may I?") if not results else f"{results[-1]} / {users[-1]}"

    async def story(kernel, _):
        pid = await start(kernel, "ask me")
        await asyncio.sleep(1)
        assert kernel.m.table[pid].on == "person"
        await kernel.request("kill", {"pid": pid, "signal": "USR1", "text": "don't ask"})
        return await ended(kernel, pid)

    answer = play(story, script)["answer"]
    assert answer.startswith("EINTR")
    assert answer.endswith("don't ask")


def test_one_who_was_stopped_in_its_sleep_wakes_after_a_crash() -> None:
    def script(users, results):
        return call("sleep", seconds=30) if not results else "slept"

    async def main():
        setup = Setup(script)
        async with setup.machine() as kernel:
            pid = await start(kernel, "sleep")
            await asyncio.sleep(1)
            await kernel.request("kill", {"pid": pid, "signal": "STOP"})
            kernel.store.crash()
        async with setup.machine() as kernel:
            assert kernel.m.table[pid].state is State.STOPPED
            await kernel.request("kill", {"pid": pid, "signal": "CONT"})
            return await ended(kernel, pid)

    assert run(main())["answer"] == "slept"


def test_a_preempted_answer_is_paid_once() -> None:
    text = "word " * 60

    def script(users, results):
        return text if users[-1] == "long" else "short"

    async def story(kernel, setup):
        pid = await start(kernel, "long", nice=1)
        for _ in range(4):
            await asyncio.sleep(3)
            await ended(kernel, await start(kernel, "short"))
        row = await ended(kernel, pid)
        used = kernel.m.find(pid).usage
        assert setup.model.calls > 5, "it was never cut"
        return row["answer"], used.tokens_out, await setup.model.count(text)

    answer, paid, real = play(story, script, slots=1, tokens_a_second=20)
    assert answer == text
    assert abs(paid - real) <= 1


def test_seconds_run_out_in_mid_answer() -> None:
    async def story(kernel, _):
        pid = await start(kernel, "long", limits={"seconds": 2.0})
        row = await ended(kernel, pid)
        return row["status"], kernel.m.find(pid).usage.seconds

    status, seconds = play(story, lambda u, r: "word " * 400, tokens_a_second=20)
    assert status != 0
    assert 1.9 <= seconds <= 2.2


def test_what_a_sandbox_must_hold_goes_down_the_tree_and_into_copies() -> None:
    def script(users, results):
        if results or users[0] != "parent":
            return call("sleep", 1, seconds=600.0)
        return call("spawn", goal="child", needs=["mem"])

    async def story(kernel, setup):
        needs = {"folder": "/somewhere", "needs": ["net"]}
        pid = await start(kernel, "parent", **needs)
        await asyncio.sleep(60)
        child = kernel.m.table.children(pid)[0]
        copy = (await kernel.request("fork", {"pid": child.pid, "n": 2, "race": True})).value
        rows = [kernel.m.table[pid], child, *(kernel.m.table[p] for p in copy["pids"])]
        wrong = await kernel.request("spawn", {"goal": "x", "folder": "/", "needs": ["wings"]})
        work = [next(p for p in row.mounts if p.path == "/work") for row in rows]
        return work, [row.race for row in rows], wrong.error

    mounts, races, error = play(story, script)
    assert [set(point.needs) for point in mounts] == [{"net"}, *[{"mem", "net"}] * 3]
    assert races == [0, 0, 4, 4]
    assert error.code == "EINVAL"
    assert "wings" in error.why
    assert "kill_tree" in error.hint
