"""The whole kernel over the real store: processes, signals, waits, budgets, crashes."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from tests.kernel.virtual import proc_of
from tests.waits import until

from oros.abi import chain
from oros.abi.errors import Busy, NotAuthorized
from oros.abi.manifest import Program
from oros.abi.message import Ask
from oros.abi.ports import ModelInfo
from oros.drivers.clock.wall import SystemRandom, WallClock
from oros.drivers.store.sqlite import SqliteStore
from oros.kernel.kernel import Kernel
from oros.kernel.machine import World
from oros.kernel.process import Process, State
from oros.scheduling.pace import Pace
from oros.sdk.testing.scripted import Answer, ScriptedModel
from oros.services.replay import replay
from oros.services.shapes import SHAPES

CALLS = ("spawn", "wait", "sleep", "send", "recv", "list", "read", "kill", "exit", "ask")
PROGRAM = Program("t", "test", "steps", "You are a test.", CALLS)
SHELL = Program("shell", "test", "steps", "You are pid 1.", CALLS, standing=True)


class Bench:
    """A machine whose model is a script; a script sees the goal and the results so far."""

    def __init__(self, path, script, clock=None, **model) -> None:
        self.path, self.script, self.clock = path, script, clock or WallClock()
        self.model_options = model

    @asynccontextmanager
    async def machine(self):
        store = SqliteStore.open(self.path / "j.db")
        info = ModelInfo("scripted", 32768, 2, frozenset({"tools", "resume"}), (1, 1, 0))
        self.model = ScriptedModel(self._answer, info, WallClock(), **self.model_options)
        self.proc = None
        world = World(
            store,
            self.clock,
            SystemRandom(),
            lambda _: self.model,
            lambda _: self.proc,
            lambda _, __: PROGRAM,
            SHAPES,
        )
        kernel = Kernel(world)
        self.proc = proc_of(kernel, store)
        kernel.boot(SHELL)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(kernel.run())
            await asyncio.sleep(0)
            try:
                yield kernel
            finally:
                check(kernel, store)
                kernel.halt()
        await store.close()

    def _answer(self, request):
        users = [m.text for m in request.messages if m.role == "user"]
        results = [m.text for m in request.messages if m.role == "tool"]
        return self.script(users, results)


def check(kernel: Kernel, store: SqliteStore) -> None:
    """What was committed is chained, and its fold is the live row."""
    for row in kernel.m.table:
        rows = store.events(row.pid)
        chain.verify(rows, rows[0].prev if rows else b"")
        if rows and rows[-1].seq == row.seq:
            folded = kernel.m.journal.fold(row.pid)
            same = {State.READY, State.RUNNING}
            assert folded.state == row.state or {folded.state, row.state} <= same
            assert (folded.usage, folded.head, folded.on) == (row.usage, row.head, row.on)


def call(name: str, number: int = 0, **args) -> Answer:
    return Answer("", (Ask(f"k{number}", name, args),))


async def start(kernel: Kernel, goal: str, **more) -> int:
    return (await kernel.request("spawn", {"goal": goal, **more})).value["pid"]


async def ended(kernel: Kernel, pid: int) -> dict:
    outcome = await kernel.request("wait", {"pid": pid, "timeout": 60})
    assert outcome.error is None, outcome.error
    return outcome.value


def run(path, script, story, **model) -> None:
    bench = Bench(path, script, **model)

    async def main() -> None:
        async with bench.machine() as kernel:
            await story(kernel, bench)

    asyncio.run(main())


def test_a_parent_waits_for_its_child_and_reaps_it(tmp_path) -> None:
    def script(users, results):
        if "child" in users[0]:
            return Answer("child done")
        steps = [call("spawn", goal="a child"), call("wait"), Answer(f"it said {results[-1:]}")]
        return steps[len(results)]

    async def story(kernel, _):
        pid = await start(kernel, "parent")
        found = await ended(kernel, pid)
        assert "child done" in found["answer"]
        assert pid + 1 not in kernel.m.table
        assert kernel.history(pid + 1)[-1].event.kind == "reaped"
        assert replay(kernel.m.journal.rows(pid)).same

    run(tmp_path, script, story)


def test_an_orphan_and_an_unwaited_child_leave_no_zombie(tmp_path) -> None:
    def script(users, results):
        if "child" in users[0]:
            return Answer("child done")
        return call("spawn", goal="a child") if not results else Answer("parent done")

    async def story(kernel, _):
        pid = await start(kernel, "parent")
        await ended(kernel, pid)
        await until(lambda: len(kernel.m.table) == 2)
        assert kernel.m.done[pid + 1].status == 0

    run(tmp_path, script, story)


def test_a_circle_of_waits_is_told(tmp_path) -> None:
    def script(users, results):
        if "child" in users[0]:
            return call("wait", pid=2) if not results else Answer(results[-1])
        return (
            call("spawn", goal="a child")
            if not results
            else (call("wait", 1) if len(results) == 1 else Answer(results[-1]))
        )

    async def story(kernel, _):
        found = await ended(kernel, await start(kernel, "parent"))
        assert "EDEADLK" in found["answer"]

    run(tmp_path, script, story)


@pytest.mark.parametrize("signal", ["TERM", "KILL"])
@pytest.mark.parametrize("state", ["thinking", "waiting", "parked", "stopped"])
def test_term_and_kill_end_it_in_any_state(tmp_path, signal, state) -> None:
    def script(users, results):
        return call("sleep", seconds=60) if state == "waiting" else Answer("word " * 500)

    async def story(kernel, _):
        pid = await start(kernel, "job")
        row = kernel.m.table[pid]
        if state == "waiting":
            await until(lambda: row.on == "timer")
        else:
            await until(lambda: kernel.m.active[pid].text)
        if state in ("parked", "stopped"):
            name = "INT" if state == "parked" else "STOP"
            await kernel.request("kill", {"pid": pid, "signal": name})
            await until(lambda: pid not in kernel.m.active)
        await kernel.request("kill", {"pid": pid, "signal": signal})
        found = await ended(kernel, pid)
        assert found["status"] == (143 if signal == "TERM" else 137)
        assert not [s for s in kernel.m.slots.values() if s.running or s.waiting]

    run(tmp_path, script, story, tokens_a_second=200)


def test_int_stops_the_tokens_soon_and_keeps_the_context(tmp_path) -> None:
    def script(users, results):
        return Answer("word " * 500) if len(users) == 1 else Answer(f"you said {users[-1]}")

    async def story(kernel, bench):
        pid = await start(kernel, "job")
        await until(lambda: kernel.m.active[pid].text)
        bench.model.clock = clock = Handed()
        await kernel.request("kill", {"pid": pid, "signal": "INT"})
        await until(lambda: not bench.model.active)
        assert clock.asked <= 1  # no token came after it
        bench.model.clock = WallClock()
        await until(lambda: kernel.m.table[pid].on == "message")
        await kernel.request("send", {"pid": pid, "text": "go on"})
        assert (await ended(kernel, pid))["answer"] == "you said go on"

    run(tmp_path, script, story, tokens_a_second=100)


class Handed(WallClock):
    """The clock of a model that waits for each token until it is handed out."""

    def __init__(self) -> None:
        self.asked, self._tokens = 0, asyncio.Semaphore(0)

    async def sleep(self, seconds: float) -> None:
        self.asked += 1
        await self._tokens.acquire()

    async def hand_out(self, count: int) -> None:
        """So many, and wait until they are taken."""
        upto = self.asked + count
        self.let_go(count)
        await until(lambda: self.asked >= upto)

    def let_go(self, count: int) -> None:
        for _ in range(count):
            self._tokens.release()


def test_ten_preemptions_end_with_the_same_text(tmp_path) -> None:
    whole = " ".join(str(n) for n in range(150))

    def script(users, results):
        return Answer(whole) if "long" in users[0] else Answer("short")

    async def story(kernel, bench):
        bench.model.clock = clock = Handed()  # else a slow disk leaves it time to say all
        kernel.m.slots_of("scripted", kernel.m.world.model(""))
        kernel.m.slots["scripted"].pace = Pace(1, 1)
        pid = await start(kernel, "long", nice=1)
        for _round in range(10):
            await until(lambda: pid in kernel.m.active and kernel.m.slots["scripted"].running)
            await clock.hand_out(7)
            calls = bench.model.calls
            quick = await start(kernel, "quick")
            await until(lambda n=calls: bench.model.calls > n)
            clock.let_go(2)  # "short" has two
            await ended(kernel, quick)
        clock.let_go(500)
        assert (await ended(kernel, pid))["answer"] == whole
        reply = next(f.event for f in kernel.history(pid) if f.event.kind == "model_replied")
        assert reply.preempted == 10

    run(tmp_path, script, story, tokens_a_second=150)


def test_errors_that_pass_are_tried_again_and_others_pause(tmp_path) -> None:
    tries = []

    def script(users, results):
        tries.append(1)
        if "key" in users[0]:
            return NotAuthorized("no such key", "look at key_env")
        return Busy("too many", retry_after=0.01) if len(tries) < 3 else Answer("well")

    async def story(kernel, _):
        assert (await ended(kernel, await start(kernel, "job")))["answer"] == "well"
        pid = await start(kernel, "key")
        await until(lambda: kernel.m.table[pid].state is State.STOPPED)
        assert "EAUTH" in kernel.m.table[pid].why

    run(tmp_path, script, story)


def test_a_tree_shares_its_budget(tmp_path) -> None:
    def script(users, results):
        if "child" in users[0]:
            return Answer("x" * 400)
        return call("spawn", len(results), goal="a child") if len(results) < 9 else Answer("done")

    async def story(kernel, _):
        pid = await start(kernel, "parent", limits={"calls": 8})
        found = await ended(kernel, pid)
        await until(lambda: len(kernel.m.table) == 2)
        spent = sum(p.usage.calls for p in kernel.m.done.values())
        assert spent == 8
        assert "EDQUOT" in found["why"]

    run(tmp_path, script, story)


def test_mail_is_there_once_and_an_answer_comes_to_who_asked(tmp_path) -> None:
    def script(users, results):
        if "asks" in users[0]:
            return call("ask", question="which?") if not results else Answer(results[-1])
        return call("recv") if not results else Answer(results[-1])

    async def story(kernel, _):
        pid = await start(kernel, "asks")
        await until(lambda: kernel.m.table[pid].on == "person")
        await kernel.request("send", {"pid": pid, "text": "the blue one"})
        assert "the blue one" in (await ended(kernel, pid))["answer"]

    run(tmp_path, script, story)


def test_forks_have_all_up_to_their_place_and_an_account_of_their_own(tmp_path) -> None:
    def script(users, results):
        return Answer(f"heard {len(users)}")

    async def story(kernel, _):
        pid = await start(kernel, "job")
        await ended(kernel, pid)
        made = await kernel.request("fork", {"pid": pid, "n": 3, "goal": "now this"})
        for child in made.value["pids"]:
            assert (await ended(kernel, child))["answer"] == "heard 2"
            assert replay(kernel.m.journal.rows(child)).same
        assert kernel.m.done[pid].usage.calls == 1

    run(tmp_path, script, story)


def test_a_wait_goes_on_over_a_restart(tmp_path) -> None:
    def script(users, results):
        if "child" in users[0]:
            return call("sleep", seconds=600) if not results else Answer("child done")
        steps = [
            call("spawn", goal="a child"),
            call("wait", 1),
            Answer(results[-1] if results else ""),
        ]
        return steps[len(results)]

    async def first(kernel, _):
        pid = await start(kernel, "parent")
        await until(lambda: kernel.m.table[pid].on == "child")
        await until(
            lambda: pid + 1 in kernel.m.table and kernel.m.table[Process(pid + 1).pid].on == "timer"
        )

    async def second(kernel, _):
        assert "child done" in (await ended(kernel, 2))["answer"]

    class Later(WallClock):
        def wall(self) -> float:
            return super().wall() + 600

    run(tmp_path, script, first)
    run(tmp_path, script, second, clock=Later())
