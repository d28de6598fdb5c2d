"""A client goes on from an answer that it had: what the machine wrote down of it is sent again."""

import pytest
from tests.gate.open_door import other
from tests.gate.test_door_moves import BEST, Breaks
from tests.gate.test_doors import PIXEL, TWO, WEATHER, calls_of, error_of, run, text_of

from oros.abi.errors import Unreachable
from oros.abi.labels import Integrity
from oros.abi.message import ImagePart

PATH = "/v1/responses"
TOOL = {"type": "function", "name": "weather", "description": "tells", "parameters": WEATHER}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr("oros.scheduling.moves.BACKOFF", 0.001)
    monkeypatch.setattr("oros.scheduling.pace.BACKOFF", 0.001)


def asks(text, **more) -> dict:
    """A request."""
    return {"model": "scripted", "input": text, **more}


async def said(door, body, status=200):
    """What comes back."""
    got, found, _ = await door.post(PATH, body)
    assert got == status, found
    return found


def told(door) -> list:
    """What the model was told last: (role, text)."""
    return [(m.role, m.text) for m in door.model.requests[-1].messages]


def test_it_goes_on_from_what_it_said() -> None:
    async def story(door):
        first = await said(door, asks("one"))
        assert (first["store"], first["previous_response_id"]) == (True, None)
        second = await said(door, asks("two", previous_response_id=first["id"]))
        assert second["previous_response_id"] == first["id"]
        await said(door, asks("three", previous_response_id=second["id"]))
        assert told(door) == [
            ("user", "one"), ("assistant", "A."), ("user", "two"), ("assistant", "B."),
            ("user", "three"),
        ]  # fmt: skip
        # from one answer in two ways
        await said(door, asks("other", previous_response_id=first["id"]))
        assert told(door) == [("user", "one"), ("assistant", "A."), ("user", "other")]

    run(story, ["A.", "B.", "C.", "D."])


def test_it_goes_on_at_once_over_a_slow_disk() -> None:
    """An answer is told before its end is on disk; whoever goes on from it waits for that."""

    async def story(door):
        door.kernel.m.world.store.delay = lambda: 0.2
        first = await said(door, asks("one"))
        await said(door, asks("two", previous_response_id=first["id"]))
        assert [t for _, t in told(door)] == ["one", "Hello, you there!", "two"]

    run(story)


def test_it_goes_on_in_a_stream() -> None:
    async def story(door):
        first = (await door.stream(PATH, asks("one")))[-2][1]["response"]
        body = asks("two", previous_response_id=first["id"])
        events = await door.stream(PATH, body)
        assert events[-2][1]["response"]["previous_response_id"] == first["id"]
        assert told(door)[:2] == [("user", "one"), ("assistant", "Hello, you there!")]

    run(story)


def test_instructions_are_for_one_answer() -> None:
    async def story(door):
        item = {"role": "developer", "content": "always"}
        asked = [item, {"role": "user", "content": "one"}]
        first = await said(door, asks(asked, instructions="be brief"))
        assert told(door)[:2] == [("system", "be brief"), ("system", "always")]
        second = await said(
            door, asks("two", instructions="be loud", previous_response_id=first["id"])
        )
        assert [t for r, t in told(door) if r == "system"] == ["be loud", "always"]
        await said(door, asks("three", previous_response_id=second["id"]))
        assert told(door)[0] == ("system", "always")
        assert [t for r, t in told(door) if r == "user"] == ["one", "two", "three"]

    run(story)


def test_calls_are_answered() -> None:
    async def story(door):
        first = await said(door, asks("the weather?", tools=[TOOL]))
        back = [{"type": "function_call_output", "call_id": c, "output": "sunny"} for c in "ab"]
        last = await said(door, asks(back, tools=[TOOL], previous_response_id=first["id"]))
        assert text_of(last) == "It is sunny"
        request = door.model.requests[-1]
        assert [m.role for m in request.messages] == ["user", "assistant", "tool", "tool"]
        assert [a.id for a in request.messages[1].asks] == ["a", "b"]
        assert door.rows()[-1].label.integrity == Integrity.THIRD
        # what was others' text is that for ever, whoever goes on from it
        await said(door, asks("thanks", previous_response_id=last["id"]))
        labels = [m.label.integrity for m in door.model.requests[-1].messages]
        assert labels == [3, 3, 0, 0, 0, 3]
        await said(door, asks(back[:1], previous_response_id=last["id"]))
        wrong = [{**back[0], "call_id": "z"}]
        found = await said(door, asks(wrong, previous_response_id=first["id"]), 400)
        assert "no call 'z' was made" in error_of(found)

    run(story, [TWO, "It is sunny", "Well.", "Well."])


def test_a_forced_call_is_answered() -> None:
    async def story(door):
        more = {"tools": [TOOL], "tool_choice": {"type": "function", "name": "weather"}}
        first = await said(door, asks("the weather?", **more))
        ((ident, name, args),) = calls_of(first)
        assert (name, args) == ("weather", {"city": "Bonn"})
        back = [{"type": "function_call_output", "call_id": ident, "output": "sunny"}]
        await said(door, asks(back, previous_response_id=first["id"]))
        asked = door.model.requests[-1].messages[1]
        assert (asked.text, asked.asks[0].id, asked.asks[0].args) == ("", ident, args)

    run(story, ['{"city": "Bonn"}', "It is sunny"])


def test_long_texts_and_pictures_are_sent_again() -> None:
    url, long = f"data:image/png;base64,{PIXEL}", "Ünder " * 1000

    async def story(door):
        parts = [{"type": "input_image", "image_url": url}, {"type": "input_text", "text": long}]
        first = await said(door, asks([{"role": "user", "content": parts}]))
        await said(door, asks("and?", previous_response_id=first["id"]))
        request = door.model.requests[-1]
        picture, text = request.messages[0].parts
        assert isinstance(picture, ImagePart)
        assert request.fetch(picture.blob) == b"\x89PNG pixel"
        assert text.text == long

    run(story)


def test_after_a_move_the_answer_is_what_the_client_had() -> None:
    """The first model fails amid its answer, the second goes on: both are one answer."""
    two = other("b/two", "one two three")

    async def story(door):
        first = (await door.stream(PATH, asks("one", model="best")))[-2][1]["response"]
        assert text_of(first) == "one two three"
        await said(door, asks("two", model="b/two", previous_response_id=first["id"]))
        assert [m.text for m in two.requests[-1].messages] == ["one", "one two three", "two"]

    run(story, "", kind=Breaks, others=[two], names=BEST)


@pytest.mark.parametrize("ident", ["resp_1", "resp_999999", "resp_x", "", "7", "resp_2_1_1", 7])
def test_what_is_not_there_is_told(ident) -> None:
    async def story(door):
        found = await said(door, asks("x", previous_response_id=ident), 400)
        assert any(w in error_of(found) for w in ("no answer", "no response", "a string"))
        assert door.model.calls == 0

    run(story)


def test_it_is_of_a_key_alone() -> None:
    async def story(door):
        first = await said(door, asks("a secret"))
        async with door.session(await door.key("other")) as http:
            body = asks("x", previous_response_id=first["id"])
            async with http.post(f"{door.url}{PATH}", json=body) as got:
                assert got.status == 400
                assert "the key other has no answer" in error_of(await got.json())
        assert door.model.calls == 1

    run(story)


def test_it_is_there_after_a_restart() -> None:
    async def first(door):
        return await said(door, asks("one")), door.secret, door.disk

    found, secret, disk = run(first)

    async def second(door):
        body = asks("two", previous_response_id=found["id"])
        async with door.session(secret) as http, http.post(f"{door.url}{PATH}", json=body) as got:
            assert got.status == 200
        assert told(door)[:2] == [("user", "one"), ("assistant", "Hello, you there!")]

    run(second, disk=disk)


def test_a_program_goes_on_from_none() -> None:
    async def story(door):
        first = await said(door, asks("one", model="oros/steps"))
        assert text_of(first) == "done"
        for model, why in (("scripted", "no answer"), ("oros/steps", "a program goes on from no")):
            body = asks("two", model=model, previous_response_id=first["id"])
            assert why in error_of(await said(door, body, 400))

    run(story, ["done"])


def test_a_cut_answer_is_not_gone_on_from() -> None:
    async def story(door):
        assert (await door.post(PATH, asks("one")))[0] == 502
        (row,) = door.rows()
        found = await said(door, asks("x", previous_response_id=f"resp_{row.pid}"), 400)
        assert "has no end" in error_of(found)

    run(story, Unreachable("the server went away"))
