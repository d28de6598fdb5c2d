"""A model is tried: what it claims is asked of it, and what fails is said."""

import asyncio
import json
from dataclasses import replace

import pytest

from oros.abi.errors import Unreachable, Unsupported
from oros.abi.message import Ask
from oros.abi.ports import ModelInfo
from oros.drivers.models.constrained import ConstrainedModel
from oros.sdk.testing.scripted import Answer, ScriptedModel
from oros.services.trial import red, trial

CANS = frozenset({"tools", "schema", "image"})
INFO = ModelInfo("m", 8192, 1, CANS, (1_000_000, 1_000_000, 0))


def well(request):
    if request.tools:
        return Answer("", (Ask("a", "weather", {"city": "Bonn"}),))
    if request.schema:
        return Answer('{"legs": 4}')
    if len(request.messages[0].parts) > 1:
        assert request.fetch(request.messages[0].parts[1].blob) == red()
        return Answer("It is red.")
    return Answer("ready")


def tried(script, info=INFO):
    model = ScriptedModel(script, info)
    return asyncio.run(trial(model)), model


def test_all_that_it_claims_is_tried() -> None:
    found, model = tried(well)
    assert (found["name"], found["said"], len(model.requests)) == ("m", "ready", 4)
    assert [found[a] for a in ("tools", "schema", "image")] == ["works"] * 3
    assert found["micros"] == found["tokens"] > 0


def test_what_it_does_not_claim_is_not() -> None:
    found, model = tried(well, replace(INFO, cans=frozenset({"schema"}), price=None))
    assert found.keys() == {"name", "said", "tokens", "micros", "schema"}
    assert (len(model.requests), found["micros"]) == (2, None)


def test_what_fails_is_said() -> None:
    found, _ = tried(lambda _: Answer("ready, and so on"))
    assert found["tools"] == "does not work: it said 'ready, and so on'"
    assert found["schema"].startswith("does not work")
    assert found["image"].startswith("does not work")

    def refuses(request):
        return Unsupported("there does not support tools") if request.tools else well(request)

    found, _ = tried(refuses)
    assert found["tools"] == "does not work: ENOTSUP: there does not support tools"
    assert found["schema"] == "works"


def test_one_that_does_not_answer_is_an_error() -> None:
    with pytest.raises(Unreachable):
        tried(lambda _: Unreachable("nobody answers"))


def test_tools_that_are_made_by_schema_are_tried_like_others() -> None:
    inner = ScriptedModel(
        lambda request: Answer(
            json.dumps({"call": "weather", "city": "Bonn"})
            if "weather" in request.messages[0].text
            else "ready"
        ),
        replace(INFO, cans=frozenset()),
    )
    found = asyncio.run(trial(ConstrainedModel(inner)))
    assert (found["tools"], "schema" in found) == ("works", False)


def test_the_picture_is_one() -> None:
    image = pytest.importorskip("PIL.Image")
    import io

    shown = image.open(io.BytesIO(red())).convert("RGB")
    assert (shown.size, {shown.getpixel((x, x)) for x in range(64)}) == ((64, 64), {(255, 0, 0)})
