"""Values as people write them: their forms, how they are compared, what looks like what. Pure.

Comparing is exact, on a canonical form: letters that only look alike are different values.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator

from oros.abi.message import Json

EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+")
URL = re.compile(r"(?:https?://|www\.)[^\s<>'\"`]+", re.IGNORECASE)
DOTTED = re.compile(r"(?<![\w@./-])[\w-]+(?:\.[\w-]+)*\.[A-Za-z][A-Za-z0-9]{0,9}(?![\w@])")
PATH = re.compile(r"(?<!\w)[~.]?/[\w.@-]+(?:/[\w.@-]*)*")
ACCOUNT = re.compile(
    r"(?<!\w)[A-Z]{2}\d{2}[A-Z0-9]{8,30}(?!\w)|(?<![\w.-])\+?\d[\d -]{7,40}\d(?![\w-])"
)
AMOUNT = re.compile(
    r"[$€£¥]\s?\d[\d,]{0,20}(?:\.\d{1,9})?"
    r"|(?<![\w.,])\d[\d,]{0,20}\.\d{1,2}(?!\w|\.\d)"
    r"|(?<![\w.,])\d[\d,]{0,20}(?:\.\d{1,9})?\s?(?:%|usd|eur|gbp|dollars?|euros?|pounds?)(?!\w)",
    re.IGNORECASE,
)
ID = re.compile(
    r"(?:\b(?:ids?|number|no\.|nr\.?|pid|process)|#)\s*[:#]?\s*'?\"?(\d+)", re.IGNORECASE
)
NUMBER = re.compile(r"(?<![\w.,])\d{5,}(?![\w]|[.,]\d)")
TOKEN = re.compile(r"(?<![\w-])(?=[\w-]*\d)(?=[\w-]*[A-Za-z])[\w-]{5,}(?!\w)")
QUOTED = re.compile(r"(?<!\w)['\"‘“]([^'\"‘’“”\n]{1,120})['\"’”](?!\w)")  # noqa: RUF001 - quotes as people type them

GAP = re.compile(r"\{[^{}]*\}|<[^<>]*>|\[[^\[\]]*\]")
"""Where a user leaves a gap in words that they quote."""

MONEY = re.compile(
    r"\b(?:amount|rent|price|cost|fee|sum|total|salary|budget|payment|bill)\s+"
    r"(?:(?:is|of|to|at|was|now|:|=)\s*){0,3}(\d[\d,]{0,20}(?:\.\d{1,9})?)(?![\w]|\.\d)",
    re.IGNORECASE,
)
WORD = re.compile(r"[\w@#.+%-]*\w")
BARE = re.compile(r"[$€£¥]?\s?-?\d[\d,]*(\.\d+)?\s?%?")
UNITS = re.compile(r"[^\d.-]")
NUMERIC = re.compile(r"-?\d+(\.\d+)?")
EDGES = "'\"“”‘’ "  # noqa: RUF001 - quotes as people type them
LINKS = (EMAIL, URL, ACCOUNT, DOTTED)
"""What a text can carry that leads somewhere."""

_TOP = """
com org net io dev app ai co uk de eu us fr nl ru cn info biz xyz site online shop me tv ly
gg edu gov mil int example"""
TOP = frozenset(_TOP.split())
"""Last parts of names by which a bare dotted word is taken for a host, not for a file."""


def urls(text: str) -> list[str]:
    """The links in a text; one that a sentence runs into ends at its host: `www.a.com.They`."""
    found = []
    for match in URL.finditer(text):
        word = match[0].rstrip("/.,;:!?)")
        scheme, _, rest = word.rpartition("://")
        host, slash, _ = rest.partition("/")
        labels = host.split(".")
        ends = [n for n, part in enumerate(labels, 1) if part.lower() in TOP]
        if ends and not slash and ends[-1] < len(labels) and labels[ends[-1]][:1].isupper():
            word = (f"{scheme}://" if scheme else "") + ".".join(labels[: ends[-1]])
        found.append(word)
    return found


def canon(value: Json) -> str:
    """The form in which two values are compared: an address without its scheme, a number as such.

    Case and the space around do not matter; every code point does.
    """
    if type(value) is int:
        return str(value)
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    if isinstance(value, int | float):
        return number(str(value))
    text = str(value)
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    text = " ".join(text.split()).strip(EDGES).casefold()
    if (text[-1:].isdigit() or text[-1:] == "%") and BARE.fullmatch(text):
        return number(text)
    if text.startswith(("http://", "https://", "www.")):
        text = text.split("://", 1)[-1].removeprefix("www.").rstrip("/.,;:!?)")
    return text


def number(text: str) -> str:
    """A number without its unit, its groups and its idle zeros."""
    bare = UNITS.sub("", text)
    whole, dot, rest = bare.partition(".")
    rest = rest.rstrip("0")
    sign = "-" if whole.startswith("-") else ""
    return sign + (whole.lstrip("-").lstrip("0") or "0") + (dot + rest if rest else "")


def is_number(text: str) -> bool:
    """Whether a canonical value is a bare number."""
    return NUMERIC.fullmatch(text) is not None


def links(text: str) -> list[str]:
    """The addresses, links and account numbers in a text, as they stand, each once."""
    found: dict[str, None] = {}
    rest = text
    for form in LINKS:
        for match in form.finditer(rest):
            word = match[0].rstrip("/.,;:!?)")
            if form is DOTTED and word.rsplit(".", 1)[-1].lower() not in TOP:
                continue
            if form is ACCOUNT and looks_like_a_date(word):
                continue
            found[word] = None
        rest = form.sub(lambda m: " " * len(m[0]), rest) if form is not DOTTED else rest
    return list(found)


def looks_like_a_date(text: str) -> bool:
    """Whether digits and dashes are a date or a time: those lead nowhere."""
    return re.match(r"\d{4}-\d{2}-\d{2}|\d{2}-\d{2}-\d{4}", text) is not None


def matches(value: str, template: str) -> bool:
    """Whether a value is a template of the user's with its gaps filled: "Dinner at {place}"."""
    parts = [re.escape(p) for p in GAP.split(template)]
    return re.fullmatch(".{1,80}".join(parts), value) is not None and not links(value)


def words_of(text: str) -> list[str]:
    """The words of a text, in their canonical form; marks between them are left out."""
    plain = text if text.isascii() else unicodedata.normalize("NFC", text)
    return WORD.findall(plain.casefold())


LOOKS = str.maketrans(
    # Cyrillic and Greek letters, digits and others that are drawn like Latin ones (Unicode TR 39).
    "аеорсухіјѕԁɡһӏԛԝьαοντικρυχ01|ı",  # noqa: RUF001 - they are meant
    "aeopcyxijsdghlqwbaovtikpuxolli",
)


def skeleton(text: str) -> str:
    """What a value looks like: two values with one skeleton are hard to tell apart by eye."""
    flat = unicodedata.normalize("NFKD", text.casefold())
    flat = "".join(c for c in flat if not unicodedata.combining(c)).translate(LOOKS)
    return flat.replace("rn", "m").replace("vv", "w").replace("-", "").replace("_", "")


def alike(value: str, known: Iterable[str]) -> tuple[str, ...]:
    """Known values that are not this one and look like it, or are one letter away."""
    mine, bare = canon(value), skeleton(value)
    return tuple(k for k in dict.fromkeys(known) if canon(k) != mine and (near(skeleton(k), bare)))[
        :3
    ]


def near(a: str, b: str) -> bool:
    """Equal, or one letter added, left out, changed or swapped with the next; of long values."""
    if a == b:
        return True
    if min(len(a), len(b)) < 6 or abs(len(a) - len(b)) > 1:
        return False
    start = next(
        (i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b))
    )
    x, y = a[start:], b[start:]
    return x[1:] == y[1:] or x[1:] == y or x == y[1:] or (x[:2] == y[:2][::-1] and x[2:] == y[2:])


def shown(value: str) -> str:
    """A host's name as machines read it (punycode), if that differs from its looks; else ""."""
    if value.isascii():
        return ""
    parts = re.split(r"([@/:])", value)
    return "".join(p if p.isascii() else puny(p) for p in parts)


def puny(name: str) -> str:
    """A name with each part that is not ASCII in punycode (RFC 3492)."""
    return ".".join(
        p if p.isascii() else "xn--" + p.encode("punycode").decode() for p in name.split(".")
    )


def leaves(value: Json, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Json]]:
    """All that is not a list or an object in a value, with the names that lead to it."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, (*path, str(key)))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from leaves(inner, path)
    else:
        yield path, value
