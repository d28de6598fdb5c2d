"""What a user's words ask for: classes of act with counts, values they name, sources to follow.

A trigger is a phrase such as `send|write|reply mail|message`: words in this order within one
sentence, few others between them, `*` for more, `a|b` for either; words are compared by their stem.
So a plan needs no model, and no text but the user's can change it.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from oros.abi.grants import Grant
from oros.monitor import values
from oros.monitor.grants import Authority, Said

GAP, WIDE = 6, 14
"""Words that may stand between two of a trigger; with `*` between them."""

MOST_TEXT = 20_000
"""Characters of a user's words that are looked at: what follows is a document, not a wish."""

MOST_NAME = 8
"""Words of a name at most."""

MANY = 16
"""How many calls a plural asks for at most."""

_PLURAL = """each every all both everyone everybody them these those many several
respective corresponding people participants members users"""
PLURAL = frozenset(_PLURAL.split())
NOT = frozenset({"not", "never", "don't", "dont", "without", "no"})
FOLLOW = (
    "do|follow|perform|complete|execute|finish|carry|process|handle|implement|solve|work|act "
    "action|instruction|task|step|todo|todos|to-do|to-dos|item|request|order|demand",
    "do|follow what|whatever|everything says|asks|tells|requests|wants|describes|specifies|lists",
    "as instructed|described|requested|told|asked|specified|listed",
)
_SOURCES = """email emails mail mails e-mail message messages file files document documents page
pages website webpage site url link note notes channel inbox letter ticket issue comment post list
calendar event invitation chat thread attachment pdf readme"""
SOURCES = frozenset(_SOURCES.split())
_SMALL = """
a an and are as at be but by can could do does did for from get give had has have he her his
how i if in into is it its just like make me my no not of on or our out please she so some that the
their them then there they this to up us was we were what when where which who will with would
you your"""
SMALL = frozenset(_SMALL.split())

Classes = tuple[tuple[str, tuple[str, ...]], ...]
"""Classes of act, each with its triggers."""

Trigger = tuple[tuple[frozenset[str], int], ...]
"""What is looked for: sets of stems, each with the gap that may stand before it."""

ENDS = re.compile(r"(?<=[.?!:;])\s+|\n+")
_WORD = r"[A-Z][\w'’&-]*"  # noqa: RUF001 - an apostrophe as people type it
RUN = re.compile(rf"{_WORD}(?:\s+(?:(?:of|the|and|de|la|le|du|&)\s+)?{_WORD}|\s+\d+(?!\S*[:/-]))*")
"""Words that begin with a capital, and the small ones and numbers among them."""


@lru_cache(8192)
def stem(word: str) -> str:
    """A word without its ending, as far as English goes."""
    for end in ("ing", "ed", "es", "s", "e"):
        if word.endswith(end) and len(word) - len(end) >= 3:
            return word[: -len(end)]
    return word


def sentences(text: str) -> list[str]:
    """The sentences of a text, and its lines."""
    return [s for s in ENDS.split(text) if s.strip()]


@lru_cache(1024)
def compiled(trigger: str) -> Trigger:
    """A trigger as sets of stems, each with the gap that may stand before it."""
    found: list[tuple[frozenset[str], int]] = []
    gap = 0
    for part in trigger.lower().split():
        if part == "*":
            gap = WIDE
            continue
        found.append((frozenset(stem(w) for w in part.split("|")), gap or GAP))
        gap = 0
    return tuple(found)


class Sentence(NamedTuple):
    """A sentence with its words and their stems."""

    text: str
    words: tuple[str, ...]
    stems: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> "Sentence":
        """Take a sentence apart."""
        words = tuple(values.words_of(text))
        return cls(text, words, tuple(map(stem, words)))


@lru_cache(64)
def index(known: Classes) -> dict[str, list[tuple[str, Trigger]]]:
    """Triggers by the stems that they begin with, each with its class; "" are those of FOLLOW."""
    found: dict[str, list[tuple[str, Trigger]]] = {}
    for name, triggers in (*known, ("", FOLLOW)):
        for trigger in filter(None, map(compiled, triggers)):
            for word in trigger[0][0]:
                found.setdefault(word, []).append((name, trigger))
    return found


def asked(
    sentence: Sentence, first: Mapping[str, list[tuple[str, Trigger]]]
) -> dict[str, set[int]]:
    """The classes that a sentence asks for, and where; not where the user says not to."""
    words, stems = sentence.words, sentence.stems
    found: dict[str, set[int]] = {}
    for start, word in enumerate(stems):
        for name, trigger in first.get(word, ()):
            if not (start and words[start - 1] in NOT) and reaches(trigger, stems, start):
                found.setdefault(name, set()).add(start)
    return found


def reaches(trigger: Trigger, stems: Sequence[str], start: int) -> bool:
    """Whether all of a trigger is found from its first word on."""
    ends = {start}
    for wanted, gap in trigger[1:]:
        ends = {
            i
            for end in ends
            for i in range(end + 1, min(len(stems), end + gap + 2))
            if stems[i] in wanted
        }
        if not ends:
            return False
    return True


def wishes(sentences: Iterable[Sentence], known: Classes) -> list[Grant]:
    """The classes of act that a user's words ask for, each with a count, and what they follow.

    They follow a source where they hand the decision to what it says.
    """
    counts: dict[str, int] = {}
    said: dict[str, str] = {}
    sources = []
    for sentence in sentences:
        for name, starts in asked(sentence, index(known)).items():
            text = sentence.text.strip()
            if name:
                counts[name] = counts.get(name, 0) + uses(sentence, starts)
                said.setdefault(name, text)
            elif sourced(sentence):
                sources.append(Grant("follow", text, said=text))
    acts = (Grant("act", n, uses=min(c, MANY), said=said[n]) for n, c in counts.items())
    return [*acts, *sources]


def uses(sentence: Sentence, starts: Iterable[int]) -> int:
    """How many calls a sentence asks for: once a verb, or once an object it names."""
    if not PLURAL.isdisjoint(sentence.words):
        return MANY
    text = sentence.text
    objects = {values.canon(m[0]) for m in values.EMAIL.finditer(text)}
    objects |= {values.canon(m[0]) for m in values.ACCOUNT.finditer(text)}
    objects |= {values.canon(m[1]) for m in values.QUOTED.finditer(text)}
    objects |= {n for run in names(text) for n in run[:1]}
    joined = 1 + sentence.words.count("and") + text.count(",")
    return max(len(set(starts)), min(len(objects), joined), 1)


def sourced(sentence: Sentence) -> bool:
    """Whether a sentence names something to read."""
    if not SOURCES.isdisjoint(sentence.words) or values.links(sentence.text):
        return True
    return values.DOTTED.search(sentence.text) is not None


def names(text: str) -> list[list[str]]:
    """Runs of words that begin with a capital: each run, whole first, then its parts.

    One word at the start of a sentence may be any word: it is no name.
    """
    found = []
    for match in RUN.finditer(text):
        words = match[0].split()[:MOST_NAME]
        before = text[: match.start()].rstrip()
        if len(words) == 1 and (not before or before[-1] in ".?!:"):
            continue
        spans = [" ".join(words[i:]) for i in range(len(words))]
        spans += [w for w in words if w[:1].isupper() and w not in spans]
        found.append(spans)
    return found


DIGITS = frozenset("0123456789")
_UNITS = re.compile("[$€£¥.%]|usd|eur|gbp|dollar|pound")
_SUMS = re.compile("amount|rent|price|cost|fee|sum|total|salary|budget|payment|bill")
_IDS = re.compile(r"id|number|no\.|nr|#|process")
FORMS = (
    ("quoted", values.QUOTED, "'\"‘“"),  # noqa: RUF001 - quotes as people type them
    ("email", values.EMAIL, "@"),
    ("path", values.PATH, "/"),
    ("dotted", values.DOTTED, "."),
)
"""Forms of values, how each is found, and the characters of which it has one at least."""


def numbered(text: str, words: Sequence[str]) -> list[tuple[str, re.Pattern[str]]]:
    """The forms with digits that a text may hold: looking for what can't be there costs most."""
    odd, low = [w for w in words if not w.isalpha()], text.casefold()
    long = any(len(w) >= 5 for w in odd) or (odd and "-" in text)  # a word ends before its dashes
    found = [("account", values.ACCOUNT)] if len(odd) > 1 or (odd and len(odd[0]) >= 9) else []
    if _UNITS.search(low):
        found.append(("amount", values.AMOUNT))
    if _SUMS.search(low):
        found.append(("amount", values.MONEY))
    if _IDS.search(low):
        found.append(("id", values.ID))
    return [*found, ("number", values.NUMBER), ("token", values.TOKEN)] if long else found


def mint(text: str, words: Sequence[str] | None = None) -> list[Said]:
    """The values that a user's words name, each in its form; `phrase` is any run of their words.

    Without the words alone, which are `bare`. `words`: those of the text, where they are known.
    """
    words = values.words_of(text) if words is None else words
    signs = set(text)
    forms = [(form, p) for form, p, needs in FORMS if not signs.isdisjoint(needs)]
    if not signs.isdisjoint(DIGITS):
        forms += numbered(text, words)
    spans = [(form, m[m.lastindex or 0]) for form, p in forms for m in p.finditer(text)]
    if "//" in text or "www." in text.lower():
        spans += [("url", u) for u in values.urls(text)]
    spans += [("template", q) for f, q in spans if f == "quoted" and values.GAP.search(q)]
    spans += [("name", n) for run in names(text) for n in run if values.canon(n) not in SMALL]
    found: dict[tuple[str, str], Said] = {}
    for form, span in spans:
        plain = span if form in ("quoted", "template") else span.rstrip(".,;:!?)")
        if form == "account" and values.looks_like_a_date(plain):
            continue
        what = values.number(plain) if form == "amount" else values.canon(plain)
        if what:
            found.setdefault((form, what), Said(form, what, span))
    phrase = [Said("phrase", " ".join(words), text)] if len(words) > 1 else []
    return [*found.values(), *phrase]


def bare(words: Iterable[str]) -> list[str]:
    """The words that alone may be names, without the signs before them."""
    return [w for w in (word.lstrip("@#") for word in words) if names_something(w)]


def names_something(word: str) -> bool:
    """Whether a word alone may be a name: no number, not one of the small ones."""
    number = word[:1].isdigit() and values.is_number(word)
    return len(word) >= 2 and word not in SMALL and not number


def arranged(
    texts: tuple[str, ...],
    known: Classes,
    more: tuple[Grant, ...] = (),
    denied: Iterable[str] = (),
) -> Authority:
    """The grants of a user's words and those that came besides, arranged."""
    all_said = [said(text, known) for text in texts]
    grants = (*(g for acts_of, _, _ in all_said for g in acts_of), *more)
    values_of = (v for _, found, _ in all_said for v in found)
    return Authority.of(grants, denied, values_of, (w for _, _, words in all_said for w in words))


@lru_cache(256)
def said(text: str, known: Classes) -> tuple[tuple[Grant, ...], tuple[Said, ...], tuple[str, ...]]:
    """What a user's words grant: acts and sources, values, and words alone. `known`: classes."""
    text = text[:MOST_TEXT]
    parts = [Sentence.of(part) for part in sentences(text)]
    words = [word for part in parts for word in part.words]
    return tuple(wishes(parts, known)), tuple(mint(text, words)), tuple(bare(words))
