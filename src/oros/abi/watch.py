"""What comes up from the kernel to whoever watches: committed facts, and tokens as they stream."""

from dataclasses import dataclass
from typing import Literal

from oros.abi.events import Event
from oros.abi.ids import Pid, Seq
from oros.abi.ports import Delta, Progress, TextDelta


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


SUMMING = "summing up what left the window"


def token(pid: Pid, delta: Delta, *, quiet: bool = False) -> Token | None:
    """A delta of a model's answer as watchers see it; of a summary (`quiet`) no words."""
    match delta:
        case TextDelta() if quiet:
            return Token(pid, SUMMING, "progress")
        case TextDelta(text=text):
            return Token(pid, text)
        case Progress(what=what, done=done, total=total):
            return Token(pid, what, "progress", done, total)
        case _:
            return None
