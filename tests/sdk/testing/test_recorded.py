"""A model is recorded once and says the same again, without what it was recorded from."""

import asyncio

import pytest

from oros.abi.errors import BadReply, Busy, Invalid
from oros.abi.message import Ask, say
from oros.abi.ports import ModelRequest
from oros.sdk.testing.recorded import RecordedModel, Recorder
from oros.sdk.testing.scripted import Answer, ScriptedModel


def asked(text: str, seed: int = 0) -> ModelRequest:
    return ModelRequest((say("user", text),), (), 50, seed=seed)


async def drain(model, request) -> list:
    return [d async for batch in model.generate(request) for d in batch]


def test_it_says_the_same_again(tmp_path) -> None:
    path = tmp_path / "talk.jsonl"

    async def main():
        real = ScriptedModel([Answer("hello you", (Ask("a", "list", {"path": "/"}),)), "again"])
        recorder = Recorder(real, path)
        live = [await drain(recorder, asked("one")), await drain(recorder, asked("two"))]
        told = RecordedModel(path)
        assert told.info == real.info
        again = [await drain(told, asked("one", seed=9)), await drain(told, asked("two"))]
        return live, again

    live, again = asyncio.run(main())
    assert live == again


def test_what_failed_is_not_kept(tmp_path) -> None:
    path = tmp_path / "talk.jsonl"

    async def main() -> None:
        recorder = Recorder(ScriptedModel([Busy("not now"), "yes"]), path)
        with pytest.raises(Busy):
            await drain(recorder, asked("one"))
        await drain(recorder, asked("one"))

    asyncio.run(main())
    assert len(path.read_text().splitlines()) == 2


def test_what_was_not_asked_is_an_error_that_names_it(tmp_path) -> None:
    path = tmp_path / "talk.jsonl"
    Recorder(ScriptedModel([]), path)
    with pytest.raises(BadReply, match="'something else'"):
        asyncio.run(drain(RecordedModel(path), asked("something else")))


def test_a_file_that_is_no_recording(tmp_path) -> None:
    (tmp_path / "x").write_text("no")
    with pytest.raises(Invalid, match="is no recording"):
        RecordedModel(tmp_path / "x")
