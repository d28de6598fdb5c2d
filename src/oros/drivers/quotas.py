"""What a model server says that it still takes, in the headers of its answers.

Two dialects of headers are in use: `x-ratelimit-remaining-tokens` with a time such as `6m0s` or
`1.5` (OpenAI's and most others'), and `anthropic-ratelimit-tokens-remaining` with a date (RFC 3339)
beside the server's own clock. What makes no sense is passed over.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Literal

from oros.abi.ports import Delta, Quota

KINDS: tuple[Literal["requests", "tokens"], ...] = ("requests", "tokens")
FORMS = (
    ("x-ratelimit-remaining-{}", "x-ratelimit-limit-{}", "x-ratelimit-reset-{}"),
    (
        "anthropic-ratelimit-{}-remaining",
        "anthropic-ratelimit-{}-limit",
        "anthropic-ratelimit-{}-reset",
    ),
)
HEADERS = tuple((what, [form.format(what) for form in forms]) for what in KINDS for forms in FORMS)
PIECE = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
MINUTE = 60.0
"""Seconds in which a quota comes back of which it is not said: most are by the minute."""


def quotas(headers: Mapping[str, str]) -> list[Delta]:
    """The quotas that headers tell of. `headers` takes names in any case, as HTTP's do."""
    found: dict[str, Delta] = {}
    for what, (left, most, reset) in HEADERS:
        rest = whole(headers.get(left))
        if rest is None or what in found or not (limit := whole(headers.get(most))):
            continue
        wait = seconds(headers.get(reset) or "", headers.get("Date") or "")
        found[what] = Quota(what, min(rest, limit), limit, MINUTE if wait is None else wait)
    return [*found.values()]


def whole(text: str | None) -> int | None:
    """A number that is not negative; None if it is none."""
    return int(text) if text is not None and text.isascii() and text.isdecimal() else None


def seconds(text: str, date: str) -> float | None:
    """Seconds of `6m0s` or `1.5`, or until a date beside the server's own; else None."""
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    if re.fullmatch(rf"(?:{PIECE.pattern})+", text):
        return sum(float(n) * UNITS[unit] for n, unit in PIECE.findall(text))
    try:
        until = datetime.fromisoformat(text)
        return max(0.0, (until - parsedate_to_datetime(date)).total_seconds())
    except (ValueError, TypeError):
        return None
