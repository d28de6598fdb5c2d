"""Labels say how far data may be trusted, who may read it and where it came from.

A label is carried by every message, value, file and process. Where two pieces of data meet, their
labels join: the lower integrity, the common readers, all origins (Biba's low-water mark for the
first, Denning's lattice for the second). This file knows no policy; the monitor has that.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from functools import reduce


class Integrity(IntEnum):
    """How far data may be trusted to steer an act; higher is more."""

    THIRD = 0
    """Text that others wrote: the web, mail, tool output, files by default."""
    PROVIDER = 1
    """Structured data of a service that the user set up."""
    SYSTEM = 2
    """The machine's own records: clock, ids, signed programs."""
    USER = 3
    """The user's own words."""


@dataclass(frozen=True, slots=True)
class Label:
    """`(integrity, readers, origins)`; `readers=None` means that anyone may read."""

    integrity: Integrity = Integrity.THIRD
    readers: frozenset[str] | None = None
    origins: frozenset[str] = frozenset()

    def __or__(self, other: "Label") -> "Label":
        """Join: what is made from both is trusted as the lesser and kept as close as the closer."""
        if self is other or self == other:
            return self
        if self.readers is None or other.readers is None:
            readers = self.readers if other.readers is None else other.readers
        else:
            readers = self.readers & other.readers
        integrity = min(self.integrity, other.integrity)
        return Label(integrity, readers, self.origins | other.origins)

    def flows_to(self, other: "Label") -> bool:
        """Tell whether data under this label may stand where `other` is demanded."""
        if self.integrity < other.integrity:
            return False
        if self.readers is None:
            return True
        return other.readers is not None and other.readers <= self.readers


NOTHING = Label(Integrity.USER)
"""The label of no data: joined to any other, it leaves that as it is."""
USER = Label(Integrity.USER, None, frozenset({"user"}))
SYSTEM = Label(Integrity.SYSTEM, None, frozenset({"system"}))
SERVICE = Label(Integrity.PROVIDER)
THIRD = Label()


def join(labels: Iterable[Label]) -> Label:
    """Join any number of labels; of none, the system's own."""
    found = {id(label): label for label in labels}  # thousands of rows share a few
    return reduce(Label.__or__, found.values()) if found else SYSTEM


OUTSIDE = ("web:", "mail:", "tool:", "app:")
"""How origins begin that are neither the user, nor the machine, nor the user's folder."""


def foreign(label: Label) -> frozenset[str]:
    """What of a label's origins is outside."""
    return frozenset(o for o in label.origins if o.startswith(OUTSIDE))
