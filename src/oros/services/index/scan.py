"""One look at a folder: which of its files are new or changed since they were read. Blocks."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from oros.abi.errors import NotFound
from oros.services.files.entry import kind_of
from oros.services.files.resolve import Root
from oros.services.files.walk import walk
from oros.services.index.marks import SHUT, Mark, hidden


@dataclass(slots=True)
class Seen:
    """What was found: `todo` in the order of names, `gone` what has a mark and is not there."""

    todo: list[str] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)
    files: int = 0


def scan(root: Root, marks: Mapping[str, Mark], reader: str, tops: Iterable[str] = ("",)) -> Seen:
    """Look beneath `tops`, paths in the folder. Links are not followed.

    `reader`: what can be read now; what failed with another one is tried again.
    Raises: NotFound when the folder itself is gone: then nothing in it counts as gone.
    """
    seen = Seen()
    _there(root)
    for top in sorted(set(tops)):
        if hidden(top):
            continue
        found = dict(_files(root, top))
        for path, status in found.items():
            mark = marks.get(path)
            if mark is None or not mark.same(status) or (mark.error and mark.reader != reader):
                seen.todo.append(path)
        below = f"{top}/" if top else ""
        seen.gone |= {p for p in marks if (p == top or p.startswith(below)) and p not in found}
        seen.files += len(found)
    _there(root)
    seen.todo = list(dict.fromkeys(seen.todo))
    return seen


def _there(root: Root) -> None:
    """Raises: NotFound."""
    try:
        root.listing("", stats=False)
        _ = root.live
    except OSError as e:
        why = f"the folder {root.path} can't be read: {e.strerror}"
        raise NotFound(why, "bring it back, or unmount it") from e


def _files(root: Root, top: str) -> Iterable[tuple[str, os.stat_result]]:
    status = None if not top else root.found(top)
    if top and status is None:
        return
    if status is not None and kind_of(status.st_mode) != "dir":
        if kind_of(status.st_mode) == "file":
            yield top, status
        return
    try:
        for entry in walk(root, top, stats=True, skip=SHUT):
            name = entry.path.rpartition("/")[2]
            if entry.kind == "file" and entry.stat is not None and name not in SHUT:
                yield entry.path, entry.stat
    except OSError:
        if not top:
            raise  # the whole folder: nothing may count as gone
