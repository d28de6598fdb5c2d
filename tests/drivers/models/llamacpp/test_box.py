"""The model in the box under the suite of its port: the real worker, on weights made by hand."""

import asyncio
import json
import signal
from contextlib import aclosing
from pathlib import Path
from typing import ClassVar

import pytest
from tests.drivers.models.conformance import Port
from tests.drivers.models.llamacpp.boxed import WINDOW, Boxed, InTheBox
from tests.drivers.models.llamacpp.script import CUES, cue
from tests.drivers.models.playing import GO, INFO, LOOK, SCHEMA, Cases, answer, asking, served
from tests.drivers.models.served import Call, Fault, Turn

from oros.abi.errors import DeviceFailed, OrosError, TimedOut, TooBig, Unsupported
from oros.abi.message import Message, TextPart, say
from oros.abi.ports import AskDelta, Finished, Progress, TextDelta
from oros.paging.draft import Draft

ONE = "an answer is words or one call: one JSON object, under a schema"
MADE = "the schema of calls has a place for nothing else"


class TestInTheBox(Port):
    """The suite."""

    dialect = InTheBox()
    stage = Boxed
    left_out: ClassVar = {
        "test_bytes_may_be_cut_anywhere": f"{ONE}; see test_characters_of_many_tokens",
        "test_a_model_that_cant_go_on_is_asked_to": "this one always can: a part is its tokens",
        "test_many_streams_at_once_are_kept_apart": "here a prompt picks what is said, not the"
        " order in which it came; see test_sixteen_answers_at_once",
        "test_parallel_calls_come_in_pieces": f"{ONE}; see test_a_call_is_handed_on_whole",
        "test_calls_with_one_id_are_two_calls": ONE,
        "test_a_tool_that_is_not_there_is_the_kernels_business": f"{MADE}; see test_a_call_that",
        "test_a_model_that_ignores_the_schema_is_heard_all_the_same": "a grammar binds it; see"
        " test_whatever_the_model_would_say",
        "test_a_schema_beside_tools_is_asked_for_too": "it is one more call; see"
        " test_an_answer_under_a_schema_beside_calls",
        "test_a_model_without_schemas_is_told_of_it": "this one always binds",
        "test_thoughts_are_no_words": "it tells no thoughts apart",
        "test_thoughts_go_back_to_who_had_them": "it tells no thoughts apart",
        "test_cached_written_and_thought_tokens_are_counted": "its counts are of what it did; see"
        " test_what_was_read_before",
        "test_a_stream_without_an_end_is_cut_off": "its limit is exact, nothing goes beyond; see"
        " test_the_limit_is_exact",
        "test_deltas_are_those_of_the_port": f"{ONE}; see test_deltas_are_words_or_a_call",
    }

    def test_what_is_left_out_is_there(self) -> None:
        assert {name for name in self.left_out if not hasattr(Port, name)} == set()


class Boxes(Cases):
    """Cases of what is in no dialect."""

    dialect = InTheBox()
    stage = Boxed


class TestWords(Boxes):
    """What is said, where it ends, and what it counts."""

    @served
    async def test_characters_of_many_tokens(self, model, server) -> None:
        server.cut = 1
        server.turn = Turn(("\u00e9\u20ac", "\U0001f600 \u0301", "\x00\t"))
        draft = await answer(model, asking())
        assert draft.whole == "\u00e9\u20ac\U0001f600 \u0301\x00\t"
        assert draft.usage.tokens_out == len(draft.whole.encode()) + 1
        assert len(draft.text) == len(draft.whole)

    @served
    async def test_half_a_character_at_the_end_is_said_as_such(self, model, server) -> None:
        server.scripts = ((b"a", b"\xe2", b"\x82"),)
        assert (await answer(model, asking())).whole == "a\ufffd"

    @served
    async def test_a_token_of_many_characters(self, model, server) -> None:
        server.turn = Turn(("=" * 300, "\u00e9" * 3000))
        assert (await answer(model, asking())).whole == "=" * 300 + "\u00e9" * 3000

    @pytest.mark.parametrize("stop", ["END", "EN", "D\u00e9", "one ", "ND\u00e9 t"])
    @served
    async def test_a_stop_string_ends_it_wherever_tokens_begin(self, model, server, stop) -> None:
        text = "one two END\u00e9 three"
        server.scripts = (("one ", "two E", "ND\u00e9 t", "hree"), [*map(byte, text.encode())])
        for words in ("hi", cue(1)):
            draft = await answer(model, asking(say("user", words), stop=(stop, "never")))
            assert draft.whole == text[: text.index(stop)]
            assert draft.finish == "stop"

    @served
    async def test_the_limit_is_exact(self, model, server) -> None:
        server.turn = Fault("flood")
        for most in (1, 50):
            draft = await answer(model, asking(max_tokens=most))
            assert (draft.finish, draft.usage.tokens_out) == ("length", most)
            assert draft.whole == "again " * most

    @served
    async def test_without_a_limit_it_ends_at_the_window(self, model, server) -> None:
        server.turn, server.window = Fault("flood"), 300
        draft = await answer(model, asking(max_tokens=1 << 30))
        assert draft.finish == "length"
        assert draft.usage.tokens == model.info.window == 300

    @served
    async def test_what_was_read_before_is_cached_and_all_is_priced(self, model, server) -> None:
        told = say("system", "be good " * 40), say("user", "hi")
        first = await answer(model, asking(*told))
        assert (first.usage.tokens_in, first.usage.tokens_out) == server.counts
        assert first.usage.cached == 0
        more = say("assistant", first.whole), say("user", "and?")
        again = await answer(model, asking(*told, *more))
        assert (again.usage.tokens_in, again.usage.tokens_out) == server.counts
        assert again.usage.tokens_in > again.usage.cached >= first.usage.tokens_in
        for used in (first.usage, again.usage):
            assert used.micros == INFO.cost(used) > 0

    @served
    async def test_what_is_over_the_window_is_no_answer(self, model, server) -> None:
        for words in ("word " * WINDOW, "x" * (10 << 20)):
            with pytest.raises(TooBig, match=f"context of {WINDOW}") as caught:
                await answer(model, asking(say("user", words)))
            assert not caught.value.retryable
        assert (await answer(model, asking())).whole == "hello there"

    @served
    async def test_a_seed_is_an_answer_and_many_are_many(self, model, server) -> None:
        server.scripts = (("I say ", [f"{n}" for n in range(8)], "!"),)

        async def say_it(seed: int, heat: float) -> str:
            return (await answer(model, asking(temperature=heat, seed=seed))).whole

        said = [await say_it(seed, 1.0) for seed in range(20)]
        assert said == [await say_it(seed, 1.0) for seed in range(20)]
        assert len(set(said)) > 4
        assert {f"I say {n}!" for n in range(8)} >= set(said)
        assert len({await say_it(seed, 0.0) for seed in range(4)}) == 1

    @served
    async def test_it_goes_on_within_what_it_said(self, model, server) -> None:
        text = "caf\u00e9 \u20ac5, and so on"
        server.scripts = ([*map(byte, text.encode())],)
        asked = say("user", "hi")
        for size in (1, 4, 6, 10):
            part = Message("assistant", (TextPart(text[:size]),), partial=True)
            await answer(model, asking(asked, max_tokens=len(text.encode())))
            rest = await answer(model, asking(asked, part))
            assert text[:size] + rest.whole == text
            assert rest.usage.tokens_in - rest.usage.cached <= 1


class TestShapes(Boxes):
    """Schemas, grammars, calls."""

    @pytest.mark.parametrize("words", ["I'd rather not.", '{"m": 1}', "[" * 50, "\t" * 9, ""])
    @served
    async def test_whatever_the_model_would_say(self, model, server, words) -> None:
        server.turn = Turn((words,) if words else ())
        draft = await answer(model, asking(schema=SCHEMA, max_tokens=100))
        assert set(json.loads(draft.whole)) == {"n"}
        assert isinstance(json.loads(draft.whole)["n"], int)
        assert draft.finish == "stop"

    @pytest.mark.parametrize("words", ['answer", "value": {"n": 7}}', "no idea", ""])
    @served
    async def test_an_answer_under_a_schema_beside_calls(self, model, server, words) -> None:
        server.scripts = ([words],) if words else ((),)
        draft = await answer(model, asking(schema=SCHEMA, tools=(LOOK,), max_tokens=100))
        if draft.asks:
            assert [a.name for a in draft.asked()] == ["look"]
        else:
            assert isinstance(json.loads(draft.whole)["n"], int)
        assert json.dumps(SCHEMA) in server.told["turns"][0][1]
        if words.startswith("answer"):
            assert draft.whole == '{"n": 7}'

    @served
    async def test_spaces_without_end_are_in_no_schema(self, model, server) -> None:
        server.scripts = ((["\n", "\t"],),)
        for seed in range(5):
            ask = asking(schema=SCHEMA, max_tokens=60, temperature=1.0, seed=seed)
            draft = await answer(model, ask)
            assert draft.finish == "stop"
            assert isinstance(json.loads(draft.whole)["n"], int)

    @served
    async def test_a_grammar_binds_it(self, model, server) -> None:
        server.turn = Turn(("no idea",))
        draft = await answer(model, asking(grammar='root ::= "yes" | "no"'))
        assert draft.whole in ("yes", "no")

    @pytest.mark.parametrize(
        "how",
        [{"grammar": "root ::= ("}, {"schema": {"type": "nonsense"}}, {"schema": {"$ref": "x:y"}}],
    )
    @served
    async def test_what_can_bind_nothing_is_said_once(self, model, server, how) -> None:
        with pytest.raises(Unsupported) as caught:
            await answer(model, asking(**how))
        assert not caught.value.retryable
        assert "\n" not in str(caught.value)
        assert (await answer(model, asking())).whole == "hello there"

    @pytest.mark.parametrize("args", ['{"x": "a long one \u00e9"}', '{"x": "\\"\\\\"}', "{}"])
    @served
    async def test_a_call_is_handed_on_whole(self, model, server, args) -> None:
        server.turn = Turn((), (Call("a", "look", args),), finish="calls")
        draft = await answer(model, asking(tools=(LOOK, GO)))
        assert [(a.name, a.args) for a in draft.asked()] == [("look", json.loads(args))]
        assert (draft.whole, draft.finish) == ("", "calls")

    @served
    async def test_words_beside_tools_come_as_they_are_said(self, model, server) -> None:
        server.turn = Turn(("hel", 'lo "you" \u00e9', "\n"))
        draft = await answer(model, asking(tools=(LOOK, GO)))
        assert draft.text == ["hel", 'lo "you" \u00e9', "\n"]
        assert (draft.asks, draft.finish) == ({}, "stop")

    @pytest.mark.parametrize("call", [Call("a", "dig", "{}"), Call("a", "look", '{"x": 1')])
    @served
    async def test_a_call_that_is_none_can_not_be_written(self, model, server, call) -> None:
        server.turn = Turn((), (call,), finish="calls")
        (ask,) = (await answer(model, asking(tools=(LOOK, GO)))).asked()
        assert ask.name in ("look", "go")
        assert isinstance(ask.args, dict)
        assert set(ask.args) <= {"x"}

    @served
    async def test_a_call_that_is_cut_is_no_words(self, model, server) -> None:
        server.turn = Turn((), (Call("a", "look", '{"x": "much"}'),), finish="length")
        whole = '{"call": "'
        draft = await answer(model, asking(tools=(LOOK, GO), max_tokens=len(whole)))
        assert (draft.whole, draft.asked(), draft.finish) == ("", (), "length")
        server.turn = Turn((), (Call("a", "look", '{"x": "much '),), finish="length")
        draft = await answer(model, asking(tools=(LOOK, GO), max_tokens=len(whole) + 3))
        (ask,) = draft.asked()
        assert (ask.name, draft.whole, draft.finish) == ("look", "", "length")
        assert isinstance(ask.args, str)

    @served
    async def test_deltas_are_words_or_a_call(self, model, server) -> None:
        kinds = set()
        for turn in (Turn(("a", "b")), Turn((), (Call("a", "go", "{}"),))):
            server.turn = turn
            async for batch in model.generate(asking(tools=(GO,))):
                kinds |= {type(d) for d in batch}
        assert kinds == {TextDelta, AskDelta, Finished, Progress}


class TestMany(Boxes):
    """Answers side by side, and those that are left."""

    @served
    async def test_sixteen_answers_at_once(self, model, server) -> None:
        server.scripts = tuple((f"{n} ", *map(byte, b"is not ten.")) for n in range(CUES))

        async def one(n: int) -> None:
            ask = asking(say("system", "count " * n), say("user", cue(n)), affinity=f"{n}")
            assert (await answer(model, ask)).whole == f"{n} is not ten."

        async with asyncio.TaskGroup() as group:
            for n in range(CUES):
                group.create_task(one(n))

    @served
    async def test_those_that_are_left_make_room_and_harm_nobody(self, model, server) -> None:
        """More than the worker has sequences for, each left at its first word."""
        server.scripts = (("again ", *map(byte, b"and again " * 9)), ("whole", " and sound"))

        async def left() -> None:
            async with aclosing(model.generate(asking())) as batches:
                async for batch in batches:
                    if any(isinstance(d, TextDelta) for d in batch):
                        return

        async def stays() -> None:
            ask = asking(say("user", cue(1)), affinity="ann")
            assert (await answer(model, ask)).whole == "whole and sound"

        async with asyncio.TaskGroup() as group:
            for _ in range(40):
                group.create_task(left())
                group.create_task(stays())
        await server.until("cancelled")

    @served
    async def test_the_worker_goes_when_the_driver_is_closed(self, model, server) -> None:
        await answer(model, asking())
        worker, folder = server.model._worker, Path(server.model._folder)
        assert list(folder.iterdir())  # noqa: ASYNC240 - of memory, and nobody waits
        await model.close()
        assert worker.returncode == -signal.SIGKILL
        assert not folder.exists()  # noqa: ASYNC240 - as above
        assert (await answer(model, asking())).whole == "hello there"


class TestTrouble(Boxes):
    """A worker that dies, stops, or is asked by nobody any more."""

    @pytest.mark.parametrize(
        ("kind", "error", "said"),
        [("drop", DeviceFailed, ""), ("hang", TimedOut, ""), ("stall", TimedOut, "again ")],
    )
    @served
    async def test_each_fault_has_its_error(self, model, server, kind, error, said) -> None:
        server.turn = Fault(kind)
        draft = Draft()

        async def heard() -> None:
            async for batch in model.generate(asking()):
                draft.take(batch)

        with pytest.raises(error) as caught:
            await heard()
        assert type(caught.value) is error
        assert caught.value.retryable
        assert "\n" not in str(caught.value)
        assert draft.whole.startswith(said)
        server.turn = Turn(("well again",))
        assert (await answer(model, asking())).whole == "well again"

    @served
    async def test_all_that_were_in_the_making_are_told_and_go_on_elsewhere(
        self, model, server
    ) -> None:
        """A worker that is killed: each of its answers fails, and goes on from its part."""
        text = "".join(chr(0x2460 + n) for n in range(40))  # each a token, whoever reads it
        server.scripts = (text,)
        failed = []

        async def one(n: int) -> None:
            ask, draft = asking(say("user", f"{n}"), affinity=f"{n}"), Draft()
            try:
                async for batch in model.generate(ask):
                    draft.take(batch)
                    if n == 0 and len(draft.whole) == 3:
                        server.model.signal(signal.SIGKILL)
            except OrosError as e:
                failed.append(e)
            rest = await answer(model, draft.resumed(ask))
            assert draft.whole + rest.whole == text

        async with asyncio.TaskGroup() as group:
            for n in range(4):
                group.create_task(one(n))
        assert len(failed) >= 1
        assert all(e.retryable for e in failed)


def byte(number: int) -> bytes:
    """A byte as a step of a script."""
    return bytes([number])
