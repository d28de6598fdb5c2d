"""Cuts a note into rows: at paragraphs, else lines, else sentences, else words. Pure."""

import re

MOST = 800
"""Characters of a row: what a model of sentences still reads whole."""
_BORDERS = (r"\n\s*\n", r"\n", r"[.!?]\s", r"\s")


def pieces(text: str, most: int = MOST) -> list[tuple[str, str]]:
    """Pieces with their places; joined, they are the text. One piece has no place."""
    found, line = [], 1
    for piece in cut(text, most):
        found.append((f"line {line}", piece))
        line += piece.count("\n")
    return found if len(found) > 1 else [("", p) for _, p in found]


def cut(text: str, most: int) -> list[str]:
    """Pieces of at most so many characters, as few as their borders allow."""
    found = []
    while len(text) > most:
        at = border(text, most)
        found.append(text[:at])
        text = text[at:]
    return [*found, text] if text else found


def border(text: str, most: int) -> int:
    """Where the first piece ends: after the last good border in its second half."""
    for pattern in _BORDERS:
        ends = [m.end() for m in re.finditer(pattern, text[:most])]
        if ends and ends[-1] > most // 2:
            return ends[-1]
    return most
