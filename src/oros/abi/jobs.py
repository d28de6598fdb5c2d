"""What a sandbox is given and gives back: a program with its bounds, and how it ended."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class Bind:
    """A folder of the host as the sandbox sees it."""

    host: str
    path: str
    right: Literal["r", "rw"]


@dataclass(frozen=True, slots=True)
class Overlay:
    """A folder that a job sees copy-on-write: what it changes goes to an upper folder in memory.

    `path` is where it is seen inside, `base` the host's folder under it, which is never written;
    `lowers` are trees in overlay format over the base, the topmost first. `size` in bytes and
    `inodes` bound what may be changed: past them the job gets ENOSPC. The bytes count as the job's
    memory too. While the job runs, nothing may write to the base or the lowers. With `right` "r"
    nothing can be changed; unlike a plain read-only bind it does not lead to who listens at a
    socket in the folder, or reads a fifo there.
    """

    path: str
    base: str
    lowers: tuple[str, ...] = ()
    size: int = 256 << 20
    inodes: int = 50_000
    right: Literal["r", "rw"] = "rw"


@dataclass(frozen=True, slots=True)
class Flow:
    """What became of one connection of a program, or of a name that was refused (`via` "dns").

    `via`: by the proxy ("connect" a tunnel, "proxy" plain HTTP) or straight ("tls", "http").
    `address` is what was dialled; `up`, `down` are bytes out of and into the sandbox. `decision`:
    "refused" by the policy or a malformed request, "failed" at the network or a bound, else
    "allowed"; `why` in words. `url` is known for plain HTTP only. `secrets`: which ones were sent.
    """

    host: str
    port: int
    via: Literal["dns", "connect", "proxy", "tls", "http"]
    address: str = ""
    up: int = 0
    down: int = 0
    decision: Literal["allowed", "refused", "failed"] = "allowed"
    why: str = ""
    seconds: float = 0.0
    url: str = ""
    secrets: tuple[str, ...] = ()


class Egress(Protocol):
    """The way out of one sandbox; without it there is none.

    `files` stand in place of the sandbox's own of those names, `env` beside its variables.
    """

    files: Mapping[str, str]
    env: Mapping[str, str]

    def serving(self, pid: int) -> AbstractAsyncContextManager[None]:
        """Serve the net namespace of a process whose program was not let go yet.

        Raises: NotEnforced.
        """


@dataclass(frozen=True, slots=True)
class Job:
    """A program to run, and its bounds (seconds, bytes, counts)."""

    argv: tuple[str, ...]
    binds: tuple[Bind, ...] = ()
    cwd: str = "/work"
    stdin: bytes = b""
    env: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 30.0
    cpu: float = 60.0
    memory: int = 2 << 30
    processes: int = 128
    file_size: int = 1 << 30
    tmp_size: int = 256 << 20
    output: int = 1 << 20
    flood: int = 64 << 20
    overlay: Overlay | None = None
    egress: Egress | None = None


@dataclass(frozen=True, slots=True)
class JobResult:
    """How it ended. `out`, `err` hold at most `Job.output` bytes each: head and tail.

    `cut_out`, `cut_err` count the bytes that were left away. `ended` says by what. `upper` is an
    open descriptor of the overlay's upper folder, None without an overlay: it holds what was
    changed, in overlay format, however the job ended. It is the caller's, who closes it; with it
    the memory goes. A run that raises leaves none open.
    """

    exit: int | None
    signal: int | None
    out: bytes
    err: bytes
    cut_out: int = 0
    cut_err: int = 0
    seconds: float = 0.0
    ended: Literal["self", "time", "flood", "cancel"] = "self"
    upper: int | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What a sandbox holds on this machine, found by running it; `not_held`: property -> why."""

    backend: str
    version: str
    works: bool
    held: tuple[str, ...] = ()
    not_held: Mapping[str, str] = field(default_factory=dict)
    fix: str = ""
