"""A model is tried: whether it answers, and does what is said of it that it can."""

import struct
import zlib
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import replace

from oros.abi import wire
from oros.abi.errors import OrosError
from oros.abi.grants import NO_USAGE
from oros.abi.ids import BlobId
from oros.abi.message import ImagePart, Json, Message, TextPart, say
from oros.abi.ports import Model, ModelRequest, ToolSpec
from oros.paging.draft import Draft

SIDE = 64
"""Pixels of the picture's side."""

WORKS, FAILS = "works", "does not work"

READY = ModelRequest((say("user", "Say the word ready."),), max_tokens=512)
SHAPE: Mapping[str, Json] = {
    "type": "object",
    "properties": {"legs": {"type": "integer"}},
    "required": ["legs"],
    "additionalProperties": False,
}
TOOL = ToolSpec(
    "weather",
    "Tells the weather in a city.",
    {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)
RULE = say("system", "Use a tool where there is one for the question.")
TRIALS = {
    "tools": replace(
        READY, messages=(RULE, say("user", "What is the weather in Bonn?")), tools=(TOOL,)
    ),
    "schema": replace(
        READY, messages=(say("user", "How many legs has a cat? Answer as JSON."),), schema=SHAPE
    ),
    "image": replace(
        READY,
        messages=(
            Message(
                "user",
                (
                    TextPart("What colour has this picture? Say one word. "),
                    ImagePart(BlobId("trial"), "image/png", ""),
                ),
            ),
        ),
        fetch=lambda _: red(),
    ),
}
"""What is asked of a model that says it can this."""


async def trial(model: Model) -> dict[str, Json]:
    """Ask a model some small things: `{"name", "said", "tokens", "micros", "tools": "works"...}`.

    `micros` is None if its price is not known. An ability that it does not claim is not tried; one
    that fails says how. Raises: what its driver raises, if it does not answer at all.
    """
    first = await heard(model, READY)
    found: dict[str, Json] = {"name": model.info.name, "said": first.whole.strip()}
    used = [first.usage]
    for ability, request in TRIALS.items():
        if ability not in model.info.cans:
            continue
        try:
            draft = await heard(model, request)
        except OrosError as e:
            found[ability] = f"{FAILS}: {e}"
            continue
        used.append(draft.usage)
        found[ability] = WORKS if able(ability, draft) else f"{FAILS}: it said {words(draft)}"
    whole = sum((u for u in used if u is not None), NO_USAGE)
    return found | {"tokens": whole.tokens, "micros": model.info.cost(whole)}


async def heard(model: Model, request: ModelRequest) -> Draft:
    """The answer to a request."""
    draft = Draft()
    async with aclosing(model.generate(request)) as batches:  # type: ignore[type-var]  # a generator
        async for batch in batches:
            draft.take(batch)
    return draft


def able(ability: str, draft: Draft) -> bool:
    """Whether an answer shows that a model can do something."""
    match ability:
        case "tools":
            asks = draft.asked()
            return any(a.name == TOOL.name and isinstance(a.args, Mapping) for a in asks)
        case "schema":
            value = wire.arguments(draft.whole)
            return isinstance(value, dict) and isinstance(value.get("legs"), int)
        case _:
            return "red" in draft.whole.lower()


def words(draft: Draft) -> str:
    """What was said instead, in short."""
    said = draft.whole or " ".join(f"{a.name}({a.args})" for a in draft.asked())
    return repr(" ".join(said.split())[:80])


def red() -> bytes:
    """A red picture (PNG, ISO/IEC 15948)."""
    rows = (b"\x00" + b"\xff\x00\x00" * SIDE) * SIDE
    head = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    made = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + made
