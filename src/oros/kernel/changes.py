"""What a control call comes to: facts to write in one commit, or a wait."""

from collections.abc import Callable
from dataclasses import dataclass, field

from oros.abi.ids import PERSON, Pid
from oros.abi.syscalls import Outcome
from oros.kernel.journal import Entry


@dataclass(slots=True)
class Change:
    """Facts to write, the outcome for the caller, and what follows once they are written."""

    outcome: Outcome
    entries: list[Entry] = field(default_factory=list)
    after: list[Callable[[], None]] = field(default_factory=list)


@dataclass(slots=True)
class Park:
    """The caller must wait: for `on` (a process), or until so many seconds passed."""

    seconds: float | None = None
    on: Pid = PERSON


Result = Change | Park
