"""What a process does next: values that the pure part decides and the loop carries out."""

from collections.abc import Mapping
from dataclasses import dataclass

from oros.abi.events import CallEntered, Park
from oros.abi.message import Ask, Json, Message


@dataclass(frozen=True, slots=True)
class Think:
    """Ask the model. `calls`: the names of the calls it is offered.

    `about`: the pages that the answer sums up; it is no turn of the process then.
    """

    messages: tuple[Message, ...]
    calls: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()
    schema: Mapping[str, Json] | None = None
    max_tokens: int = 1024
    temperature: float = 0.0
    about: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Do:
    """Make a call through the one door."""

    ask: Ask


@dataclass(frozen=True, slots=True)
class Again:
    """A call was in flight when the machine stopped: find out, or do it anew."""

    entered: CallEntered


@dataclass(frozen=True, slots=True)
class Rest:
    """Nothing to do until something comes."""

    on: Park


@dataclass(frozen=True, slots=True)
class Pause:
    """Stop, with a reason the person reads; CONT goes on."""

    why: str


@dataclass(frozen=True, slots=True)
class Finish:
    """End with a status and an answer."""

    status: int
    answer: str
    why: str = ""


Action = Think | Do | Again | Rest | Pause | Finish
