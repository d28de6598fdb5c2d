"""Characters that people don't see and models read: they never come into a window.

Text with tags, zero-width characters, or marks that turn its direction can tell a model something
that nobody sees who looks at the file (Boucher et al., "Bad Characters", 2021; Unicode Technical
Report 36). They are left out of what a model is shown, and counted; the journal keeps what came.
What writing needs stays: a joiner between two letters, a variant of one sign.
"""

import re
from dataclasses import replace

from oros.abi.message import Message, Part, TextPart

KINDS = {
    "tags": "\U000e0000-\U000e007f",
    "marks of direction": "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069",
    "of no width": "\u00ad\u180e\u200b\u2060-\u2065\u206a-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb",
    "joiners and variants in a row": "\u200c\u200d\ufe00-\ufe0f\U000e0100-\U000e01ef",
}
KEPT = ("\ufe0f\u200d",)
"""Of the last kind one stays where it stands alone, and these together, as in many emoji."""

_EACH = {kind: re.compile(f"[{signs}]") for kind, signs in KINDS.items()}
_RUN = re.compile(f"[{''.join(KINDS.values())}]+")
_SOFT = [*_EACH.values()][-1]


def strip(text: str) -> tuple[str, dict[str, int]]:
    """The text without hidden characters, and how many of each kind were in it."""
    counts: dict[str, int] = {}

    def left(run: re.Match[str]) -> str:
        soft = "".join(_SOFT.findall(run[0]))
        keeps = len(soft) == 1 or soft in KEPT
        for kind, sign in _EACH.items():
            gone = 0 if keeps and sign is _SOFT else len(sign.findall(run[0]))
            counts[kind] = counts.get(kind, 0) + gone
        return soft if keeps else ""

    if text.isascii():
        return text, counts
    return _RUN.sub(left, text), {kind: n for kind, n in counts.items() if n}


def shown(message: Message) -> Message:
    """A message as a model gets it; a line says what was left out. A model's own is as it was."""
    if message.role == "assistant":
        return message
    parts: list[Part] = []
    total: dict[str, int] = {}
    for part in message.parts:
        if isinstance(part, TextPart):
            text, counts = strip(part.text)
            total = {k: total.get(k, 0) + counts.get(k, 0) for k in {**total, **counts}}
            parts.append(TextPart(text) if counts else part)
        else:
            parts.append(part)
    if not total:
        return message
    kinds = ", ".join(f"{count} {kind}" for kind, count in total.items())
    line = TextPart(f"\n[hidden characters were left out here: {kinds}]")
    return replace(message, parts=(*parts, line))
