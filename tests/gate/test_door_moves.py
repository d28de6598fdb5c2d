"""Requests whose model fails go on with the next of their list, as far as the key names it."""

import base64
import copy

import pytest
from tests.gate.open_door import other
from tests.gate.test_doors import EACH, HELLO, PIXEL, TWO, calls_of, error_of, run, text_of
from tests.waits import until

from oros.abi.errors import BadReply, Busy, NotAuthorized, Unreachable
from oros.abi.grants import Limits
from oros.abi.message import Ask
from oros.abi.ports import ReasoningDelta, TextDelta
from oros.boot.names import Names
from oros.sdk.testing.scripted import Answer, ScriptedModel
from oros.services.replay import replay

BEST = Names("scripted", {"best": ["scripted", "b/two"]}, {"scripted": ["b/two"]})
DOWN = NotAuthorized("the platform knows no such key")
CHAT = "/v1/chat/completions"


class Breaks(ScriptedModel):
    """Thinks and says some words of its answer, then its server is gone."""

    async def generate(self, request):
        self.calls += 1
        self.requests.append(request)
        yield [ReasoningDelta(0, "first ", "a")]
        if not request.messages[-1].partial:
            yield [TextDelta("one two ")]
        raise Unreachable("the server went away")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr("oros.scheduling.moves.BACKOFF", 0.001)
    monkeypatch.setattr("oros.scheduling.pace.BACKOFF", 0.001)


def moves(door) -> list:
    """The moves of the last request's process."""
    found = [f.event for f in door.kernel.history(door.rows()[-1].pid)]
    return [(e.of, e.to) for e in found if e.kind == "moved"]


async def same(door) -> None:
    """What is in the journal is what was decided, and nothing is held any more."""
    m = door.kernel.m
    await m.journal.sync()
    assert all(replay(m.journal.rows(r.pid)).same for r in door.rows())
    assert not m.accounts.busy(door.desk.keys.of(door.secret)[1])


# ---- plain requests ----------------------------------------------------------------------------


@EACH
def test_the_next_of_the_list_answers(path, body, tool) -> None:
    two = other("b/two", TWO, price=(1_000_000, 1_000_000, 0))

    async def story(door):
        status, found, _ = await door.post(path, {**body, "model": "best", "tools": [tool]})
        assert (status, text_of(found), found["model"]) == (200, "Let me look. ", "best")
        assert [c[0] for c in calls_of(found)] == ["a", "b"]
        assert moves(door) == [("scripted", "b/two")]
        (row,) = door.rows()
        assert (row.status, row.model, row.usage.calls) == (0, "b/two", 2)
        await same(door)
        key = door.desk.keys.of(door.secret)[1]
        assert door.kernel.m.accounts.spent(key.pid).micros == row.usage.micros > 0

    run(story, DOWN, others=[two], names=BEST)


@EACH
def test_words_that_were_streamed_are_gone_on_with(path, body, tool) -> None:
    two = other("b/two", "one two three")

    async def story(door):
        events = await door.stream(path, {**body, "model": "best"})
        request = two.requests[0]
        assert (request.messages[-1].text, request.messages[-1].partial) == ("one two ", True)
        assert door.rows()[0].answer == "one two three"
        assert moves(door) == [("scripted", "b/two")]
        await same(door)
        return events

    events = run(story, "", kind=Breaks, others=[two], names=BEST)
    pieces = []
    for name, data in events:
        if name == "response.output_text.delta":
            pieces.append(data["delta"])
        elif name == "content_block_delta":
            pieces.append(data["delta"].get("text", ""))
        elif not name and data != "[DONE]":
            pieces += [c["delta"].get("content") or "" for c in data["choices"]]
    text = "".join(pieces)
    assert text == "one two three"


def test_amid_a_stream_only_one_that_goes_on_is_asked() -> None:
    deaf = other("b/two", "no", cans=frozenset({"tools"}))

    async def story(door):
        events = await door.stream(CHAT, {**HELLO, "model": "best"})
        assert "went away" in events[-1][1]["error"]["message"]
        assert deaf.calls == 0
        status, found, _ = await door.post(CHAT, {**HELLO, "model": "best"})
        assert (status, text_of(found)) == (200, "no")  # nobody had seen the words: begun anew
        await same(door)

    run(story, "", kind=Breaks, others=[deaf], names=BEST)


def test_a_forced_call_is_begun_anew() -> None:
    tool = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
    two = other("b/two", '{"city": "Bonn"}')

    async def story(door):
        body = {**HELLO, "model": "best", "tools": [tool], "tool_choice": "required"}
        events = await door.stream(CHAT, body)
        deltas = [c["delta"] for _, d in events[:-1] for c in d["choices"]]
        calls = [c["function"] for d in deltas for c in d.get("tool_calls", [])]
        assert calls == [{"name": "weather", "arguments": '{"city": "Bonn"}'}]
        assert not two.requests[0].messages[-1].partial

    run(story, "", kind=Breaks, others=[two], names=BEST)


def test_what_the_first_cannot_do_the_next_does() -> None:
    """It has no sight, a small window, or is not there."""
    url = f"data:image/png;base64,{PIXEL}"
    names = Names("scripted", {"best": ["scripted", "gone", "b/two"]})
    two = other("b/two", "a cat")

    async def story(door):
        part = {"type": "image_url", "image_url": {"url": url}}
        for content in ([part], "word " * 9000):
            messages = [{"role": "user", "content": content}]
            body = {"model": "best", "messages": messages}
            assert text_of((await door.post(CHAT, body))[1]) == "a cat"
        assert two.requests[0].fetch(two.requests[0].messages[0].parts[0].blob) == (
            base64.b64decode(PIXEL)
        )
        assert (door.model.calls, [r.model for r in door.rows()]) == (0, ["b/two"] * 2)
        assert moves(door) == []

    run(story, cans=frozenset(), window=4096, others=[two], names=names)


def test_where_all_fail_the_dialect_says_so() -> None:
    names = Names("scripted", {"best": ["scripted", "b/two"]})
    two = other("b/two", lambda _: Busy("a limit of the platform", retry_after=40.0))

    async def story(door):
        status, found, headers = await door.post(CHAT, {**HELLO, "model": "best"})
        assert (status, headers["Retry-After"]) == (429, "40")
        assert "a limit" in error_of(found)
        assert door.rows()[0].status == 130
        status, _, headers = await door.post(CHAT, {**HELLO, "model": "b/two"})
        assert (status, int(headers["Retry-After"]) > 30, two.calls) == (429, True, 1)
        status, _, headers = await door.post(CHAT, HELLO)  # the model itself has no list
        assert (status, headers.get("Retry-After")) == (502, None)
        await same(door)

    run(story, [Unreachable("nobody")] * 3 + [BadReply("<html>")] * 5, others=[two], names=names)


def test_a_limit_without_a_time_has_one() -> None:
    async def story(door):
        status, _, headers = await door.post(CHAT, HELLO)
        assert (status, int(headers["Retry-After"])) == (429, 1)

    run(story, lambda _: Busy("slow down"))


def test_a_budget_in_money_moves_to_none_without_a_price() -> None:
    two = other("b/two", "cheap", price=None)

    async def story(door):
        secret = await door.key("rich", limits=Limits(micros=10**9))
        async with (
            door.session(secret) as http,
            http.post(f"{door.url}{CHAT}", json={**HELLO, "model": "best"}) as got,
        ):
            assert got.status == 502
        assert two.calls == 0

    run(story, DOWN, others=[two], names=BEST)


def test_a_client_that_goes_away_ends_the_second_too() -> None:
    two = other("b/two", "word " * 500, tokens_a_second=100)

    async def story(door):
        body = {**HELLO, "model": "best", "stream": True}
        async with door.http.post(f"{door.url}{CHAT}", json=body) as got:
            await got.content.readany()
            got.close()
        await until(lambda: not two.active and not door.rows()[0].alive)
        assert (door.rows()[0].status, two.closed) == (130, 1)
        await same(door)

    run(story, DOWN, others=[two], names=BEST)


# ---- what a key names is all that is asked -----------------------------------------------------

KEYS = [
    (("scripted",), "scripted", 502, []),
    (("*",), "scripted", 200, ["b/two"]),
    (("scripted", "b/*"), "scripted", 200, ["b/two"]),
    (("best",), "best", 200, ["b/two"]),
    (("best",), "scripted", 404, []),
]


@pytest.mark.parametrize(("models", "asked", "code", "moved"), KEYS)
def test_a_key_bounds_what_a_request_falls_back_on(models, asked, code, moved) -> None:
    two = other("b/two", "here")

    async def story(door):
        secret = await door.key("narrow", models=models)
        async with (
            door.session(secret) as http,
            http.post(f"{door.url}{CHAT}", json={**HELLO, "model": asked}) as got,
        ):
            assert got.status == code
        assert [m.info.name for m in (two,) if m.calls] == moved

    run(story, DOWN, others=[two], names=BEST)


@pytest.mark.parametrize(
    ("models", "moved"),
    [(("scripted",), False), (("*",), True), (("best",), True), (("scripted", "b/two"), True)],
)
def test_a_key_bounds_what_its_programs_fall_back_on(models, moved) -> None:
    two = other("b/two", "here")

    async def story(door):
        secret = await door.key("narrow", models=models, apps=("*",))
        async with (
            door.session(secret) as http,
            http.post(f"{door.url}{CHAT}", json={**HELLO, "model": "oros/steps"}) as got,
        ):
            said = text_of(await got.json())
        assert (said == "here", bool(two.calls)) == (moved, moved)
        assert moved or "waits for its user" in said

    run(story, DOWN, others=[two], names=BEST)


def test_programs_of_a_key_begin_on_a_model_that_it_names() -> None:
    two = other("b/two", "by two")

    async def story(door):
        for models, code in ((("b/*",), 200), (("x/*",), 404)):
            secret = await door.key(f"narrow{code}", models=models, apps=("*",))
            async with (
                door.session(secret) as http,
                http.post(f"{door.url}{CHAT}", json={**HELLO, "model": "oros/steps"}) as got,
            ):
                assert got.status == code
                assert code != 200 or text_of(await got.json()) == "by two"
        assert door.model.calls == 0

    run(story, others=[two], names=BEST)


def test_what_a_program_of_a_key_starts_or_asks_is_bound_too() -> None:
    """By name, by a child of its own: neither reaches a model that the key does not name."""
    two, tried = other("b/two", "here"), []

    def script(request):
        results = [m.text for m in request.messages if m.role == "tool"]
        tried[:] = results
        calls = [
            Ask("a", "infer", {"prompt": "x", "model": "b/two"}),
            Ask("b", "spawn", {"goal": "x", "model": "b/two"}),
        ]
        return Answer("", (calls[len(results)],)) if len(results) < 2 else "done"

    async def story(door):
        secret = await door.key("narrow", models=("scripted",), apps=("*",))
        async with (
            door.session(secret) as http,
            http.post(f"{door.url}{CHAT}", json={**HELLO, "model": "oros/steps"}) as got,
        ):
            assert text_of(await got.json()) == "done"
        assert len(tried) == 2
        assert all("EACCES" in r and "b/two" in r for r in tried)
        assert two.calls == 0

    run(story, script, others=[two], names=BEST)


def test_what_a_crash_cuts_after_a_move_ends_at_the_next_start() -> None:
    """The move and the call on the next model are one commit: nobody goes on with it alone."""
    two = other("b/two", "word " * 500, tokens_a_second=100)

    async def first(door):
        body = {**HELLO, "model": "best", "stream": True}
        async with door.http.post(f"{door.url}{CHAT}", json=body) as got:
            await got.content.readany()
            await door.kernel.m.journal.sync()
            cut = copy.deepcopy(door.disk)
            got.close()
        return cut

    async def second(door):
        await until(lambda: door.rows() and not door.rows()[0].alive)
        (row,) = door.rows()
        assert (row.status, row.model, moves(door)) == (130, "b/two", [("scripted", "b/two")])
        await door.kernel.m.journal.sync()
        assert replay(door.kernel.m.journal.rows(row.pid)).same
        assert (door.model.calls, again.calls) == (0, 0)
        key = next(k for k in door.desk.keys.rows() if k["name"] == "test")
        assert key["spent"]["calls"] == 2

    again = other("b/two", "x")
    cut = run(first, DOWN, others=[two], names=BEST)
    run(second, others=[again], names=BEST, disk=cut)
