"""A client's request as one for a model: what it can't take is refused, a forced call is shaped."""

import json
from collections.abc import Sequence
from dataclasses import replace

from oros.abi import hidden, wire
from oros.abi.errors import TooBig, Unsupported
from oros.abi.labels import THIRD, Integrity, Label
from oros.abi.message import Ask, Json, Message, TextPart, noted
from oros.abi.ports import ModelInfo, ModelRequest, ToolSpec
from oros.paging.context import MARGIN, estimate, size
from oros.services.doors.wanted import Wanted

USUAL = 4096
"""Tokens of an answer, where the client sets no bound."""
LEAST = 16
"""An answer of fewer tokens is not begun."""
SURE = 1.3
"""So much over the window by an estimate is over it by any count."""
SENSES = {"image": "sight", "audio": "hearing"}


def labelled(messages: Sequence[Message], label: Label) -> tuple[Message, ...]:
    """The messages under their labels: what tools said is others' text, whoever brings it."""
    low = label | THIRD
    return tuple(replace(m, label=low if m.role == "tool" else label) for m in messages)


def refuse(wanted: Wanted, info: ModelInfo) -> None:
    """Raises: Unsupported, if the model can't see, hear or go on from what it is sent."""
    for part in (p for m in wanted.messages for p in m.parts):
        sense = SENSES.get(part.kind)
        if sense and part.kind not in info.cans:
            raise Unsupported(f"the model {info.name} has no {sense}", "ask one that has")
    if wanted.messages[-1].partial and "resume" not in info.cans:
        raise Unsupported(
            f"the model {info.name} can't go on from a begun answer", "end with a user's message"
        )


def going_on(wanted: Wanted, told: str, whole: str) -> Wanted:
    """The request that another model gets when one fails amid an answer: it goes on from there.

    `told`: what this one said; `whole`: that, behind what the client had sent as begun.
    """
    last, most = wanted.messages[-1], wanted.max_tokens
    left = max(LEAST, most - int(size(told))) if most else 0
    begun = Message("assistant", (TextPart(whole),), label=last.label, partial=True)
    messages = (*(wanted.messages[:-1] if last.partial else wanted.messages), begun)
    return replace(wanted, messages=messages, max_tokens=left)


def read(wanted: Wanted) -> int:
    """Tokens that the model reads, about."""
    schemas = (f"{t.name}{t.about}{json.dumps(t.schema)}" for t in wanted.tools)
    return sum(map(estimate, wanted.messages)) + int(sum(map(size, schemas)))


def room(wanted: Wanted, info: ModelInfo, tokens: int) -> int:
    """Tokens for the answer beside so many that are read. Raises: TooBig."""
    if tokens > info.window * SURE:
        raise TooBig(
            f"about {tokens} tokens are over the window of {info.name}, {info.window}",
            "a shorter conversation, or a model with a larger window",
        )
    most = wanted.max_tokens or min(USUAL, info.window // 2)
    return min(most, max(LEAST, info.window - tokens - MARGIN))


def request(wanted: Wanted, info: ModelInfo) -> ModelRequest:
    """The request. A call that is forced is an answer under the schema of its arguments.

    Of others' text the model is shown nothing that people don't see.
    """
    mine = Integrity.USER
    seen = tuple(m if m.label.integrity is mine else hidden.shown(m) for m in wanted.messages)
    made = ModelRequest(
        seen,
        wanted.tools,
        temperature=wanted.temperature,
        seed=wanted.seed,
        stop=wanted.stop,
        schema=wanted.schema,
    )
    if not shaped(wanted, info):
        return made
    tool = wanted.tools[0]
    ask = f"Answer with the arguments of {tool.name} as one JSON object, and nothing else."
    about = f"{tool.name}: {tool.about}\n{json.dumps(tool.schema, ensure_ascii=False)}\n{ask}"
    return replace(made, messages=noted(seen, about), tools=(), schema=tool.schema)


def shaped(wanted: Wanted, info: ModelInfo) -> bool:
    """Whether a forced call is had by a schema: one tool, and a model that keeps to schemas."""
    return wanted.forced and len(wanted.tools) == 1 and "schema" in info.cans


def call_of(tool: ToolSpec, text: str, number: int) -> Ask:
    """The call that an answer under a tool's schema is."""
    found: Json = wire.arguments(text)
    return Ask(f"call_{number}", tool.name, found)
