"""What a table holds, in few words: each column's kind, range or values, and what is missing.

A small model that is told "3 values: Adelie, Gentoo, Chinstrap" and "2 missing as 'NA'" writes the
right program at the first try more often than one that sees the first lines. Pure.
"""

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

COLUMNS = 30
VALUES = 8
CHARS = 40
MISSING = frozenset({"", "NA", "N/A", "null", "None", "NaN", "nan", "-"})


def table_of(name: str, text: str) -> str:
    """A CSV, TSV or JSON table in words; "" if it is none."""
    lower = name.lower()
    try:
        if lower.endswith((".csv", ".tsv")):
            return of_rows(text, "\t" if lower.endswith(".tsv") else ",")
        if lower.endswith((".json", ".jsonl", ".ndjson")):
            lines = text.splitlines() if not lower.endswith(".json") else ()
            return of_json([json.loads(x) for x in lines if x.strip()] or json.loads(text))
    except (ValueError, csv.Error, RecursionError, IndexError):
        pass
    return ""


def of_rows(text: str, delimiter: str) -> str:
    """A table of text: its header is the first row."""
    rows = list(csv.reader(io.StringIO(text), delimiter=delimiter))
    head, body = rows[0], [r for r in rows[1:] if r]
    if len(head) < 2 and not body:
        return ""
    columns = [
        f"  {name}: {column([r[i] for r in body if len(r) > i])}"
        for i, name in enumerate(head[:COLUMNS])
    ]
    first = short(delimiter.join(body[0]), 160) if body else ""
    kind = "CSV" if delimiter == "," else "TSV"
    return "\n".join([f"{kind}, {len(body)} rows, columns:", *columns, f"  first row: {first}"])


def column(values: Sequence[str]) -> str:
    """A column of text: numbers by range, few values by name, else an example."""
    present = [v for v in values if v.strip() not in MISSING]
    if not present:
        return "empty"
    marks = sorted(set(values) - set(present))
    gone = len(values) - len(present)
    note = f"; {gone} missing, as {', '.join(map(repr, marks))}" if gone else ""
    try:
        low, high = min(present, key=float), max(present, key=float)
    except ValueError:
        return kinds_of(present) + note
    return f"number, {low} to {high}{note}"


def kinds_of(values: Sequence[str]) -> str:
    """Text values: all of them if they are few."""
    kinds = list(dict.fromkeys(values))
    if len(kinds) <= VALUES and sum(map(len, kinds)) < 120:
        return f"{len(kinds)} values: {', '.join(kinds)}"
    return f"text, such as {short(kinds[0])!r}"


def of_json(value: Any) -> str:
    """A list of objects as a table; "" for anything else."""
    if not isinstance(value, list) or not value or not all(isinstance(x, dict) for x in value):
        return ""
    names = list(dict.fromkeys(k for x in value for k in x))[:COLUMNS]
    keys = [f"  {n}: {member([x.get(n) for x in value])}" for n in names]
    first = short(json.dumps(value[0], ensure_ascii=False), 200)
    return "\n".join([f"JSON list of {len(value)} objects, keys:", *keys, f"  first: {first}"])


def member(values: Sequence[Any]) -> str:
    """A key of the objects."""
    present = [v for v in values if v is not None]
    gone = len(values) - len(present)
    note = f"; {gone} are null" if gone else ""
    if present and all(type(v) in (int, float) for v in present):
        return f"number, {min(present)} to {max(present)}{note}"
    if present and all(isinstance(v, str) for v in present):
        return kinds_of(present) + note
    return f"{type(present[0]).__name__}{note}" if present else "null"


def short(text: str, most: int = CHARS) -> str:
    """A text, cut."""
    return text if len(text) <= most else text[: most - 3] + "..."
