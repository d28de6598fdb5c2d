"""A process and its window: it fits at each call, what left is found again, summaries come once."""

import asyncio
import json
import re

import pytest
from tests.kernel.virtual import Setup, ended, start

from oros.abi.errors import TooBig
from oros.abi.events import Evicted, ModelCalled, ModelReplied, Recalled
from oros.abi.labels import USER, Integrity
from oros.abi.manifest import Program
from oros.abi.message import Ask, say
from oros.abi.ports import ModelInfo
from oros.abi.watch import SUMMING, Token
from oros.sdk.testing.clock import run
from oros.sdk.testing.scripted import Answer, taken
from oros.services.replay import replay

CALLS = ("read", "search", "sleep")
TALK = Program("talk", "t", "steps", "You talk.", CALLS, standing=True, max_turns=10, max_tokens=60)
CANS = frozenset({"tools", "resume", "count"})
FACT = "the code of the red door is 4711"


def noting(request) -> bool:
    return "You keep the notes" in request.messages[0].text


class Talk(Setup):
    """A machine whose processes have a small window."""

    def __init__(self, script, program=TALK, window=2000, cans=CANS, **model) -> None:
        super().__init__(script, **model)
        self.program = program
        self.model.info = ModelInfo("scripted", window, 2, cans, (0, 0, 0))

    def _answer(self, request):
        return self.script(request)

    def world(self, store, servers):
        return super().world(store, servers, lambda _, __: self.program)


def facts(kernel, pid, kind):
    return [f.event for f in kernel.history(pid) if isinstance(f.event, kind)]


async def tell(kernel, pid: int, text: str) -> None:
    """Say something and wait until it is answered."""
    await kernel.request("send", {"pid": pid, "text": text})
    await asyncio.sleep(5)


async def answer(kernel, pid: int, text: str) -> str:
    """Say something and give back what is answered."""
    await tell(kernel, pid, text)
    return kernel.m.journal.peek(pid).context.pages[-1].message.text


def talk(script, story, **more):
    async def main():
        setup = Talk(script, **more)
        async with setup.machine() as kernel:
            return await story(kernel, setup)

    return run(main())


def known(request, what: str) -> bool:
    return any(what in m.text for m in request.messages)


def attentive(request) -> Answer:
    """A model that knows what stands in its window, and looks up nothing."""
    if noting(request):
        return Answer("notes: much was said")
    asked = request.messages[-1].text if request.messages[-1].role == "user" else ""
    if "red door" in asked or known(request, "which is the code"):
        return Answer("4711" if known(request, "4711") else "unknown")
    return Answer("fine")


def searching(request) -> Answer:
    """A model that searches its pages when it is asked something."""
    last = request.messages[-1]
    if last.role == "tool":
        found = re.search(r"red door is (\d+)", last.text)
        if found:
            return Answer(found[1])
        page = re.search(r"pages/(\d+)", last.text)
        return Answer("", (Ask("p", "read", {"path": f"/proc/self/pages/{page[1]}"}),))
    asked = next((m.text for m in request.messages[::-1] if m.role == "user"), "")
    if "which is the code" in asked:
        query = {"path": "/proc/self/pages", "query": "code red door"}
        return Answer("", (Ask("s", "search", query),))
    return Answer("fine")


def chat(n: int) -> str:
    return f"turn {n}: the weather in town {n} is fair and nothing else of note happened there"


@pytest.mark.parametrize("recall", [0, 200])
def test_a_fact_of_turn_3_is_answered_at_turn_300(recall: int) -> None:
    """By what is recalled for the question; without it, by searching and reading the pages."""
    script = attentive if recall else searching
    program = Program(**{**fields(TALK), "recall": recall})

    async def story(kernel, setup):
        pid = await start(kernel, "let us talk")
        for n in range(1, 300):
            await tell(kernel, pid, FACT if n == 3 else chat(n))
        said = await answer(kernel, pid, "which is the code of the red door?")
        window = setup.model.info.window
        assert max(taken(r) + r.max_tokens for r in setup.model.requests) <= window
        assert facts(kernel, pid, Evicted)
        assert bool(facts(kernel, pid, Recalled)) == bool(recall)
        return said

    assert talk(script, story, program=program) == "4711"


def fields(program: Program) -> dict:
    return {name: getattr(program, name) for name in Program.__dataclass_fields__}


NOTED = Program(**{**fields(TALK), "digest": 50})


def test_each_page_that_left_is_summed_up_once_and_the_notes_stand_in_the_window() -> None:
    async def story(kernel, setup):
        pid = await start(kernel, "let us talk")
        for n in range(80):
            await tell(kernel, pid, chat(n))
        notes = [r for r in facts(kernel, pid, ModelReplied) if r.about]
        gone = [p for e in facts(kernel, pid, Evicted) for p in e.pages]
        asked = [r for r in setup.model.requests if noting(r)]
        assert len(notes) == len(asked) > 1
        summed = [p for r in notes for p in r.about]
        assert sorted(summed) == sorted(gone)
        assert len(set(summed)) == len(summed)
        assert all(taken(r) + r.max_tokens <= setup.model.info.window for r in asked)
        assert "notes: much was said" in asked[-1].messages[-1].text, "they are gone on with"
        assert known(setup.model.requests[-1], "notes: much was said")
        paid = kernel.m.find(pid).usage.tokens_out
        assert paid >= sum(r.usage.tokens_out for r in notes) > 0
        assert replay(kernel.m.journal.rows(pid)).same

    talk(attentive, story, program=NOTED)


def test_a_summary_that_a_crash_cut_is_not_asked_for_again() -> None:
    async def main():
        setup = Talk(attentive, NOTED, tokens_a_second=20)
        asked = 0
        async with setup.machine() as kernel:
            pid = await start(kernel, "let us talk")
            while not asked:
                await kernel.request("send", {"pid": pid, "text": chat(1)})
                for _ in range(100):
                    await asyncio.sleep(0.05)
                    asked = sum(map(noting, setup.model.requests))
                    if asked:
                        break
            kernel.store.crash()
        async with setup.machine() as kernel:
            await asyncio.sleep(60)
            notes = [r for r in facts(kernel, pid, ModelReplied) if r.about]
            assert [r.finish for r in notes] == ["lost"]
            assert sum(map(noting, setup.model.requests)) == 1
            assert await answer(kernel, pid, "go on") == "fine"

    run(main())


def test_without_a_budget_for_a_summary_the_process_goes_on() -> None:
    async def story(kernel, setup):
        pid = await start(kernel, "let us talk", limits={"tokens": 20_000})
        for n in range(60):
            await tell(kernel, pid, chat(n))
            if kernel.m.find(pid).status is not None:
                break
        room = kernel.m.find(pid)
        assert room.usage.tokens_in + room.usage.tokens_out <= 20_000

    talk(attentive, story, program=NOTED)


def test_a_window_that_the_server_refuses_is_made_smaller_and_asked_again() -> None:
    """The server counts a token for each letter; nobody had told."""

    def script(request):
        read = sum(len(m.text) for m in request.messages)
        if read + request.max_tokens > 3000:
            return TooBig(f"{read} tokens are too many")
        return Answer("fine")

    async def story(kernel, setup):
        pid = await start(kernel, "let us talk")
        for n in range(60):
            assert await answer(kernel, pid, chat(n)) == "fine"
        assert facts(kernel, pid, Evicted)
        assert kernel.m.find(pid).on == "message"

    talk(script, story, window=3000, cans=frozenset({"tools"}))


def test_a_model_that_refuses_every_window_is_not_asked_for_ever() -> None:
    async def story(kernel, setup):
        pid = await start(kernel, "let us talk")
        await asyncio.sleep(60)
        process = kernel.m.find(pid)
        assert (str(process.state), process.why[:7]) == ("stopped", "E2BIG: ")
        assert len(setup.model.requests) < 30

    talk(lambda _: TooBig("always"), story, cans=frozenset({"tools"}))


def test_a_program_too_large_for_the_window_says_so() -> None:
    program = Program(**{**fields(TALK), "prompt": "be good " * 3000})

    async def story(kernel, setup):
        pid = await start(kernel, "let us talk")
        await asyncio.sleep(5)
        assert "must stand in the window of scripted" in kernel.m.find(pid).why
        assert setup.model.requests == []

    talk(attentive, story, program=program)


def test_a_goal_larger_than_the_window_is_worked_on_in_parts() -> None:
    def script(request):
        text = "".join(m.text for m in request.messages)
        if "the end of it" in text:
            return Answer("read to its end")
        at = re.findall(r'"next": (\d+)', text)
        page = {"path": "/proc/self/pages/1", "offset": int(at[-1]) if at else 0, "limit": 2000}
        return Answer("", (Ask(f"r{len(request.messages)}", "read", page),))

    program = Program(**{**fields(TALK), "standing": False, "max_turns": 60})

    async def story(kernel, setup):
        pid = await start(kernel, "word " * 3000 + "the end of it")
        return (await ended(kernel, pid))["answer"]

    assert talk(script, story, program=program) == "read to its end"


def test_what_memory_has_comes_with_the_users_words_and_with_its_label() -> None:
    asked = []

    async def memory(pid, text, tokens):
        asked.append((pid, text, tokens))
        return say("user", "Remembered: 4711", USER) if "red door" in text else None

    program = Program(**{**fields(TALK), "recall": 100})

    async def story(kernel, setup):
        kernel.m.world.recall = memory
        pid = await start(kernel, "let us talk")
        assert await answer(kernel, pid, "hello") == "fine"
        assert await answer(kernel, pid, "which is the code of the red door?") == "4711"
        assert kernel.m.find(pid).label.integrity is Integrity.USER
        assert asked[-1] == (pid, "which is the code of the red door?", 100)
        assert len(facts(kernel, pid, Recalled)) == 1
        assert replay(kernel.m.journal.rows(pid)).same

    talk(attentive, story, program=program)


def test_each_call_says_what_its_window_is_made_of() -> None:
    async def story(kernel, setup):
        pid = await start(kernel, "let us talk")
        for n in range(70):
            await tell(kernel, pid, chat(n))
        for called in facts(kernel, pid, ModelCalled):
            assert 0 < sum(called.window) <= setup.model.info.window
        window = kernel.m.find(pid).window
        assert window == facts(kernel, pid, ModelCalled)[-1].window
        assert all(window[i] for i in (0, 2, 3, 5))

    talk(attentive, story)


def test_a_process_searches_what_left_its_window_and_the_person_all_pages() -> None:
    async def story(kernel, setup):
        pid = await start(kernel, "let us talk")
        for n in range(80):
            await tell(kernel, pid, FACT if n == 3 else chat(n))
        path = f"/proc/{pid}/pages"
        found = (await kernel.request("search", {"path": path, "query": "red door code"})).value
        page = found["hits"][0]["path"]
        assert FACT in (await kernel.request("read", {"path": page})).parts[0].text
        here = (await kernel.request("search", {"path": path, "query": "town 79"})).value["hits"]
        assert "town 79" in here[0]["text"]
        rows = (await kernel.request("list", {"path": path, "limit": 500})).value["entries"]
        assert {r["resident"] for r in rows} == {True, False}
        lines = (await kernel.request("read", {"path": path})).parts[0].text
        assert f"user: {FACT}]" in lines
        status = json.loads(
            (await kernel.request("read", {"path": f"/proc/{pid}/status"})).parts[0].text
        )
        assert status["room"] == setup.model.info.window >= sum(status["window"].values()) > 0
        bad = await kernel.request("search", {"path": f"/proc/{pid}/calls", "query": "x"})
        assert bad.error is not None

    talk(attentive, story)


def test_nobody_is_shown_a_summary_as_it_comes() -> None:
    seen = []

    async def story(kernel, setup):
        kernel.m.tell = lambda items: seen.extend(i for i in items if isinstance(i, Token))
        pid = await start(kernel, "let us talk")
        for n in range(80):
            await tell(kernel, pid, chat(n))
        assert any(map(noting, setup.model.requests))

    talk(attentive, story, program=NOTED)
    assert "notes" not in "".join(t.text for t in seen if t.what == "text")
    assert SUMMING in {t.text for t in seen}
