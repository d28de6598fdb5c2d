"""Rows of memory as values: what is kept, what is found, how labels and sizes are written."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from oros.abi.errors import Corrupt
from oros.abi.labels import THIRD, Integrity, Label
from oros.abi.message import Json

Kind = Literal["note", "fact", "always", "page", "file"]


@dataclass(frozen=True, slots=True)
class Row:
    """A piece of text to keep.

    `place`: where in its source (`page 3`, `line 120`, `B7`). `ord`: its order there, by which rows
    are neighbours; None is the end. `by`: pid and seq it came from. `at` and `expires`: seconds
    since 1970. `supersedes`: the id of a row that this one corrects; that one is not found again.
    """

    text: str
    place: str = ""
    ord: int | None = None
    kind: Kind = "note"
    label: Label = THIRD
    by: tuple[int, int] = (0, 0)
    at: float = 0.0
    expires: float | None = None
    supersedes: int | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """A row as it stands in the store: `source` is a path or a call such as `c12`."""

    id: int
    scope: str
    source: str
    row: Row


@dataclass(frozen=True, slots=True)
class Put:
    """The rows that a source shall have, and no others.

    `mark` is kept with the source, in the same commit: what the caller wants to know of it later.
    `like`: a source of the same scope with much the same rows; their vectors are taken over.
    """

    source: str
    rows: Sequence[Row]
    mark: str = ""
    like: str = ""


@dataclass(frozen=True, slots=True)
class Hit:
    """A row that was found; a higher score is better, and means nothing beside another query's."""

    kept: Kept
    score: float


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found, best first. `more`: there was more than the limits let through."""

    hits: tuple[Hit, ...]
    more: bool
    tokens: int


Count = Callable[[str], int]
Pair = tuple[int, str, str]
"""A row to embed: its id, the text before it, its own text."""
Vector = bytes
"""float32, little-endian, of length 1."""


def tokens(text: str) -> int:
    """About how many tokens a text is: four bytes each, and what stands around a row."""
    return len(text.encode("utf-8", "replace")) // 4 + 1


def label_text(label: Label) -> str:
    """A label as JSON; equal labels give equal texts."""
    readers = None if label.readers is None else sorted(label.readers)
    found = {"integrity": int(label.integrity), "readers": readers}
    return json.dumps({**found, "origins": sorted(label.origins)}, ensure_ascii=False)


def label_plain(label: Label) -> dict[str, Json]:
    """A label as people read it."""
    return {
        "integrity": label.integrity.name.lower(),
        "readers": None if label.readers is None else sorted(label.readers),
        "origins": sorted(label.origins),
    }


def label_of(text: str) -> Label:
    """The label that a JSON text says. Raises: Corrupt."""
    try:
        found = json.loads(text)
        readers: Sequence[str] | None = found["readers"]
        return Label(
            Integrity(found["integrity"]),
            None if readers is None else frozenset(readers),
            frozenset(found["origins"]),
        )
    except (ValueError, KeyError, TypeError) as e:
        raise Corrupt(f"no label: {text[:80]!r}", "forget the row") from e


def near(vector: Vector, other: Vector) -> Vector:
    """The middle of two vectors of length 1, itself of length 1."""
    import array
    import math

    a, b = array.array("f", vector), array.array("f", other)
    both = [x + y for x, y in zip(a, b, strict=True)]
    size = math.sqrt(sum(x * x for x in both)) or 1.0
    return array.array("f", [x / size for x in both]).tobytes()
