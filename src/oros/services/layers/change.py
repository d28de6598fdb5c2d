"""What is known of one layer of a process, as it is kept: which call made it, where it stands."""

from dataclasses import asdict, dataclass, field, replace
from typing import Literal

from oros.abi.message import Json

WAITS = "not committed yet"

State = Literal["live", "undoing", "undone"]
"""`undoing`: its undo was begun, and must be ended."""


@dataclass(slots=True)
class Change:
    """One layer. `at` it was made; from `since` on the user's changes could not be known to it.

    `pending`: paths that are not in the folder, and why; None is all of them.

    `same`: paths that were opened to write and stayed as they were; they don't count. `left`: what
    no layer keeps. `outcome`: the blob of what the call came to, for the same call made again after
    a crash. `rooms`: the applications that brought it in, oldest first. `was`: the paths
    that an undo took out, for the redo. `place`: where the tree is, if a copy shares it with the
    process that made it.
    """

    number: int
    key: str
    seq: int
    at: int
    since: int = 0
    state: State = "live"
    pending: dict[str, str] | None = None
    same: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    rooms: list[int] = field(default_factory=list)
    was: list[str] = field(default_factory=list)
    outcome: str = ""
    place: str = ""

    def shows(self, path: str) -> bool:
        """Whether a path of it is seen by the process and not in the folder."""
        if self.state != "live" or path in self.same:
            return False
        return self.pending is None or path in self.pending

    @property
    def waits(self) -> bool:
        """Whether something of it is not in the folder."""
        return self.state == "live" and self.pending != {}


def copied(change: Change, number: int, place: str) -> Change:
    """A change that waits, as the copy of a process has it."""
    pending = None if change.pending is None else dict(change.pending)
    same, left = list(change.same), list(change.left)
    made = replace(change, number=number, pending=pending, same=same, left=left, place=place)
    made.rooms, made.was, made.outcome = [], [], ""
    return made


@dataclass(slots=True)
class Doing:
    """An application under way: what the change becomes when it is finished."""

    room: int
    number: int
    back: bool
    done: list[str]
    pending: dict[str, str]


@dataclass(slots=True)
class Record:
    """All that is kept of a process's changes to one folder."""

    next: int = 1
    changes: list[Change] = field(default_factory=list)
    doing: Doing | None = None

    def plain(self) -> Json:
        """As JSON."""
        return asdict(self)

    @classmethod
    def read(cls, data: Json) -> "Record":
        """From JSON. Raises: TypeError, KeyError if it is none."""
        changes = [Change(**c) for c in data["changes"]]
        doing = data["doing"]
        return cls(data["next"], changes, None if doing is None else Doing(**doing))
