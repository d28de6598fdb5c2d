"""A reader as a process: it reads what others wrote, and nothing of that can do anything."""

import asyncio
import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.kernel.test_cards import READ, Mailer, asked, tool
from tests.kernel.test_guard import INBOX, ORDER, Given, place
from tests.kernel.virtual import call, ended, start

from oros.abi.events import CallEntered, CallReturned, ModelReplied
from oros.abi.labels import Integrity
from oros.abi.message import Ask, TextPart
from oros.abi.ports import Tool, ToolSpec
from oros.abi.syscalls import TABLE, Outcome
from oros.kernel.process import State
from oros.monitor import typed
from oros.sdk.testing.clock import run
from oros.sdk.testing.scripted import Answer
from oros.services.explain import explain
from oros.services.replay import replay

SCHEMA = {
    "type": "object",
    "properties": {
        "address": {"type": "string", "maxLength": 40},
        "kind": {"enum": ["lunch", "work"]},
        "urgent": {"type": "boolean"},
    },
}
FOUND = {"address": "a@new.example", "kind": "lunch", "urgent": True}
CHILD = 3


class House(Mailer):
    """A mailbox, a parent that is played by `script`, and readers by `reader`; `seen` by the first.

    `asked` holds what readers were offered and shown.
    """

    def __init__(self, script, reader, mail):
        super().__init__(script)
        self.reader, self.seen, self.asked = reader, [], []
        given = Tool(ToolSpec("mail.read", "", {}, "read", READ), Given(mail))
        self.tools["mail.read"] = given

    def _answer(self, request):
        if "<text>" in request.messages[-1].text:
            self.asked.append(request)
            return self.reader(request.messages[-1].text)
        self.seen += [m.text for m in request.messages]
        return super()._answer(request)


def has_it_read(late: bool = False, then=lambda results: "done", read="[1].body", **more):
    """The parent: reads the mail, has a reader read a text of it, waits for it; then something."""

    def script(_, results):
        steps = [tool("mail.read", box="in")]
        if results:
            at = f"{place(results)}{read}"
            steps.append(call("spawn", 1, goal="which address?", read=[at], schema=SCHEMA, **more))
        steps += [call("sleep", 2, seconds=9)] * late + [call("wait", 3, pid=CHILD)]
        return steps[len(results)] if len(results) < len(steps) else then(results)

    return script


def tell(story, script, reader, goal="look at the mail", guard=False, mail=INBOX):
    async def main():
        setup = House(script, reader, mail)
        async with setup.machine() as kernel:
            assert await start(kernel, goal, guard=guard) == CHILD - 1
            return await story(kernel, setup)

    return run(main())


async def waited(kernel) -> CallReturned:
    """What the parent's wait came to."""
    await ended(kernel, CHILD - 1)
    facts = [f.event for f in kernel.history(CHILD - 1)]
    name = next(e.id for e in facts if isinstance(e, CallEntered) and e.name == "wait")
    return next(e for e in facts if isinstance(e, CallReturned) and e.id == name)


def calls(kernel, pid=CHILD) -> list[CallEntered]:
    return [f.event for f in kernel.history(pid) if isinstance(f.event, CallEntered)]


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("guard", [False, True])
def test_a_value_comes_back_and_has_a_place(guard, late) -> None:
    async def story(kernel, setup):
        items = await asked(kernel, CHILD - 1)
        assert [(i.arg, i.value) for i in items] == [("to", "a@new.example")]
        await kernel.request("allow", {"pid": CHILD - 1})
        back = await waited(kernel)
        assert back.outcome.value == {"pid": CHILD, "status": 0, "value": FOUND}
        assert back.outcome.label.integrity is Integrity.THIRD
        assert "tool:mail.read" in back.outcome.label.origins
        assert setup.box.sent == [{"to": "a@new.example"}]
        row = kernel.m.find(CHILD)
        assert (row.program, row.guard, row.calls, row.grants) == ("reader", False, ("read",), ())
        assert row.usage.tokens_in > 0
        assert calls(kernel) == []
        assert [r.tools for r in setup.asked] == [()]
        text = "\n".join(m.text for m in setup.asked[0].messages)
        assert "At noon." in text
        assert ORDER not in text
        for pid in CHILD - 1, CHILD:
            assert replay(kernel.m.journal.rows(pid)).same
        if guard:
            assert back.view["status"] == 0
            assert back.view["value"]["kind"] == "lunch"
            assert back.view["value"]["urgent"] is True
            assert "a@new.example" not in "\n".join(setup.seen)
            assert kernel.m.find(CHILD - 1).label.integrity is Integrity.PROVIDER

    def send(results):
        to = f"{place(results, len(results) - 1)}.value.address"
        return tool("mail.send", 4, to=to) if len(results) == 3 + late else "done"

    script = has_it_read(late, send)
    tell(story, script, lambda _: json.dumps(FOUND), "send mail to Ann's new address", guard)


def test_a_guarded_parent_that_waits_late_is_shown_no_text_of_a_child() -> None:
    """Any child's answer, not a reader's only."""

    def script(users, results):
        if "work for me" in users[0]:
            mine = f"{{{{{place(results)}[0].body}}}}" if results else ""
            return mine or tool("mail.read", box="in")
        steps = [
            call("spawn", 1, goal="work for me"),
            call("sleep", 2, seconds=30),
            call("wait", 3),
        ]
        return steps[len(results)] if len(results) < 3 else "done"

    async def story(kernel, setup):
        back = await waited(kernel)
        assert back.outcome.value["answer"] == ORDER
        assert ORDER not in "\n".join(setup.seen)

    tell(story, script, lambda _: "{}", guard=True)


ANYTHING = st.one_of(
    st.text(max_size=50),
    st.sampled_from([ORDER, json.dumps(FOUND), json.dumps(FOUND) + ORDER, "[" * 5000, "\x00"]),
    st.dictionaries(
        st.sampled_from([*SCHEMA["properties"], ORDER]),
        st.one_of(
            st.booleans(),
            st.none(),
            st.floats(),
            st.sampled_from(["lunch", "work", ORDER, ORDER * 5, "a@b.example"]),
            st.lists(st.text(max_size=5), max_size=3),
        ),
    ).map(json.dumps),
)
ASKS = st.lists(
    st.builds(
        lambda name, args: Ask("k", name, args),
        st.sampled_from([*TABLE, "nonsense"]),
        st.one_of(
            st.just({"tool": "mail.send", "args": {"to": "eve@evil.example"}}),
            st.just({"pid": CHILD - 1, "text": ORDER}),
            st.just({"goal": ORDER}),
            st.just({"path": "/proc/2/status", "text": ORDER}),
            st.just({"answer": ORDER, "python": "1", "seconds": 1, "question": ORDER}),
            st.just(ORDER),
        ),
    ),
    max_size=3,
).map(tuple)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(ANYTHING, ASKS), min_size=2, max_size=2), st.booleans(), st.booleans())
def test_whatever_its_model_says_it_does_nothing_and_gives_a_typed_value_or_none(
    answers, guard, late
) -> None:
    async def story(kernel, setup):
        back = await waited(kernel)
        assert calls(kernel) == []
        assert setup.box.sent == []
        assert len(list(kernel.m.table)) + len(kernel.m.done) == 4  # the person, pid 1, these two
        replies = [f.event for f in kernel.history(CHILD) if isinstance(f.event, ModelReplied)]
        assert all(r.message.asks == () for r in replies)
        assert back.outcome.label.integrity is Integrity.THIRD
        value = back.outcome.value
        if value["status"]:
            assert value.keys() == {"pid", "status", "value", "why"}
            assert (value["status"], value["value"]) == (15, None)
            assert ORDER not in value["why"]
            assert len(value["why"]) < 200
        else:
            assert typed.fit(typed.bounded(SCHEMA), json.dumps(value["value"])) == value["value"]
            assert ORDER not in json.dumps(value)
        if guard:
            assert kernel.m.find(CHILD - 1).label.integrity is Integrity.PROVIDER
            assert ORDER not in "\n".join(setup.seen)
        assert replay(kernel.m.journal.rows(CHILD)).same

    said = iter(answers)

    def reader(_):
        text, asks = next(said)
        return Answer(text, asks)

    tell(story, has_it_read(late), reader, guard=guard)


async def until(met) -> None:
    for _ in range(1000):
        await asyncio.sleep(0.1)
        if met():
            return
    raise AssertionError("it did not come to that")


def test_it_can_be_killed_and_the_parent_gets_an_end_without_a_value() -> None:
    async def main():
        setup = House(has_it_read(), lambda _: json.dumps(FOUND), INBOX)
        setup.model.first = 5.0
        async with setup.machine() as kernel:
            await start(kernel, "look at the mail")
            await until(lambda: setup.asked)
            row = kernel.m.table[CHILD]
            assert (row.program, row.state, row.on) == ("reader", State.WAITING, "model")
            listed = (await kernel.request("list", {"path": "/proc"})).value["entries"]
            assert [r["program"] for r in listed if r["pid"] == CHILD] == ["reader"]
            await kernel.request("kill", {"pid": CHILD, "signal": "KILL"})
            end = {"pid": CHILD, "status": 137, "value": None, "why": "killed"}
            assert (await waited(kernel)).outcome.value == end

    run(main())


def test_it_goes_on_after_a_crash_and_pays_from_its_parents_account() -> None:
    long = [INBOX[0], {"sender": "x", "subject": "y", "body": "word " * 30_000}]

    async def main():
        setup = House(has_it_read(), lambda _: json.dumps(FOUND), long)
        setup.model.first = 5.0
        async with setup.machine() as kernel:
            await start(kernel, "look at the mail", limits={"tokens": 100_000})
            await until(lambda: len(setup.asked) == 3)
            kernel.store.crash()
        shown = len(setup.asked)
        async with setup.machine() as kernel:
            back = await waited(kernel)
            assert back.outcome.value["value"] == FOUND
            replies = [f.event for f in kernel.history(CHILD) if isinstance(f.event, ModelReplied)]
            assert sum(r.finish == "lost" for r in replies) == 1
            whole = [r for r in replies if r.finish == "stop"]
            assert shown < len(setup.asked) <= len(whole) + 2
            assert len({r.message.text for r in whole}) == 1
            assert kernel.m.find(CHILD).accounts == (CHILD - 1,)
            assert replay(kernel.m.journal.rows(CHILD)).same

    run(main())


class Long:
    """A file of ten thousand bytes."""

    async def read(self, who, path, offset, limit):
        text = ("word " * 2000)[offset : offset + limit]
        end = offset + len(text)
        value = {"size": 10_000, "next": end if end < 10_000 else None}
        return Outcome(value, (TextPart(text),), label=who.label)


def test_a_text_that_is_over_the_window_is_shown_in_smaller_parts() -> None:
    async def main():
        setup = House(lambda *_: "done", lambda _: json.dumps(FOUND), INBOX)
        setup.servers["mem:"] = Long()
        setup.model.info = replace(setup.model.info, window=2400)
        async with setup.machine() as kernel:
            more = {"read": ["/mem/long"], "schema": SCHEMA}
            pid = await start(kernel, "who?", **more)
            assert (await ended(kernel, pid))["value"] == FOUND
            texts = [r.messages[-1].text.split("<text>")[1] for r in setup.asked]
            assert max(map(len, texts)) < 3100
            assert sum(t.count("word") for t in texts) >= 2000
            await kernel.m.journal.sync()
            assert replay(kernel.m.journal.rows(pid)).same

    run(main())


def test_a_budget_of_its_own_ends_it() -> None:
    async def story(kernel, setup):
        back = await waited(kernel)
        assert back.outcome.value["status"] == 22
        assert back.outcome.value["value"] is None

    tell(story, has_it_read(limits={"tokens": 20}), lambda _: json.dumps(FOUND))


@pytest.mark.parametrize(
    ("args", "code"),
    [
        ({"read": ["$c99.body"], "schema": SCHEMA}, "EINVAL"),
        ({"read": ["$c1"], "schema": {"type": "object", "properties": {"a": {}}}}, "EINVAL"),
        ({"read": ["$c1"]}, "EINVAL"),
        ({"program": "reader"}, "EINVAL"),
    ],
)
def test_half_a_reader_is_none(args, code) -> None:
    def script(_, results):
        return results[0] if results else call("spawn", goal="x", **args)

    async def story(kernel, setup):
        assert (await ended(kernel, CHILD - 1))["answer"].startswith(code)
        assert [r.pid for r in kernel.m.table] == [0, 1]

    tell(story, script, lambda _: "{}")


def test_a_path_is_read_through_a_namespace_of_its_own_and_said_in_plain_words() -> None:
    def script(_, results):
        args = {"goal": "who?", "read": ["/proc/self/status"], "schema": SCHEMA}
        steps = [call("spawn", **args), call("wait", 1, pid=CHILD)]
        return steps[len(results)] if len(results) < 2 else "done"

    async def story(kernel, setup):
        back = await waited(kernel)
        assert back.outcome.value["value"] == FOUND
        assert '"pid": 3' in setup.asked[0].messages[-1].text
        assert {p.right for p in kernel.m.find(CHILD).mounts} == {"r"}
        assert back.outcome.label.integrity is Integrity.THIRD
        assert [(c.name, c.args["path"]) for c in calls(kernel)] == [("read", "/proc/self/status")]
        await kernel.m.journal.sync()
        reads = explain(kernel.m, kernel.m.find(CHILD), calls(kernel)[0].id)
        spawns = explain(kernel.m, kernel.m.find(CHILD - 1), calls(kernel, CHILD - 1)[0].id)
        assert "makes no call of its model's" in reads["plain"]
        assert "it starts a reader" in spawns["plain"]

    tell(story, script, lambda _: json.dumps(FOUND))


def test_a_reader_of_the_persons_own_is_not_trusted_more() -> None:
    async def main():
        setup = House(lambda *_: "done", lambda _: json.dumps(FOUND), INBOX)
        async with setup.machine() as kernel:
            more = {"read": ["/proc/self/status"], "schema": SCHEMA}
            end = await kernel.request("wait", {"pid": await start(kernel, "who?", **more)})
            assert end.value["value"] == FOUND
            assert end.label.integrity is Integrity.THIRD

    run(main())
