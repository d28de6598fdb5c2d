"""A conversation as another model can take it: pictures and sounds as words where it has no sense.

Calls and results pass as they are. What a model thought is the dialect's own matter: it goes back
to the platform that it came from and is left out for any other. Pure.
"""

from collections.abc import Set as AbstractSet
from dataclasses import replace

from oros.abi.message import Message, Part, TextPart, stands

SENSES = {"image": "image", "audio": "audio"}
"""Kinds of parts, and what a model `cans` that is given their bytes."""


def told(messages: tuple[Message, ...], cans: AbstractSet[str]) -> tuple[Message, ...]:
    """The messages; those that a model takes as they are come back as the same objects."""
    lacks = {kind for kind, sense in SENSES.items() if sense not in cans}
    if not any(p.kind in lacks for m in messages for p in m.parts):
        return messages
    return tuple(plain(m, lacks) for m in messages)


def plain(message: Message, lacks: AbstractSet[str]) -> Message:
    """A message with text in the place of what is lacking."""
    if not any(p.kind in lacks for p in message.parts):
        return message
    parts: tuple[Part, ...] = tuple(
        TextPart(stands(p)) if p.kind in lacks else p for p in message.parts
    )
    return replace(message, parts=parts)
