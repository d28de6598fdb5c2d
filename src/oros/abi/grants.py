"""What a process may do and spend: rights on paths, limits on a tree's account."""

from dataclasses import dataclass
from typing import Literal

Right = Literal["r", "rw"]


@dataclass(frozen=True, slots=True)
class MountPoint:
    """`source` (a mount the machine knows, such as `work:/home/ann/x`) seen at `path`."""

    path: str
    source: str
    right: Right = "r"


@dataclass(frozen=True, slots=True)
class Limits:
    """Hard limits of an account; None is no limit of its own (an ancestor's still holds).

    `tokens` in and out; `micros` is money in millionths of a US dollar; `seconds` of model and
    call time; `calls` counts system calls and model calls.
    """

    tokens: int | None = None
    micros: int | None = None
    seconds: float | None = None
    calls: int | None = None


NO_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Usage:
    """What was used, in the units of `Limits`. `cached` of the input tokens cost little or nothing.

    `micros=None` means that the price is not known.
    """

    tokens_in: int = 0
    tokens_out: int = 0
    cached: int = 0
    micros: int | None = 0
    seconds: float = 0.0
    calls: int = 0

    @property
    def tokens(self) -> int:
        """Input and output tokens together."""
        return self.tokens_in + self.tokens_out

    def __add__(self, other: "Usage") -> "Usage":
        """Sum; an unknown price makes the sum unknown."""
        unknown = self.micros is None or other.micros is None
        return Usage(
            self.tokens_in + other.tokens_in,
            self.tokens_out + other.tokens_out,
            self.cached + other.cached,
            None if unknown else (self.micros or 0) + (other.micros or 0),
            self.seconds + other.seconds,
            self.calls + other.calls,
        )


NO_USAGE = Usage()
