"""Facts of finished processes: noted by a process of its own, when nobody needs the machine."""

import asyncio
import json

from tests.kernel.virtual import Setup, ended, start

from oros.abi.labels import Integrity, Label
from oros.abi.manifest import Program
from oros.abi.syscalls import Outcome
from oros.sdk.testing.clock import run
from oros.sdk.testing.scripted import Answer
from oros.services.apps.programs import builtin
from oros.services.memory.ended import IDLE, Notes, goal
from oros.services.memory.ended import ended as shown_to

WEB = Label(Integrity.THIRD, None, frozenset({"web:x.example"}))


class Mem:
    """/mem as far as it is needed: what was written, and what ended."""

    def __init__(self, kernel) -> None:
        self.kernel, self.kept = kernel, {}

    async def read(self, who, path, offset, limit):
        text, label = shown_to(self.kernel.m, who.pid, int(path.partition("/")[2]))
        return Outcome(value={"path": path, "text": text}, label=who.label | label)

    async def write(self, who, path, data):
        self.kept[path] = (data.decode(), who.label)
        return Outcome(value={"path": path}, label=who.label)


def answers(said):
    """The model: tells what it found, or the facts of it."""

    def script(users, results):
        if any("The job:" in u for u in users):
            return Answer(said)
        return Answer("the rent is 900 euros")

    return script


def told(said, story, model="scripted"):
    async def main():
        setup = Setup(answers(said))
        async with setup.machine() as kernel:
            mem = Mem(kernel)
            kernel.m.world.server.__closure__[0].cell_contents["mem:"] = mem
            plain = kernel.m.world.program
            kernel.m.world.program = lambda n, m: (
                builtin()["facts"] if n == "facts" else plain(n, m)
            )
            notes = Notes(kernel.m, kernel.request, kernel.store, lambda: model)
            task = asyncio.ensure_future(notes.keep())
            await asyncio.sleep(0)
            try:
                return await story(kernel, mem)
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    return run(main())


def of_facts(kernel):
    rows = [*kernel.m.table, *kernel.m.done.values()]
    return [p for p in rows if p.program == "facts"]


FACTS = json.dumps(
    {"facts": ["the rent is 900 euros", "the rent is 900 euros", " ", "due the 5th"]}
)


def test_it_is_noted_once_when_nobody_is_awake() -> None:
    async def story(kernel, mem):
        pid = await start(kernel, "what is the rent?")
        await ended(kernel, pid)
        await asyncio.sleep(IDLE * 3)
        assert [t for t, _ in mem.kept.values()] == ["the rent is 900 euros", "due the 5th"]
        assert sorted(mem.kept) == [f"user/facts/{pid}-1", f"user/facts/{pid}-2"]
        (noter,) = of_facts(kernel)
        assert (noter.goal, noter.nice, noter.status) == (goal(pid), 1, 0)
        assert noter.limits.tokens
        await asyncio.sleep(IDLE * 10)
        assert len(of_facts(kernel)) == 1  # not again, and not of itself

    told(FACTS, story)


def test_a_job_that_pid_1_started_is_the_users_too() -> None:
    async def story(kernel, mem):
        pid = await start(kernel, "what is the rent?")
        await ended(kernel, pid)
        kernel.m.find(pid).ppid = 1
        await asyncio.sleep(IDLE * 3)
        assert sorted(mem.kept) == [f"user/facts/{pid}-1", f"user/facts/{pid}-2"]

    told(FACTS, story)


def test_what_it_keeps_has_the_label_of_what_it_read() -> None:
    async def story(kernel, mem):
        pid = await start(kernel, "read a letter")
        await ended(kernel, pid)
        kernel.m.find(pid).label = kernel.m.find(pid).label | WEB
        await asyncio.sleep(IDLE * 3)
        assert mem.kept
        for _, label in mem.kept.values():
            assert label.integrity is Integrity.THIRD
            assert "web:x.example" in label.origins

    told(FACTS, story)


def test_nobody_else_is_shown_what_ended() -> None:
    async def story(kernel, mem):
        pid = await start(kernel, "what is the rent?")
        await ended(kernel, pid)
        other = await start(kernel, goal(pid))
        outcome = None
        try:
            shown_to(kernel.m, other, pid)
        except Exception as e:  # noqa: BLE001 - which one it is, is looked at
            outcome = e
        assert getattr(outcome, "code", "") == "ENOENT"

    told(FACTS, story)


def test_no_model_and_answers_that_are_none() -> None:
    for said, model in ((FACTS, ""), ("no JSON at all", "scripted"), ('{"facts": 3}', "scripted")):

        async def story(kernel, mem):
            pid = await start(kernel, "what is the rent?")
            await ended(kernel, pid)
            await asyncio.sleep(IDLE * 3)
            assert mem.kept == {}
            assert all(not p.alive for p in of_facts(kernel))

        told(said, story, model)


def test_what_ended_before_it_was_there_is_past() -> None:
    async def main():
        setup = Setup(answers(FACTS))
        async with setup.machine() as kernel:
            pid = await start(kernel, "what is the rent?")
            await ended(kernel, pid)
            notes = Notes(kernel.m, kernel.request, kernel.store, lambda: "scripted")
            task = asyncio.ensure_future(notes.keep())
            await asyncio.sleep(IDLE * 3)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert of_facts(kernel) == []

    run(main())


def test_the_program_is_one_of_those_that_come_with_the_machine() -> None:
    program = builtin()["facts"]
    assert isinstance(program, Program)
    assert set(program.calls) == {"read", "write"}
