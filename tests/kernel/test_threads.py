"""Many threads of thought: several answers at once, and children over one shared prefix."""

import json

import pytest
from tests.kernel.virtual import call, ended, play, start

from oros.abi.errors import Unreachable
from oros.drivers.models.openai.chat import Chat
from oros.drivers.models.openai.quirks import quirks_of
from oros.sdk.testing.scripted import Answer

SCHEMA = {"type": "object", "properties": {"x": {"type": "integer"}}}
LONG = "The rules of the house, all of them, in many words. " * 40


def asking(**more):
    """A script that asks one question apart, and answers with what it came to."""

    def script(users, results):
        if users == ["how many?"]:
            return Answer("never by this way")
        return Answer(results[-1]) if results else call("infer", prompt="how many?", **more)

    return script


def several(say, nice=0, **more) -> tuple[dict, list]:
    """The outcome of an `infer`, and the requests that it made. `say(request)` answers them."""

    async def story(kernel, setup):
        plain = setup.model.script

        def script(request):
            apart = request.messages[-1].text == "how many?" and len(request.messages) == 1
            return say(request) if apart else plain(request)

        setup.model.script = script
        pid = await start(kernel, "go", nice=nice)
        await ended(kernel, pid)
        back = next(f.event for f in kernel.history(pid) if f.event.kind == "call_returned")
        apart = [r for r in setup.model.requests if len(r.messages) == 1]
        return back.outcome, apart, setup.model.most

    return play(story, asking(**more), slots=4)


@pytest.mark.parametrize("nice", [0, 1])
def test_a_servers_priority_is_that_of_the_process(nice) -> None:
    _, (request,), _ = several(lambda _: "seven", nice=nice)
    assert request.nice == nice


def test_answers_side_by_side_under_a_schema() -> None:
    outcome, requests, most = several(lambda r: json.dumps({"x": r.seed}), n=4, schema=SCHEMA)
    assert outcome.value == {"value": [{"x": 1}, {"x": 2}, {"x": 3}, {"x": 4}]}
    assert len({r.seed for r in requests}) == 4
    assert all(r.temperature > 0 for r in requests)
    assert most == 4, "they run at the same time"
    assert outcome.usage.tokens_out >= 4
    assert {r.affinity.partition("/")[0] for r in requests} == {"2-infer"}, "they begin alike"
    assert len({r.affinity for r in requests}) == 4, "and each goes on by itself"


def test_one_is_as_ever() -> None:
    outcome, requests, _ = several(lambda _: '{"x": 7}', schema=SCHEMA)
    assert outcome.value == {"value": {"x": 7}}
    assert (requests[0].seed, requests[0].temperature) == (0, 0.0)
    assert several(lambda _: "words", n=2)[0].value == {"texts": ["words", "words"]}


def test_answers_that_fail_are_left_out_and_all_is_an_error() -> None:
    def some(request):
        return json.dumps({"x": request.seed}) if request.seed % 2 else "no JSON"

    assert several(some, n=4, schema=SCHEMA)[0].value == {"value": [{"x": 1}, {"x": 3}]}
    assert several(lambda _: "no JSON", n=3, schema=SCHEMA)[0].error.code == "EPROTO"
    assert several(lambda _: Unreachable("gone"), n=3)[0].error.code == "ECONN"


@pytest.mark.parametrize("n", [0, 17, -1])
def test_too_many(n) -> None:
    outcome, requests, _ = several(lambda _: "x", n=n)
    assert outcome.error.code == "EINVAL"
    assert requests == []


def common(texts: list[str]) -> int:
    """Characters that all begin with."""
    return next(
        (i for i, cs in enumerate(zip(*texts, strict=False)) if len(set(cs)) > 1),
        min(map(len, texts)),
    )


def said(request, info) -> str:
    """All that is sent of a request, in the order in which a model reads it: tools, messages."""
    body = Chat(quirks_of("", "http://127.0.0.1/v1"), "m").body(request, "m", info)
    return json.dumps([body["tools"], body["messages"]])


def test_children_of_a_spawn_share_program_and_tools_verbatim() -> None:
    def script(users, results):
        return Answer(f"did {users[0]}")

    async def story(kernel, setup):
        pids = [await start(kernel, f"{n} of the parts") for n in range(8)]
        for pid in pids:
            await ended(kernel, pid)
        return [said(r, setup.model.info) for r in setup.model.requests]

    texts = play(story, script, slots=8)
    assert len(texts) == 8
    shared = common(texts)
    goal = min(t.index("of the parts") for t in texts)
    assert shared >= goal - 2, "up to the first word that differs"


def test_a_tree_names_itself_and_each_process_is_one_of_it() -> None:
    def script(users, results):
        if users == ["lead"] and not results:
            return call("spawn", goal="part")
        return Answer("done")

    async def story(kernel, setup):
        first, other = await start(kernel, "lead"), await start(kernel, "alone")
        await ended(kernel, first)
        child = next(r.pid for r in (*kernel.m.done.values(), *kernel.m.table) if r.ppid == first)
        await ended(kernel, child)
        await ended(kernel, other)
        who = {r.affinity for r in setup.model.requests}
        assert who == {f"{first}/{first}", f"{first}/{child}", f"{other}/{other}"}

    play(story, script, slots=2)


def test_eight_copies_share_the_whole_conversation_verbatim() -> None:
    """What a fork's copies send is equal up to their own goals, to the byte."""

    def script(users, results):
        return Answer("read") if len(users) == 1 else Answer(users[-1])

    async def story(kernel, setup):
        parent = await start(kernel, LONG)
        await ended(kernel, parent)
        first = setup.model.requests[0]
        for n in range(8):
            copied = {"pid": parent, "at": kernel.m.find(parent).seq - 2, "goal": f"{n}: your part"}
            pid = (await kernel.request("fork", copied)).value["pids"][0]
            await ended(kernel, pid)
        return said(first, setup.model.info), [
            said(r, setup.model.info) for r in setup.model.requests[1:]
        ]

    before, texts = play(story, script, slots=8)
    assert len(texts) == 8
    assert common([before, *texts]) >= len(before) - 2, "all that the parent had read"
    assert min(t.index(": your part") for t in texts) - common(texts) <= 2
