"""What a table holds, in few words: each column's kind, range or values, and what is missing.

A small model that is told "3 values: Adelie, Gentoo, Chinstrap" and "2 missing as 'NA'" writes the
right program at the first try more often than one that sees the first lines. Pure.
"""

import csv
import json
from collections.abc import Sequence
from typing import Any

from oros.services.kit import MISSING, cells, delimiter_of, is_numeric

COLUMNS = 30
VALUES = 8
CHARS = 40
KINDS = {",": "CSV", ";": "CSV with ;", "\t": "TSV"}


def table_of(name: str, text: str) -> str:
    """A CSV, TSV or JSON table in words; "" if it is none."""
    lower = name.lower()
    try:
        if lower.endswith((".csv", ".tsv", ".tab")):
            return of_rows(text, lower[-4:])
        if lower.endswith((".json", ".jsonl", ".ndjson")):
            lines = text.splitlines() if not lower.endswith(".json") else ()
            return of_json([json.loads(x) for x in lines if x.strip()] or json.loads(text))
    except (ValueError, csv.Error, RecursionError, IndexError):
        pass
    return ""


def of_rows(text: str, ending: str) -> str:
    """A table of text, with its header."""
    head, body = cells(text, ending)
    if len(head) < 2 and not body:
        return ""
    columns = [
        f"  {name}: {column([r[i] for r in body if len(r) > i])}"
        for i, name in enumerate(head[:COLUMNS])
    ]
    kind = KINDS[delimiter_of(text, ending)]
    return "\n".join([f"{kind}, {len(body)} rows, columns:", *columns])


def column(values: Sequence[str]) -> str:
    """A column of text: numbers by range, few values by name, else an example."""
    if not is_numeric(values):
        return kinds_of(values) if any(v.strip() for v in values) else "empty"
    present = [v for v in values if v.strip() not in MISSING]
    gone = len(values) - len(present)
    note = f"; {gone} missing" if gone else ""
    return f"number, {min(present, key=float)} to {max(present, key=float)}{note}"


def kinds_of(values: Sequence[str]) -> str:
    """Text values: all of them if they are few."""
    kinds = list(dict.fromkeys(values))
    if len(kinds) <= VALUES and sum(map(len, kinds)) < 120:
        return f"{len(kinds)} values: {', '.join(kinds)}"
    if all(v[:1].isdigit() for v in kinds):
        return f"text, {short(min(kinds))!r} to {short(max(kinds))!r}"
    return f"text, such as {short(kinds[0])!r}"


def of_json(value: Any) -> str:
    """A list of objects as a table; "" for anything else."""
    if not isinstance(value, list) or not value or not all(isinstance(x, dict) for x in value):
        return ""
    names = list(dict.fromkeys(k for x in value for k in x))[:COLUMNS]
    keys = [f"  {n}: {member([x.get(n) for x in value])}" for n in names]
    return "\n".join([f"JSON list of {len(value)} objects, keys:", *keys])


def member(values: Sequence[Any]) -> str:
    """A key of the objects."""
    present = [v for v in values if v is not None]
    gone = len(values) - len(present)
    note = f"; {gone} missing" if gone else ""
    if present and all(type(v) in (int, float) for v in present):
        return f"number, {min(present)} to {max(present)}{note}"
    if present and all(isinstance(v, str) for v in present):
        return kinds_of(present) + note
    return f"{type(present[0]).__name__}{note}" if present else "null"


def short(text: str, most: int = CHARS) -> str:
    """A text, cut."""
    return text if len(text) <= most else text[: most - 3] + "..."
