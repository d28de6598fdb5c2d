"""Finds pages that left the window: by words, and by what a message of the user is about. Pure."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from oros.abi.labels import join
from oros.abi.message import Message, say
from oros.paging.context import Page, listed, size

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
END = re.compile(r"(?<=[.!?;])\s+|\n+")
LOOKED = re.compile(r"/proc\b")


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
    """The pages that hold words of the query, best first, each by its best passage.

    What stands in one sentence counts more than what stands somewhere in a page. A page that only
    looks something up in pages is none: it holds the words that were looked for.
    """
    wanted = list(dict.fromkeys(terms(query)))
    there = [p for p in pages if not looks(p.message)]
    found = [sentences(listed(p.message)) for p in there]
    bags = [[terms(s) for s in page] for page in found]
    weight = weights(wanted, [set().union(*b) for b in bags])
    whole = sum(weight.values())
    if not whole:
        return []
    known = weight.keys()
    average = sum(len(s) for b in bags for s in b) / max(1, sum(map(len, bags)))
    hits = []
    for page, lines, bag in zip(there, found, bags, strict=True):
        scores = [score(s, weight, average) if known & set(s) else 0.0 for s in bag]
        best = max(range(len(scores)), key=scores.__getitem__, default=0)
        if not any(scores):
            continue
        near = known & set().union(*bag[max(0, best - 1) : best + 2])
        spread = sum(weight[w] for w in known & set().union(*bag)) / whole
        cover = sum(weight[w] for w in near) / whole
        hits.append(Hit(page, around(lines, best), scores[best] + spread, cover))
    hits.sort(key=lambda h: (-h.score, -h.page.id))
    return hits[:limit]


def weights(wanted: Sequence[str], sets: Sequence[set[str]]) -> dict[str, float]:
    """What each word tells: much if few pages hold it. Words that none holds count, too."""
    held = {w: sum(w in s for s in sets) for w in wanted}
    if not any(held.values()):
        return {}
    return {w: math.log(1 + (len(sets) - n + 0.5) / (n + 0.5)) for w, n in held.items()}


def score(words: Sequence[str], weight: Mapping[str, float], average: float) -> float:
    """BM25 of one sentence."""
    length = 1 - LENGTH + LENGTH * len(words) / (average or 1.0)
    counts = Counter(words)
    return sum(
        w * counts[t] * (SATURATION + 1) / (counts[t] + SATURATION * length)
        for t, w in weight.items()
        if t in counts
    )


def sentences(text: str) -> list[str]:
    """A text in pieces: its lines and sentences, the long ones cut."""
    found = [" ".join(s.split()) for s in END.split(text)]
    return [s[i : i + PASSAGE] for s in found if s for i in range(0, len(s), PASSAGE)]


def around(lines: Sequence[str], best: int) -> str:
    """A sentence with what stands before and after it, as far as there is room."""
    first = last = best
    size = len(lines[best])
    while True:
        after = last + 1 < len(lines) and size + len(lines[last + 1]) < PASSAGE
        if after:
            last += 1
            size += len(lines[last]) + 1
        before = first > 0 and size + len(lines[first - 1]) < PASSAGE
        if before:
            first -= 1
            size += len(lines[first]) + 1
        if not (before or after):
            break
    return (
        ("... " if first else "")
        + " ".join(lines[first : last + 1])
        + (" ..." if last + 1 < len(lines) else "")
    )


def looks(message: Message) -> bool:
    """Whether a message is nothing but calls that look at processes."""
    paths = (a.args.get("path") if isinstance(a.args, Mapping) else None for a in message.asks)
    return bool(message.asks) and not message.text and all(map(LOOKED.match, map(str, paths)))


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
