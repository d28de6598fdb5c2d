"""A listing as columns: what its fields are called is said once, not in each row."""

from collections.abc import Collection, Mapping, Sequence
from operator import itemgetter
from typing import Any

Row = dict[str, Any]
Columns = Mapping[str, Sequence[Any]]
"""What each row has of a field, by the field's name."""


def columns(rows: Sequence[Row], only: Collection[str] = ()) -> dict[str, list[Any]]:
    """The columns of rows that all have the same fields; `only` some of them, else all.

    Raises: KeyError if they don't.
    """
    names = [*rows[0]] if rows else []
    if {*map(len, rows)} - {len(names)}:
        raise KeyError("rows have other fields than the first")
    return {n: [*map(itemgetter(n), rows)] for n in names if not only or n in only}


def rows(table: Columns) -> list[Row]:
    """The rows of columns; `columns` backwards."""
    return [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]
