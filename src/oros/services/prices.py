"""What well-known models cost at their vendors, as data with a date; any other is unknown."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Any

TABLE = "prices.toml"

SNAPSHOT = re.compile(r"-(\d{8}|\d{4}-\d\d-\d\d|latest)$")
"""What a name ends with that means one state of a model; it costs what the model does."""

MICROS = 1_000_000


def price_of(host: str, model: str, window: int, today: date) -> tuple[int, ...] | None:
    """Micro-dollars per million tokens: in, out, cached in, written; None if it is not known.

    `host` is where the model is asked: the same name costs another price elsewhere. With a window
    that takes prompts which cost more, the higher price is told: a budget is never passed unseen.
    """
    vendor = next((v for v in table() if host in v["hosts"]), None)
    if vendor is None:
        return None
    name = model.removeprefix("models/")
    for known in (name, SNAPSHOT.sub("", name)):
        if (found := listed(vendor, known, window, today)) is not None:
            return in_micros(found)
    return None


def listed(
    vendor: Mapping[str, Any], name: str, window: int, today: date
) -> Sequence[float] | None:
    """A vendor's row for a model."""
    long = vendor.get("long", {}).get(name)
    if long is not None and window > long[0]:
        return [float(x) for x in long[1:]]
    found: Sequence[float] | None = vendor["models"].get(name)
    for day, rows in sorted(vendor.get("from", {}).items()):
        if date.fromisoformat(day) <= today:
            found = rows.get(name, found)
    return found


def in_micros(dollars: Sequence[float]) -> tuple[int, ...]:
    """Dollars as whole micro-dollars; of a price without a cache, all input costs the same."""
    price = tuple(round(x * MICROS) for x in dollars)
    return price if len(price) > 2 else (*price, price[0])


@cache
def table() -> tuple[Mapping[str, Any], ...]:
    """The vendors."""
    data = tomllib.loads(files("oros.services").joinpath(TABLE).read_text("utf-8"))
    return tuple(v for v in data.values() if isinstance(v, dict))
