"""Several layers as one: what a process sees of its own changes, by path."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from oros.services.layers.tree import Entry, Layer

Part = tuple[Layer, Callable[[str], bool]]
"""A layer, and which of its paths count."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the topmost layer says of a path."""

    layer: Layer
    entry: Entry


def compose(parts: Iterable[Part]) -> dict[str, Seen]:
    """What layers come to, the lowest first; a folder that was away for a while is opaque."""
    found: dict[str, Seen] = {}
    ways: set[str] = set()
    for layer, wanted in parts:
        for path, entry in layer.entries.items():
            if not wanted(path):
                continue
            old = found.get(path)
            ways.update(above(path))
            if path in ways and not merges(entry):
                for below in [p for p in found if p.startswith(path + "/")]:
                    del found[below]
            if old is not None and merges(entry):
                hides = old.entry.what != "dir" or old.entry.opaque
                entry = replace(entry, opaque=hides)  # noqa: PLW2901 - the same entry, seen here
            found[path] = Seen(layer, entry)
    return found


def above(path: str) -> Iterator[str]:
    """The folders that a path lies in, the innermost first."""
    while path := path.rpartition("/")[0]:
        yield path


def merges(entry: Entry) -> bool:
    """Whether something of what lies below still shows."""
    return entry.what == "dir" and not entry.opaque


def blocked(path: str, before: Mapping[str, Seen]) -> str:
    """A change of what an earlier change waits with must wait too."""
    for at in (path, *above(path)):
        seen = before.get(at)
        if seen is not None and (at == path or seen.entry.what != "dir"):
            both = at == path and seen.entry.what == "dir" and not seen.entry.opaque
            return "" if both else "an earlier change of it waits"
    return ""
