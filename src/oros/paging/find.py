"""Finds pages that left the window: by words, and by what a message of the user is about. Pure."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from oros.abi.labels import join
from oros.abi.message import Message, say
from oros.paging.context import Page, size, written

WORD = re.compile(r"\w+")
_COMMON = """a about all also am an and any are as at be been but by can could did do does for from
had has have he her here him his how i if in into is it its just know let like may me more my no not
now of on or our out please say she should so some tell than that the their them then there these
they this to up us was we were what when where which who why will with would you your"""
COMMON = frozenset(_COMMON.split())
"""Words that tell nothing of what a question is about."""

PASSAGE = 320
"""Characters of a passage."""
MOST = 4
"""Passages for one message."""
ENOUGH = 0.45
"""The part of a question's weight that a page must hold to be shown without being asked for."""
SATURATION, LENGTH = 1.2, 0.6
"""k1 and b of BM25 (Robertson and Zaragoza, 2009)."""
FOUND = "From earlier pages of this conversation:"


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage of a page: `score` for the order, `cover` the part of the words' weight in it."""

    page: Page
    text: str
    score: float
    cover: float


def terms(text: str) -> list[str]:
    """Words as they are compared: any case, plurals as singulars, none of the common ones."""
    found = (w.casefold() for w in WORD.findall(text))
    return [stem(w) for w in found if w not in COMMON]


def stem(word: str) -> str:
    """A word without the ending that most often differs between question and text."""
    for end in ("ies", "es", "s"):
        if word.endswith(end) and len(word) - len(end) > 2 and not word.endswith("ss"):
            return word.removesuffix(end) + ("y" if end == "ies" else "")
    return word


def search(pages: Sequence[Page], query: str, limit: int) -> list[Hit]:
    """The pages that hold words of the query, best first, each by its best passage."""
    wanted = list(dict.fromkeys(terms(query)))
    bags = [terms(written(p.message)) for p in pages]
    if not wanted or not bags:
        return []
    sets = [set(b) for b in bags]
    held = {w: sum(w in s for s in sets) for w in wanted}
    weight = {w: math.log(1 + (len(bags) - n + 0.5) / (n + 0.5)) for w, n in held.items()}
    whole = sum(weight.values())
    average = sum(map(len, bags)) / len(bags) or 1.0
    hits = []
    for page, bag, known in zip(pages, bags, sets, strict=True):
        there = [w for w in wanted if w in known]
        if not there:
            continue
        length = 1 - LENGTH + LENGTH * len(bag) / average
        score = 0.0
        for word in there:
            count = bag.count(word)
            score += weight[word] * count * (SATURATION + 1) / (count + SATURATION * length)
        cover = sum(weight[w] for w in there) / whole if whole else 0.0
        hits.append(Hit(page, passage(page.message.text, there), score, cover))
    hits.sort(key=lambda h: (-h.score, -h.page.id))
    return hits[:limit]


def passage(text: str, words: Iterable[str], length: int = PASSAGE) -> str:
    """The piece of a text that holds most of the words, in one line."""
    flat = " ".join(text.split())
    if len(flat) <= length:
        return flat
    wanted = set(words)
    places = [m.start() for m in WORD.finditer(flat) if stem(m[0].casefold()) in wanted]
    if not places:
        return flat[:length] + "..."
    best = max(places, key=lambda at: sum(at <= p < at + length * 2 // 3 for p in places))
    start = max(0, min(best - length // 4, len(flat) - length))
    return ("..." if start else "") + flat[start : start + length] + "..."


def recalled(pages: Sequence[Page], about: str, tokens: int) -> Message | None:
    """What pages that left say about a message, in at most `tokens` tokens; None if nothing."""
    lines, room = [FOUND], tokens - size(FOUND)
    labels = []
    for hit in search(pages, about, MOST):
        line = f"[page {hit.page.id}, {hit.page.message.role}: {hit.text}]"
        if hit.cover < ENOUGH or size(line) > room:
            continue
        room -= size(line)
        lines.append(line)
        labels.append(hit.page.message.label)
    return say("user", "\n".join(lines), join(labels)) if labels else None


def together(found: Iterable[Message | None]) -> Message | None:
    """What was found in several places as one message; None if nothing was."""
    there = [x for x in found if x is not None]
    parts = tuple(p for x in there for p in x.parts)
    return Message("user", parts, label=join(x.label for x in there)) if there else None
