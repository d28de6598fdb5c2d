"""What a process may do and spend: rights on paths, limits on a tree's account."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, TypeVar

N = TypeVar("N", int, float)

INSTANT = 0.001
"""Seconds of which less is none: a rest of rounding must not be spent for ever."""

Right = Literal["r", "rw"]


@dataclass(frozen=True, slots=True)
class MountPoint:
    """`source` (a mount the machine knows, such as `work:/home/ann/x`) seen at `path`.

    `needs`: what a sandbox must hold (see `HOLDS`) for programs to run over it.
    """

    path: str
    source: str
    right: Right = "r"
    needs: tuple[str, ...] = ()


HOLDS = {
    "caps": "it has no capability",
    "disk": "what it writes is bounded",
    "env": "it sees no variable of yours",
    "fs_read": "it reads the folder and the system's programs only",
    "fs_write": "it writes its own layer and its own /tmp only",
    "ipc": "it shares no memory with others",
    "kill_tree": "all that it started ends with it",
    "layers": "what it changes in the folder is kept apart",
    "mem": "the memory of all its processes is bounded",
    "net": "it has no network but what was granted",
    "pid": "it sees no process of others",
    "pids": "the number of its processes is bounded",
    "syscalls": "calls to the system that programs don't need are refused",
    "tty": "it can't type into your terminal",
    "uid": "it is not root, and can't become it",
    "vsock": "it can't talk to the machine's host",
}
"""What a sandbox may hold of a program, in words; a `Report` tells which of it is held here."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Hard limits of an account; None is no limit of its own (an ancestor's still holds).

    `tokens` in and out; `micros` is money in millionths of a US dollar; `seconds` of model and
    call time; `calls` counts system calls and model calls; `models` are the only ones that may be
    asked, by full names or globs of them.
    """

    tokens: int | None = None
    micros: int | None = None
    seconds: float | None = None
    calls: int | None = None
    models: tuple[str, ...] | None = None

    def opens(self, model: str) -> bool:
        """Whether a model may be asked, by its full name."""
        return self.models is None or named(self.models, model)

    def less(self, used: "Usage") -> "Limits":
        """What is left of each amount."""
        seconds = None if self.seconds is None else self.seconds - used.seconds
        return Limits(
            None if self.tokens is None else self.tokens - used.tokens,
            None if self.micros is None else self.micros - (used.micros or 0),
            0.0 if seconds is not None and seconds < INSTANT else seconds,
            None if self.calls is None else self.calls - used.calls,
        )


NO_LIMITS = Limits()


def named(globs: Sequence[str], name: str) -> bool:
    """Whether a name is among those that globs mean; a name that looks like a glob is itself."""
    return any(name == glob or fnmatchcase(name, glob) for glob in globs)


def tightest(limits: Sequence[Limits]) -> Limits:
    """The least of each amount."""
    if not limits:
        return NO_LIMITS
    return Limits(
        _least([x.tokens for x in limits]),
        _least([x.micros for x in limits]),
        _least([x.seconds for x in limits]),
        _least([x.calls for x in limits]),
    )


def _least(values: Sequence[N | None]) -> N | None:
    """The smallest number; None means no limit."""
    return min((v for v in values if v is not None), default=None)


@dataclass(frozen=True, slots=True)
class Usage:
    """What was used, in the units of `Limits`. `cached` of the input tokens cost little or nothing.

    `micros=None` means that the price is not known. `written`: input tokens that were put in a
    vendor's cache, which some charge more for; `reasoning`: output tokens that nobody is shown.
    """

    tokens_in: int = 0
    tokens_out: int = 0
    cached: int = 0
    micros: int | None = 0
    seconds: float = 0.0
    calls: int = 0
    written: int = 0
    reasoning: int = 0

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
            self.written + other.written,
            self.reasoning + other.reasoning,
        )

    def __sub__(self, other: "Usage") -> "Usage":
        """Difference; an unknown price stays unknown."""
        unknown = self.micros is None or other.micros is None
        return Usage(
            self.tokens_in - other.tokens_in,
            self.tokens_out - other.tokens_out,
            self.cached - other.cached,
            None if unknown else (self.micros or 0) - (other.micros or 0),
            self.seconds - other.seconds,
            self.calls - other.calls,
            self.written - other.written,
            self.reasoning - other.reasoning,
        )


NO_USAGE = Usage()

GrantKind = Literal["act", "value", "follow"]


@dataclass(frozen=True, slots=True)
class Grant:
    """A capability: an entry in a process's own table, which only the user's words make.

    `act`: so many calls of the class `what`. `value`: `what` may be a target or a value; its `form`
    (email, url, name ...) tells how it is compared; with a `scope` (a role, or `ACT ARGUMENT`) it
    holds there only. `follow`: the user handed the decision to what a source says; that goes on a
    sheet. `by`: where it came from; `said`: the user's own words.
    """

    kind: GrantKind
    what: str
    form: str = ""
    uses: int | None = None
    scope: str = ""
    by: Literal["words", "model", "person", "parent"] = "words"
    said: str = ""

    @property
    def name(self) -> str:
        """What it is called when it is denied: its kind and its object, and where it holds."""
        return f"{self.kind}:{self.what}" + (f" in {self.scope}" if self.scope else "")
