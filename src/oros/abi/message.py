"""What a model and a process say to each other: messages made of parts, and calls asked for."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from oros.abi.ids import BlobId
from oros.abi.labels import SYSTEM, Label

Json = Any
"""A value that JSON can hold: None, bool, int, float, str, list, dict with str keys."""


@dataclass(frozen=True, slots=True)
class TextPart:
    """Text."""

    text: str
    kind: Literal["text"] = "text"


# Defaults (`kind` too) are left out of the journal: the fields without one tell the parts apart.


@dataclass(frozen=True, slots=True)
class ImagePart:
    """A picture in the blob store; `alt` is what a model without sight gets."""

    blob: BlobId
    mime: str
    alt: str
    kind: Literal["image"] = "image"


@dataclass(frozen=True, slots=True)
class AudioPart:
    """A sound in the blob store; `transcript` is what a model without hearing gets."""

    blob: BlobId
    mime: str
    transcript: str
    kind: Literal["audio"] = "audio"


@dataclass(frozen=True, slots=True)
class FilePart:
    """Bytes in the blob store that are named, not shown: binaries, the rest of a long output."""

    blob: BlobId
    mime: str
    name: str
    size: int
    kind: Literal["file"] = "file"


@dataclass(frozen=True, slots=True)
class ReasoningPart:
    """What a model thought before it answered; nobody is shown it.

    `opaque` is what the platform `by` wants back as it came (a signature, an item as JSON): it goes
    to that platform only. `thought` is its text, "" where the platform keeps it.
    """

    thought: str
    by: str
    opaque: str = ""
    kind: Literal["reasoning"] = "reasoning"


Part = TextPart | ImagePart | AudioPart | FilePart | ReasoningPart


def stands(part: Part) -> str:
    """A part as text: what a model without sight, hearing or that platform's thoughts is told."""
    match part:
        case TextPart():
            return part.text
        case ImagePart():
            return f"[picture: {part.alt or 'without a description'}]"
        case AudioPart():
            return f"[sound: {part.transcript or 'without a transcript'}]"
        case FilePart():
            return f"[file {part.name}, {part.size} bytes]"
        case ReasoningPart():
            return ""


Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class Ask:
    """A call as a model asked for it: undecoded, so `args` may be anything.

    `args` is a mapping, or the raw text when it was no JSON object.
    """

    id: str
    name: str
    args: Mapping[str, Json] | str


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation.

    `asks` only from an assistant; `answers` (an `Ask.id`) only from a tool. `partial` marks an
    assistant's message that was cut by a signal or a preemption.
    """

    role: Role
    parts: tuple[Part, ...]
    asks: tuple[Ask, ...] = ()
    answers: str = ""
    partial: bool = False
    label: Label = SYSTEM

    @property
    def text(self) -> str:
        """The text parts, one after another."""
        if len(self.parts) == 1:
            return self.parts[0].text if isinstance(self.parts[0], TextPart) else ""
        return "".join(p.text for p in self.parts if isinstance(p, TextPart))


def noted(messages: tuple[Message, ...], text: str) -> tuple[Message, ...]:
    """Messages with a note in the first of them, if that is the system's, else before them."""
    if messages[0].role != "system":
        return (say("system", text), *messages)
    first = messages[0]
    parts: tuple[Part, ...] = (*first.parts, TextPart(f"\n\n{text}"))
    return (replace(first, parts=parts), *messages[1:])


def say(role: Role, text: str, label: Label = SYSTEM) -> Message:
    """Make a message of one text part."""
    return Message(role, (TextPart(text),), label=label)
