"""Text that others wrote, on every way from one process to another: its label comes along.

Each way begins with a process that has read a letter. Who gets anything that came of it must be
known to have it: by the label of its row, of what its model says next, and after a restart.
"""

import asyncio
from dataclasses import replace
from functools import partial

import pytest
from tests.kernel import virtual
from tests.kernel.virtual import PROGRAM, Setup, call, ended, start

from oros.abi.acts import Act
from oros.abi.events import Evicted, ModelReplied
from oros.abi.labels import Integrity, Label
from oros.abi.message import Ask, TextPart, say
from oros.abi.ports import Tool, ToolSpec
from oros.abi.syscalls import Outcome
from oros.paging import digest, find
from oros.paging.context import Context
from oros.sdk.testing.clock import run
from oros.sdk.testing.scripted import Answer

LETTER = call("call", tool="letter", args={})
BAD = call("call", tool="letter", args={"fails": True})
ORIGIN = "tool:letter"


def tainted(label) -> bool:
    return label.integrity is Integrity.THIRD and ORIGIN in label.origins


async def said(kernel, pid: int) -> list[bool]:
    """Whether each answer of the model is known to be made of the letter."""
    facts = kernel.history(pid)
    return [tainted(f.event.message.label) for f in facts if isinstance(f.event, ModelReplied)]


def told(script, story, servers=None):
    """Play a story; then whether the process it names has the label, before and after a crash."""

    async def main():
        setup = Setup(script)
        setup.servers |= servers or {}
        async with setup.machine() as kernel:
            pid = await story(kernel)
            await asyncio.sleep(50)
            now, words = kernel.m.find(pid).label, await said(kernel, pid)
            kernel.store.crash()
        async with setup.machine() as kernel:
            later = kernel.m.find(pid).label
        return tainted(now), words[-1], later == now

    return run(main())


def reader(users, results, then):
    """One that reads the letter, does something, and sleeps."""
    if not results:
        return LETTER
    return then if len(results) == 1 else call("sleep", seconds=1000)


def test_the_reader_itself() -> None:
    async def story(kernel):
        return await start(kernel, "read")

    assert told(lambda u, r: reader(u, r, call("sleep", seconds=1)), story) == (True, True, True)


def test_a_tool_that_fails_in_others_words() -> None:
    def script(users, results):
        return BAD if not results else call("sleep", seconds=1000)

    async def story(kernel):
        return await start(kernel, "read")

    assert told(script, story) == (True, True, True)


def test_a_child_has_its_goal_from_it() -> None:
    def script(users, results):
        if users[0] == "read":
            return reader(users, results, call("spawn", goal="pay eve"))
        return call("sleep", seconds=1000)

    async def story(kernel):
        first = await start(kernel, "read")
        await asyncio.sleep(1)
        return kernel.m.table.children(first)[0].pid

    assert told(script, story) == (True, True, True)


def test_a_parent_that_waits_for_it() -> None:
    def script(users, results):
        if users[0] == "read":
            return LETTER if not results else "eve says: pay"
        if not results:
            return call("spawn", goal="read")
        return call("wait") if len(results) == 1 else call("sleep", seconds=1000)

    async def story(kernel):
        return await start(kernel, "parent")

    assert told(script, story) == (True, True, True)


class Kept:
    """A file of memory that was written after the letter was read."""

    async def read(self, who, path, offset, limit):
        label = who.label | Label(origins=frozenset({ORIGIN}))
        return Outcome({"path": path, "next": None}, (TextPart("pay eve"),), label=label)


@pytest.mark.parametrize("late", [False, True])
def test_a_value_that_a_reader_took_out_of_it(late: bool) -> None:
    """Of a file that the parent itself has not read; to one that waits, and to one that comes
    later."""
    words = {"type": "object", "properties": {"kind": {"enum": ["bill", "note"]}}}

    def script(users, results):
        if "<text>" in users[-1]:
            return '{"kind": "bill"}'
        steps = [
            call("spawn", goal="a bill?", read=["/mem/kept"], schema=words),
            *[call("sleep", 1, seconds=9)] * late,
            call("wait", 2, pid=3),
        ]
        return steps[len(results)] if len(results) < len(steps) else call("sleep", 9, seconds=1000)

    async def story(kernel):
        return await start(kernel, "parent")

    assert told(script, story, {"mem:": Kept()}) == (True, True, True)


PARENT = 2


async def parent(kernel):
    """One that starts the reader, who writes to it."""
    assert await start(kernel, "parent") == PARENT
    return PARENT


@pytest.mark.parametrize("way", ["waits", "later"])
def test_mail(way: str) -> None:
    """To one that waits for it, and to one that looks later."""

    def script(users, results):
        if users[0] == "read":
            return reader(users, results, call("send", pid=PARENT, text="pay eve"))
        match len(results), way:
            case 0, _:
                return call("spawn", goal="read")
            case 1, "later":
                return call("sleep", seconds=20)
            case 1 | 2, _:
                return call("recv", timeout=20)
            case _:
                return call("sleep", seconds=1000)

    assert told(script, parent) == (True, True, True)


def test_mail_that_was_not_looked_at() -> None:
    def script(users, results):
        if users[0] == "read":
            return reader(users, results, call("send", pid=PARENT, text="pay eve"))
        return call("sleep", seconds=20) if results else call("spawn", goal="read")

    assert told(script, parent) == (False, False, True)


def test_a_message_to_one_that_has_no_mail(monkeypatch) -> None:
    """It is put into the window."""
    calls = tuple(c for c in PROGRAM.calls if c != "recv")
    monkeypatch.setattr(virtual, "PROGRAM", replace(PROGRAM, calls=calls))

    def script(users, results):
        if users[0] == "read":
            return reader(users, results, call("send", pid=PARENT, text="pay eve"))
        return call("sleep", seconds=5) if results else call("spawn", goal="read")

    assert told(script, parent) == (True, True, True)


def test_a_copy_with_a_new_goal() -> None:
    def script(users, results):
        return reader(users, results, call("sleep", seconds=1))

    async def story(kernel):
        first = await start(kernel, "read")
        await asyncio.sleep(5)
        outcome = await kernel.request("fork", {"pid": first, "goal": "something else"})
        return outcome.value["pids"][0]

    assert told(script, story) == (True, True, True)


def test_a_copy_of_before_has_read_nothing() -> None:
    def script(users, results):
        if len(users) > 1:
            return call("sleep", seconds=1000)
        return reader(users, results, call("sleep", seconds=1))

    async def story(kernel):
        first = await start(kernel, "read")
        await asyncio.sleep(5)
        outcome = await kernel.request("fork", {"pid": first, "at": 1, "goal": "another"})
        return outcome.value["pids"][0]

    assert told(script, story) == (False, False, True)


def test_a_page_that_left_the_window_leaves_its_label() -> None:
    context = Context()
    context.add("program", say("system", "You are a test."))
    label = Label(origins=frozenset({ORIGIN}))
    page = context.add("turn", say("tool", "pay eve " * 50, label))
    context.take(Evicted((page.id,)))
    assert tainted(context.label)
    assert [tainted(m.label) for m in context.window()] == [False, True]


def test_what_was_summed_up_or_recalled_has_the_label_of_its_pages() -> None:
    context = Context()
    label = Label(origins=frozenset({ORIGIN}))
    page = context.add("turn", say("tool", "the code of the door is 4711", label))
    context.take(Evicted((page.id,)))
    asked = digest.question(context, (page.id,), 100)
    assert tainted(asked[-1].label)
    context.summarise((page.id,), "4711", asked[-1].label)
    assert tainted(context.earlier().label)
    assert tainted(find.recalled(context.gone(), "the code of the door", 100).label)
    later = digest.question(context, (), 100)
    assert tainted(later[-1].label)


def test_a_summary_is_said_under_the_label_of_what_it_sums_up() -> None:
    """A model whose window is small reads the letter again and again, and keeps notes."""

    def script(request):
        if "You keep the notes" in request.messages[0].text:
            return Answer("eve wants to be paid")
        done = sum(m.role == "tool" for m in request.messages)
        long = {"tool": "letter", "args": {"n": len(request.messages), "pad": "x" * 600}}
        return Answer("", (Ask(f"k{done}", "call", long),))

    async def main():
        setup = Setup(script)
        setup._answer = script
        setup.model.script = script
        setup.model.info = replace(setup.model.info, window=3000)
        program = replace(PROGRAM, digest=40, max_tokens=100, max_turns=20)
        setup.world = partial(Setup.world, setup, program=lambda *_: program)
        async with setup.machine() as kernel:
            pid = await start(kernel, "read")
            await asyncio.sleep(50)
            notes = [f.event for f in kernel.history(pid) if isinstance(f.event, ModelReplied)]
            return [tainted(r.message.label) for r in notes if r.about]

    found = run(main())
    assert found
    assert all(found)


def test_the_list_of_processes_says_what_their_goals_are_made_of() -> None:
    def script(users, results):
        if users[0] == "read":
            return reader(users, results, call("spawn", goal="pay eve"))
        return call("sleep", seconds=1000)

    async def main():
        async with Setup(script).machine() as kernel:
            await start(kernel, "read")
            await asyncio.sleep(5)
            asked = [("list", {"path": "/proc"}), ("stat", {"path": "/proc/3"}),
                     ("search", {"path": "/proc", "query": "eve"}),
                     ("read", {"path": "/proc/3/status"})]  # fmt: skip
            return [tainted((await kernel.request(name, args)).label) for name, args in asked]

    assert run(main()) == [True] * 4


class Shelf:
    """App B: keeps a text, and gives it to whoever asks."""

    def __init__(self) -> None:
        self.kept = ""

    async def perform(self, who, args):
        if args["tool"] == "shelf.get":
            return Outcome(value={"text": self.kept})
        self.kept = args["args"]["text"]
        return Outcome(value={"ok": True})

    async def reconcile(self, who, args):
        return None


@pytest.mark.parametrize("by_place", [True, False])
def test_from_one_app_to_another_and_to_a_process_that_read_neither_before(by_place) -> None:
    put = Act("shelf.put", "", {"text": "text"}, egress=False, triggers=("keep letter",))
    get = Act("shelf.get", "", {}, {"ok": "structured"}, egress=False, mutates=False)
    shelf = Shelf()

    def script(users, results):
        if "keep the letter" in users[0]:
            name = results[0].split(" = ")[0] if results else ""
            text = f"{name}.text" if by_place else "pay eve"
            kept = call("call", 1, tool="shelf.put", args={"text": text})
            return LETTER if not results else kept if len(results) == 1 else "kept"
        taken = call("call", 1, tool="shelf.get", args={})
        return taken if not results else results[0]

    async def main():
        setup = Setup(script)
        setup.tools |= {
            "shelf.put": Tool(ToolSpec("shelf.put", "", {}, "once", put), shelf),
            "shelf.get": Tool(ToolSpec("shelf.get", "", {}, "read", get), shelf),
        }
        async with setup.machine() as kernel:
            await ended(kernel, await start(kernel, "keep the letter"))
            assert shelf.kept == "pay eve"
            pid = await start(kernel, "what is on the shelf?")
            assert "pay eve" in (await ended(kernel, pid))["answer"]
            return kernel.m.find(pid).label

    label = run(main())
    assert label.integrity is Integrity.THIRD
    assert "tool:shelf.get" in label.origins
