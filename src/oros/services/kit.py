"""What every program that runs here finds ready: tables whose numbers are numbers, texts, files.

Small models read a table as text, compare "9.4" with "35.6", and stumble over "NA"; with these few
functions their programs are shorter, and the errors that are left are loud. It travels into the
sandbox as source, so it needs nothing but the standard library, and knows nothing of this package.
"""

from __future__ import annotations

import csv
import difflib
import glob
import io
import json
import os
import re
import shutil
from collections.abc import Iterable, Sequence
from typing import Any

MISSING = frozenset({"", "NA", "N/A", "n/a", "null", "None", "NaN", "nan", "-"})
"""How a column of numbers says that one is missing."""

_INTEGER = re.compile(r"[+-]?\d+")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_CODE = re.compile(r"[+-]?0\d|.{19}")
_marks: dict[str, str] = {}
"""The mark of each column that was read with missing numbers, to write it back the same."""


class Number(float):
    """A number of a table that is written with the digits it was read with."""

    written: str

    def __repr__(self) -> str:
        """As it was written."""
        return self.written

    __str__ = __repr__


class Row(dict[str, Any]):
    """A row; a column is found in any case and with or without spaces, dashes and underscores."""

    def __missing__(self, key: str) -> Any:
        """Raises: KeyError that names the columns."""
        return dict.__getitem__(self, self.column(key))

    def column(self, key: str) -> str:
        """The column that is meant. Raises: KeyError."""
        alike = [k for k in self if plain(k) == plain(key)]
        if len(alike) != 1:
            raise KeyError(f"there is no column {key!r}; columns: {', '.join(self)}")
        return alike[0]


def plain(name: str) -> str:
    """A name without what people write now so and now so."""
    return re.sub(r"[\s_-]", "", str(name)).lower()


def read_table(name: str) -> list[Row]:
    """Rows of a CSV, TSV, JSON or JSONL file as dicts. Raises: ValueError if it holds no table.

    In a column of numbers each is an int or a float, a missing one is None; other columns are text.
    """
    text = read_text(name)
    ending = os.path.splitext(name)[1].lower()
    if ending == ".json":
        found = json.loads(text)
    elif ending in (".jsonl", ".ndjson"):
        found = [json.loads(x) for x in text.splitlines() if x.strip()]
    else:
        head, rows = cells(text, ending)
        return typed(head, rows)
    if not isinstance(found, list) or not all(isinstance(x, dict) for x in found):
        raise ValueError(f"{name} is no list of objects: use read_json")
    return [Row(x) for x in found]


def cells(text: str, ending: str) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a text with one row a line. Raises: ValueError if it holds no table.

    Of lines that begin with # one is the header if it has the right number of names.
    """
    delimiter = delimiter_of(text, ending)
    remarks = [x for x in text.splitlines() if x.startswith("#")] if delimiter == "\t" else []
    if remarks:
        text = "\n".join(x for x in text.splitlines() if not x.startswith("#"))
    rows = [r for r in csv.reader(io.StringIO(text), delimiter=delimiter) if r]
    width = max((len(r) for r in rows), default=0)
    if width < 2 and ending not in (".csv", ".tsv"):
        raise ValueError("it holds no table: use read_text")
    if remarks:
        heads = [[n for n in x[1:].split("\t") if n] for x in remarks]
        numbered = [f"column{n + 1}" for n in range(width)]
        return next((h for h in heads if len(h) == width), numbered), rows
    return (rows[0], rows[1:]) if rows else ([], [])


def delimiter_of(text: str, ending: str) -> str:
    """What stands between the cells."""
    if ending in (".tsv", ".tab"):
        return "\t"
    line = text.split("\n", 1)[0]
    return max(",;\t", key=line.count) if ending == ".csv" else "\t"


def typed(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[Row]:
    """Rows as dicts, with columns of numbers as numbers."""
    found = [Row(zip(head, r, strict=False)) for r in rows]  # rows may be ragged
    for name in head:
        there = [r[name] for r in found if name in r]
        if is_numeric(there):
            for row in found:
                row[name] = number(row.get(name, ""), name)
        else:
            for row in found:
                row.setdefault(name, "")
    return found


def is_numeric(values: Iterable[str]) -> bool:
    """Whether all that is not missing is a number; codes such as 007 are none."""
    there = [v.strip() for v in values if v.strip() not in MISSING]
    return bool(there) and all(_NUMBER.fullmatch(v) and not _CODE.match(v) for v in there)


def number(text: str, column: str) -> float | int | None:
    """A cell of a column of numbers."""
    digits = text.strip()
    if digits in MISSING:
        _marks[column] = text
        return None
    if _INTEGER.fullmatch(digits):
        return int(digits)
    value = float(digits)
    if repr(value) == digits:
        return value
    exact = Number(value)
    exact.written = digits
    return exact


def write_table(name: str, rows: Iterable[Any], columns: Sequence[str] | None = None) -> None:
    """Write rows (dicts, or lists with `columns`) as CSV, TSV, JSON or Markdown, by the ending.

    Raises: ValueError for no rows, TypeError for rows that are neither dicts nor lists.
    """
    table = list(rows)
    if not table and not columns:
        raise ValueError(f"there are no rows to write to {name}")
    if not all(isinstance(r, (dict, list, tuple)) for r in table):
        raise TypeError(f"write_table: each row is a dict or a list, not {table[0]!r:.60}")
    dicts = [r if isinstance(r, dict) else dict(zip(columns or (), r, strict=False)) for r in table]
    head = list(columns or dict.fromkeys(k for r in dicts for k in r))
    if name.lower().endswith(".json"):
        write_json(name, dicts if columns else table)
        return
    out = io.StringIO()
    delimiter = "\t" if name.endswith((".tsv", ".tab")) else ","
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\n")
    if head:
        writer.writerow(head)
    for row, given in zip(dicts, table, strict=True):
        values = [row.get(k) for k in head] if head else list(given)
        writer.writerow(
            [written(v, k) for v, k in zip(values, head or [""] * len(values), strict=True)]
        )
    text = out.getvalue()
    write_text(name, markdown(text) if name.lower().endswith(".md") else text)


def markdown(text: str) -> str:
    """A table of CSV as one of Markdown."""
    rows = [[x.replace("|", "\\|") for x in r] for r in csv.reader(io.StringIO(text))]
    rows[1:1] = [["---"] * len(rows[0])]
    return "\n".join(f"| {' | '.join(r)} |" for r in rows) + "\n"


def written(value: Any, column: str) -> Any:
    """A cell as it is written: sums without the dust of binary fractions."""
    if value is None:
        return _marks.get(column, "")
    if isinstance(value, float) and not isinstance(value, Number):
        return round(value, 10)
    return value


def read_text(name: str) -> str:
    """A whole text file; bytes that are no UTF-8 are kept when it is written back."""
    with open(name, encoding="utf-8-sig", errors="surrogateescape", newline="") as f:
        return f.read()


def read_lines(name: str) -> list[str]:
    """The lines of a text file, without their ends."""
    return read_text(name).splitlines()


def write_text(name: str, text: str) -> None:
    """Write a whole text file; its folder is made."""
    os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
    with open(name, "w", encoding="utf-8", errors="surrogateescape", newline="") as f:
        f.write(text)


def read_json(name: str) -> Any:
    """The value of a JSON file."""
    return json.loads(read_text(name))


def write_json(name: str, value: Any) -> None:
    """Write a value as JSON."""
    write_text(name, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def replace_text(name: str, old: str, new: str) -> int:
    """Replace a piece of a text file everywhere; how often.

    Raises: ValueError if it isn't there, with the line that comes nearest.
    """
    text = read_text(name)
    count = text.count(old)
    if not old or not count:
        lines = [x.strip() for x in text.splitlines()]
        near = difflib.get_close_matches(old.strip(), lines, 1, 0.3)
        what = f"; the nearest line is {near[0]!r}" if near else ""
        raise ValueError(f"{name} does not hold {old!r:.80}{what}")
    write_text(name, text.replace(old, new))
    return count


def files(pattern: str = "*") -> list[str]:
    """The names of the files that match, without folders, sorted. Raises: FileNotFoundError."""
    found = sorted(x for x in glob.glob(pattern, recursive=True) if os.path.isfile(x))
    if not found:
        there = ", ".join(sorted(os.listdir("."))[:20])
        raise FileNotFoundError(f"no file matches {pattern!r}; there are: {there}")
    return found


def move_file(name: str, target: str) -> None:
    """Rename a file, or move it into a folder (a name that ends with /), which is made."""
    if target.endswith("/") or os.path.isdir(target):
        target = os.path.join(target, os.path.basename(name))
    os.makedirs(os.path.dirname(target) or ".", exist_ok=True)
    if os.path.exists(target):
        raise FileExistsError(f"{target} is there already")
    shutil.move(name, target)
