"""What a client of the doors asks, and what it is told: values in no dialect."""

import base64
import binascii
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from oros.abi.errors import Invalid
from oros.abi.events import Finish
from oros.abi.grants import NO_USAGE, Usage
from oros.abi.ids import BlobId, Pid
from oros.abi.message import Ask, Json, Message, ReasoningPart
from oros.abi.ports import Progress, ReasoningDelta, TextDelta, ToolSpec


@dataclass(frozen=True, slots=True)
class After:
    """An earlier answer that a request goes on from: its process.

    `head`: so many messages at the head of what it was asked were for that answer alone.
    """

    pid: Pid
    head: int = 0


@dataclass(frozen=True, slots=True)
class Wanted:
    """One request. Labels of messages are not set: who asks is not known here.

    `forced`: the answer has to be a call. `max_tokens` 0: as many as are usual. `blobs`: bytes of
    the parts. `usage`: a stream says at its end what it cost. `told`: fields of the request that
    its dialect repeats in the answer. `after`: what came before these messages, behind the first
    `head` of them. `goal`: what its user asks, where a file stands beside it.
    """

    model: str
    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...] = ()
    forced: bool = False
    schema: Mapping[str, Json] | None = None
    max_tokens: int = 0
    temperature: float = 0.0
    seed: int = 0
    stop: tuple[str, ...] = ()
    stream: bool = False
    usage: bool = False
    blobs: Mapping[BlobId, bytes] = field(default_factory=dict)
    told: Mapping[str, Json] = field(default_factory=dict)
    after: After | None = None
    head: int = 0
    goal: str = ""


@dataclass(frozen=True, slots=True)
class Begun:
    """The first thing that is told: which process answers, from when (seconds since 1970)."""

    pid: Pid
    created: float


@dataclass(frozen=True, slots=True)
class Said:
    """The last thing that is told: the whole answer. `asks` are calls for the client to make."""

    text: str = ""
    thoughts: tuple[ReasoningPart, ...] = ()
    asks: tuple[Ask, ...] = ()
    finish: Finish = "stop"
    usage: Usage = NO_USAGE


Step = Begun | TextDelta | ReasoningDelta | Progress | Said
"""What a client is told, in order: `Begun`, deltas, `Said`. Calls are told with `Said` only."""

Tell = Callable[[Sequence[Step]], None]


def filled(messages: Sequence[Message]) -> tuple[Message, ...]:
    """Raises: Invalid, if there is nothing to answer; answers to calls that nobody made, too."""
    if not any(m.role in ("user", "tool") for m in messages):
        raise Invalid("messages: there is nothing to answer", "send a user's message")
    known: set[str] = set()
    for message in messages:
        known |= {a.id for a in message.asks}
        if message.role == "tool" and message.answers not in known:
            raise Invalid(f"messages: no call {message.answers!r} was made before its answer")
    return tuple(messages)


def arguments(ask: Ask) -> str:
    """The arguments of a call as the text that the client gets; a model's bad JSON as it came."""
    return ask.args if isinstance(ask.args, str) else json.dumps(ask.args, ensure_ascii=False)


def packed(by: str, opaque: str) -> str:
    """What a platform wants back of its thoughts, as one word that a client keeps for it."""
    return base64.urlsafe_b64encode(json.dumps([by, opaque]).encode()).decode()


def unpacked(word: str, thought: str) -> ReasoningPart | None:
    """A thought as a client sends it back; None if it is none of ours."""
    try:
        by, opaque = json.loads(base64.urlsafe_b64decode(word))
    except (binascii.Error, ValueError, TypeError):
        return None
    return ReasoningPart(thought, str(by), str(opaque))
