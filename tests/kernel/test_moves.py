"""A model fails in mid-task: the process goes on with the next of its list, or is paused."""

from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from tests.kernel.virtual import Setup, call, ended, start

from oros.abi.errors import (
    Busy,
    NoDevice,
    NotAuthorized,
    Unreachable,
    Unsupported,
)
from oros.abi.labels import Label
from oros.abi.ports import ModelInfo, TextDelta, Tool, ToolSpec
from oros.abi.syscalls import Outcome
from oros.sdk.testing.clock import VirtualClock, run
from oros.sdk.testing.scripted import Answer, ScriptedModel
from oros.services.replay import replay

CANS = frozenset({"tools", "resume"})


class Breaks(ScriptedModel):
    """Says some words of its answer, then its server is gone."""

    async def generate(self, request):
        self.requests.append(request)
        if not request.messages[-1].partial:
            yield [TextDelta("one two ")]
        raise Unreachable("the server went away")


class Ours:
    """A tool whose results only one provider may read."""

    async def perform(self, who, args):
        return Outcome(value={"text": "ours"}, label=Label(readers=frozenset({"acme"})))

    async def reconcile(self, who, args):
        return None


def model(name: str, script, window: int = 32768, kind=ScriptedModel, **info) -> ScriptedModel:
    about = ModelInfo(name, window, 2, CANS, info.pop("price", (0, 0, 0)), **info)
    return kind(script, about, VirtualClock())


class Moving(Setup):
    """A machine with several models; the list is all of them, in this order."""

    def __init__(self, *models: ScriptedModel) -> None:
        super().__init__(lambda *_: "")
        self.models = {m.info.name: m for m in models}
        self.gone: set[str] = set()
        self.tools["ours"] = Tool(ToolSpec("ours", "", {}, "read"), Ours())

    def named(self, name: str) -> ScriptedModel:
        if name in self.gone:
            raise NoDevice(f"{name} is gone")
        return self.models[name or next(iter(self.models))]

    def ways(self, asked: str, now: str) -> list[ScriptedModel]:
        names = list(self.models)
        at = names.index(now) if now else 0
        return [self.models[n] for n in names[at + 1 :]]

    def world(self, store, servers, program=None):
        made = super().world(store, servers)
        return replace(made, model=self.named, ways=self.ways)

    @asynccontextmanager
    async def started(self, goal: str = "do it", **more):
        async with self.machine() as kernel:
            yield kernel, await start(kernel, goal, **more)


def moves(kernel, pid: int) -> list:
    return [f.event for f in kernel.history(pid) if f.event.kind == "moved"]


def told(*models: ScriptedModel, goal: str = "do it", before=None, **more):
    """Run one process to its end: (its answer, its moves as (of, to, code), the setup)."""

    async def main():
        setup = Moving(*models)
        async with setup.started(goal, **more) as (kernel, pid):
            if before is not None:
                before(setup)
            end = await ended(kernel, pid)
            found = [(e.of, e.to, e.why.split(":")[0]) for e in moves(kernel, pid)]
            assert replay(kernel.m.journal.rows(pid)).same
            return end["answer"], found, setup

    return run(main())


def paused(*models: ScriptedModel, goal: str = "do it", **more) -> str:
    """Run one process until it is stopped: why."""

    async def main():
        async with Moving(*models).started(goal, **more) as (kernel, pid):
            row = kernel.m.table[pid]
            while row.alive and row.state != "stopped":
                await VirtualClock().sleep(1)
            assert not moves(kernel, pid)
            return row.why

    return run(main())


ERRORS = [
    Unreachable("nobody answers"),
    NotAuthorized("wrong key"),
    NoDevice("no such model there"),
    Unsupported("no tools there"),
    Busy("come back later", retry_after=3600),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda e: e.code)
def test_it_moves_in_mid_task_and_ends_as_if_nothing_had_been(error) -> None:
    def script(request):
        done = sum(m.role == "tool" for m in request.messages)
        return call("sleep", done, seconds=1) if done < 3 else Answer("slept three times")

    def failing(request):
        done = sum(m.role == "tool" for m in request.messages)
        return script(request) if done < 1 else error

    first, second = model("acme/large", failing), model("other/one", script)
    answer, found, _ = told(first, second)
    assert answer == "slept three times"
    assert found == [("acme/large", "other/one", error.code)]
    assert len(second.requests) == 3
    before, after = first.requests[-1], second.requests[0]
    assert before.messages == after.messages, "the next model sees what the last one saw"


def test_words_that_were_said_are_kept() -> None:
    first = model("a", [], kind=Breaks)
    second = model("b", lambda _: Answer("one two three four"))
    answer, _, _ = told(first, second)
    assert answer == "one two three four"
    last = second.requests[0].messages[-1]
    assert (last.text, last.partial) == ("one two ", True)


def test_a_list_is_gone_along_to_its_end_and_then_the_process_is_paused() -> None:
    def fails(_):
        return Unreachable("nobody answers")

    async def main():
        three = [model(n, fails) for n in ("a", "b", "c")]
        async with Moving(*three).started() as (kernel, pid):
            row = kernel.m.table[pid]
            while row.state != "stopped":
                await VirtualClock().sleep(1)
            assert [(e.of, e.to) for e in moves(kernel, pid)] == [("a", "b"), ("b", "c")]
            assert row.why.startswith("ECONN")
            assert row.model == "c"
            return [len(x.requests) for x in three]

    # The last one is tried as long as any that stands alone.
    assert run(main()) == [3, 3, 5]


def test_without_a_list_it_waits_and_is_paused_as_ever() -> None:
    alone = model("a", lambda _: Unreachable("nobody answers"))
    assert paused(alone).startswith("ECONN")
    assert len(alone.requests) == 5


def test_one_that_is_gone_from_the_machine() -> None:
    first, second = model("a", lambda _: call("sleep", seconds=9)), model("b", lambda _: "well")

    def strike(setup):
        setup.gone.add("a")

    answer, found, _ = told(first, second, before=strike)
    assert (answer, found) == ("well", [("a", "b", "ENODEV")])


def test_a_context_that_is_too_big_goes_to_a_larger_window_only() -> None:
    big = "word " * 3000
    same, wide = model("same", [], 2000), model("wide", lambda _: Answer("read it"), 64000)
    answer, found, _ = told(model("small", [], 2000), same, wide, goal=big)
    assert answer == "read it"
    assert big in wide.requests[0].messages[1].text, "nothing of it was cut"
    assert found == [("small", "wide", "E2BIG")]
    assert same.requests == []


def test_one_that_may_not_read_it_is_passed_over() -> None:
    def script(request):
        done = any(m.role == "tool" for m in request.messages)
        return Unreachable("gone") if done else call("call", tool="ours", args={})

    def friend(_):
        return Answer("well")

    first, other = model("acme/large", script), model("other/one", friend)
    answer, found, _ = told(first, other, model("acme/small", friend))
    assert (answer, found[0][1]) == ("well", "acme/small")
    assert other.requests == []
    why = paused(model("acme/large", script), model("other/one", friend))
    assert why.startswith("ECONN")


def test_an_unknown_price_is_no_way_out_of_a_budget_in_money() -> None:
    def fails(_):
        return Unreachable("gone")

    first, unknown = model("a", fails), model("b", fails, price=None)
    assert paused(first, unknown, limits={"micros": 10**6}).startswith("ECONN")
    assert unknown.requests == []


def test_a_child_has_its_parents_list_and_begins_where_the_parent_is() -> None:
    def parent(request):
        results = [m.text for m in request.messages if m.role == "tool"]
        if "child" in request.messages[1].text:
            return Answer("from the child")
        return [call("spawn", 0, goal="child"), call("wait", 1, pid=3), Answer("both")][
            len(results)
        ]

    first = model("a", lambda _: Unreachable("gone"))
    answer, _, _ = told(first, model("b", parent))
    assert answer == "both"
    assert len(first.requests) == 3, "the child does not ask the one that is gone"


def test_a_question_apart_goes_to_the_next_too() -> None:
    def parent(request):
        if request.messages[0].role == "user":  # the question apart
            return Unreachable("gone")
        done = [m.text for m in request.messages if m.role == "tool"]
        return Answer(done[0]) if done else call("infer", prompt="what?")

    second = model("b", lambda _: Answer("that"))
    answer, found, _ = told(model("a", parent), second)
    assert "that" in answer
    assert found == [], "the process itself stays where it is"


def test_the_persons_word_brings_it_home() -> None:
    well = []

    def first(_):
        return Answer("from a") if well else Unreachable("gone")

    async def main():
        setup = Moving(model("a", first), model("b", lambda _: Answer("from b")))
        async with setup.machine() as kernel:
            await kernel.request("send", {"pid": 1, "text": "hello"})
            shell = kernel.m.table[1]
            while not moves(kernel, 1) or shell.on != "message":
                await VirtualClock().sleep(1)
            assert shell.model == "b"
            well.append(1)
            await kernel.request("send", {"pid": 1, "text": "and now?"})
            await VirtualClock().sleep(5)
            assert shell.model == "a"
            assert [e.to for e in moves(kernel, 1)] == ["b", "a"]
            image = kernel.m.journal.peek(1)
            return image.context.pages[-1].message.text

    assert run(main()) == "from a"


def test_it_is_the_same_after_a_restart() -> None:
    """Where a process stands on its list is in its journal."""

    async def main():
        setup = Moving(model("a", lambda _: Unreachable("gone")), model("b", lambda _: Answer("b")))
        async with setup.started() as (kernel, pid):
            await ended(kernel, pid)
        async with setup.machine() as kernel:
            return kernel.m.journal.fold(pid).model, kernel.m.journal.fold(pid).asked

    assert run(main()) == ("b", "")
