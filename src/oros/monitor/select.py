"""Picking a record out of a list without anybody reading it: trusted code, typed fields. Pure."""

from collections.abc import Mapping
from typing import Any

from oros.abi.errors import Invalid, NotFound
from oros.abi.message import Json
from oros.abi.syscalls import Select
from oros.monitor import values
from oros.monitor.handles import HANDLE, Result, at, steps_of

MOST = 50


def select(results: Mapping[str, Result], call: Select) -> Json:
    """The place of what was picked, or of all. Raises: Invalid, NotFound."""
    match = HANDLE.fullmatch(call.of)
    result = results.get(match[1]) if match else None
    rows = at(result.value, steps_of(match[2])) if match and result is not None else None
    if not isinstance(rows, list):
        raise Invalid(f"{call.of}: there is no list", "name one by its place, such as $c12")
    left = [(n, r) for n, r in enumerate(rows) if all(fits(r, k, v) for k, v in call.where.items())]
    if not left:
        raise NotFound(f"{call.of}: none of its {len(rows)} fits", "ask for less")
    if call.pick == "all":
        return [f"{call.of}[{n}]" for n, _ in left[:MOST]]
    if call.by:
        left.sort(key=lambda pair: order(field(pair[1], call.by)))
    return f"{call.of}[{left[0 if call.pick in ('first', 'min') else -1][0]}]"


def field(row: Json, name: str) -> Json:
    """A field of a record; of a list of plain values, the value itself."""
    return row.get(name) if isinstance(row, dict) else row


def fits(row: Json, name: str, wanted: Json) -> bool:
    """Whether a field is a value, or holds its words one after another."""
    have = field(row, name)
    if values.canon(have) == values.canon(wanted):
        return True
    run = " ".join(values.words_of(str(wanted)))
    return (
        isinstance(have, str) and bool(run) and f" {run} " in f" {' '.join(values.words_of(have))} "
    )


def order(value: Json) -> tuple[int, Any]:
    """Numbers before texts, nothing first."""
    if value is None:
        return 0, 0
    if isinstance(value, int | float):
        return 1, value
    return 2, str(value)
