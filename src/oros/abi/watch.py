"""What comes up from the kernel to whoever watches: committed facts, and tokens as they stream."""

from dataclasses import dataclass
from typing import Literal

from oros.abi.events import Event
from oros.abi.ids import Pid, Seq


@dataclass(frozen=True, slots=True)
class Fact:
    """A committed event: it can't be lost any more."""

    pid: Pid
    seq: Seq
    time: float
    event: Event


@dataclass(frozen=True, slots=True)
class Token:
    """Streaming text, or progress before it (`text` says of what, with `done` of `total`).

    Tokens are no events: the finished message is.
    """

    pid: Pid
    text: str
    what: Literal["text", "progress"] = "text"
    done: int = 0
    total: int = 0
