"""Ports: what the kernel needs from the world, one small protocol for each kind of device.

The kernel imports nothing that touches the world; `boot` hands these in. For each port there is a
conformance suite in tests/drivers; a driver is one file that passes it.
"""

from asyncio import Future
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

from oros.abi.acts import WORST, Act
from oros.abi.events import Finish
from oros.abi.grants import Limits, Usage
from oros.abi.ids import START, BlobId, Pid, Seq
from oros.abi.jobs import Job, JobResult, Report
from oros.abi.labels import Label
from oros.abi.message import Json, Message
from oros.abi.syscalls import Effect, Outcome

# ---- time and chance -------------------------------------------------------------------------


class Clock(Protocol):
    """Time. Under test it is virtual: it moves only when everybody waits."""

    def wall(self) -> float:
        """Seconds since 1970, UTC."""

    def monotonic(self) -> float:
        """Seconds that never go back."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""


class Random(Protocol):
    """Chance. Under test it is seeded."""

    def random(self) -> float:
        """In [0, 1)."""

    def token(self, size: int) -> str:
        """`size` random bytes, in hex."""


class Signer(Protocol):
    """The machine's own key."""

    @property
    def public(self) -> str:
        """Its public half, in hexadecimal digits. Raises: Corrupt, DeviceFailed."""

    def sign(self, data: bytes) -> bytes:
        """A signature. Raises: Corrupt, DeviceFailed."""

    def signed(self, data: bytes, signature: str) -> bool:
        """Whether a signature, in hexadecimal digits, is this key's own of some data."""


# ---- store -----------------------------------------------------------------------------------


class Row(NamedTuple):
    """One event as it is stored. `hash` = SHA-256(prev, pid, seq, time, kind, body, label)."""

    pid: Pid
    seq: Seq
    time: float
    kind: str
    body: bytes
    label: bytes
    prev: bytes
    hash: bytes


class ProcessRow(NamedTuple):
    """A process as the table keeps it: `state` is JSON, folded up to event `seq`."""

    pid: Pid
    seq: Seq
    live: bool
    state: bytes


class Store(Protocol):
    """The journal, the process table and the blobs of one machine."""

    def append(self, rows: Sequence[Row], processes: Sequence[ProcessRow] = ()) -> Future[None]:
        """Queue rows at once, in order; done when they are committed. All of one call or none.

        Raises: NoSpace, DeviceFailed. After an error nothing more is accepted.
        """

    def events(self, pid: Pid, after: Seq = START, upto: Seq | None = None) -> list[Row]:
        """The committed events of a process, in order."""

    def processes(self) -> list[tuple[ProcessRow, Seq]]:
        """Each row with the last committed `Seq` of its journal."""

    def put_blob(self, data: bytes) -> BlobId:
        """Keep bytes under their hash; kept when this returns. Raises: NoSpace."""

    def get_blob(self, blob: BlobId) -> bytes:
        """Raises: NotFound, Corrupt."""

    def get_setting(self, name: str) -> str | None:
        """A small value that is not an event: a label of a file, the node's id."""

    def put_setting(self, name: str, value: str) -> None:
        """Set it; committed when this returns."""

    async def close(self) -> None:
        """Commit what is queued, and close."""


# ---- models ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What a model is and can.

    `price` is micros per million tokens: in, out, cached in; a fourth, if there is one, for input
    that is written to the vendor's cache.

    `cans` of: tools (native tool calls), schema, grammar, resume (goes on from a partial answer),
    image, audio, cancel, count (`count` is exact), here (what it reads stays on this machine).
    `slots`: calls side by side to begin with; up to `widest` are learned, if that is more.
    """

    name: str
    window: int
    slots: int = 1
    cans: frozenset[str] = frozenset()
    price: tuple[int, ...] | None = None
    small: bool = False
    about: str = ""
    widest: int = 0

    def cost(self, usage: Usage) -> int | None:
        """Micro-dollars of a usage, rounded up; None if the price is not known."""
        if self.price is None:
            return None
        per_in, per_out, per_cached, per_written = (*self.price, self.price[0])[:4]
        fresh = usage.tokens_in - usage.cached - usage.written
        total = fresh * per_in + usage.tokens_out * per_out + usage.cached * per_cached
        total += usage.written * per_written
        return -(-total // 1_000_000)


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as a model sees it; `act` is what its manifest says that it does."""

    name: str
    about: str
    schema: Mapping[str, Json]
    effect: Effect = "once"
    act: Act = WORST

    @property
    def line(self) -> str:
        """How it is called, in a line: `mail.send(recipients, subject, body?): sends a mail`."""
        need = self.schema.get("required") or ()
        given = self.schema.get("properties") or {}
        args = ", ".join(a if a in need else f"{a}?" for a in given)
        return f"{self.name}({args})" + (f": {self.about}" if self.about else "")


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One generation.

    If the last message is an assistant's partial one, the answer goes on from it. `affinity` names
    who asks (a prefix cache may be kept for it), behind a `/` where others of its tree begin alike,
    as `TREE/ONE`; `stop` strings end the answer and are not part of
    it; `schema` or `grammar` (GBNF) bound it where the model can. `nice`: 0 is foreground, for
    servers that have priorities; `fetch` gives the bytes of pictures and sounds.
    """

    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...] = ()
    max_tokens: int = 1024
    temperature: float = 0.0
    seed: int = 0
    stop: tuple[str, ...] = ()
    schema: Mapping[str, Json] | None = None
    grammar: str = ""
    affinity: str = ""
    nice: int = 0
    fetch: Callable[[BlobId], bytes] | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class TextDelta:
    """More text."""

    text: str


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """More of what a model thinks; `by` and `opaque` as in a `ReasoningPart`, `index` tells which.

    Pieces of `thought` are joined; an `opaque` takes the place of an earlier one.
    """

    index: int
    thought: str = ""
    by: str = ""
    opaque: str = ""


@dataclass(frozen=True, slots=True)
class AskDelta:
    """More of a tool call: `index` tells which; pieces of `args` are joined."""

    index: int
    id: str = ""
    name: str = ""
    args: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """Before the first token: prompt tokens read of all, or a load."""

    what: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Quota:
    """What a server says that it still takes: `left` of `most`, all of it again in `seconds`.

    Of `calls` it takes `most` side by side, whatever else is said.
    Quotas come in a batch of their own, before what was said.
    """

    what: Literal["requests", "tokens", "calls"]
    left: int
    most: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Finished:
    """The last delta of every stream that ended by itself."""

    finish: Finish
    usage: Usage


Delta = TextDelta | ReasoningDelta | AskDelta | Progress | Quota | Finished


class Model(Protocol):
    """A language model. Closing the iterator stops the generation at its source."""

    @property
    def info(self) -> ModelInfo:
        """What it is; may become more exact after the first use."""

    def generate(self, request: ModelRequest) -> AsyncIterator[Sequence[Delta]]:
        """Stream an answer, in batches as they come; the last delta is a `Finished`.

        Raises: Unreachable, NotAuthorized, Busy (with retry_after), TooBig, BadReply, TimedOut,
        DeviceFailed, NoDevice, Unsupported (it declines, or can't do what is asked).
        """

    async def count(self, text: str) -> int:
        """Tokens of a text, by the model's own tokenizer where there is one."""

    async def close(self) -> None:
        """Let go of all it holds."""


# ---- meaning ---------------------------------------------------------------------------------


class Embedder(Protocol):
    """A model that turns texts into vectors: what means the same lies near."""

    @property
    def name(self) -> str:
        """The model and its version: vectors of different names can't be compared."""

    @property
    def dims(self) -> int:
        """Numbers in a vector; 0 as long as that is not known."""

    async def embed(self, texts: Sequence[str], *, query: bool = False) -> list[bytes]:
        """A vector for each text: float32, little-endian, of length 1. `query`: asked, not kept.

        Raises: NoDevice (not on this machine), Unreachable, NotAuthorized, Busy, BadReply,
        TimedOut, DeviceFailed.
        """

    async def close(self) -> None:
        """Let go of all it holds."""


# ---- files -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a call, as a device sees it. `key` is the idempotency key of this call.

    `since`: when the caller last heard of its user (seconds since 1970): what the user does from
    then on it can't know of.
    """

    pid: Pid
    key: str
    label: Label
    limits: Limits = field(default_factory=Limits)
    since: float = 0.0


class FileServer(Protocol):
    """Something mounted: a folder, `/proc`, later memory and the web.

    `path` is what is left after the mount's own path: "" is its root, no leading slash, no `..`.
    Values have the shapes that the calls of the same name document, with `path` relative to the
    mount. What a server can't do raises Unsupported. All may raise NotFound, AccessDenied.
    """

    async def read(self, who: Caller, path: str, offset: int, limit: int) -> Outcome:
        """Some bytes of a file as text, or its kind if it is binary."""

    async def write(self, who: Caller, path: str, data: bytes) -> Outcome:
        """Make or replace a file, atomically; it takes the caller's label."""

    async def list(self, who: Caller, path: str, depth: int, head: int, limit: int) -> Outcome:
        """The entries of a folder."""

    async def search(self, who: Caller, path: str, query: str, limit: int) -> Outcome:
        """Lines that contain the query, any case."""

    async def stat(self, who: Caller, path: str) -> Outcome:
        """Kind, size, time."""

    async def remove(self, who: Caller, path: str) -> Outcome:
        """Remove a file or an empty folder."""


# ---- programs and tools ----------------------------------------------------------------------


class Sandbox(Protocol):
    """Runs programs that can't hurt."""

    async def probe(self) -> Report:
        """Run trivial programs for real and tell what is enforced. Cached by the driver."""

    async def run(self, job: Job) -> JobResult:
        """Run to the end; when cancelled, all of its processes are dead before this returns.

        Raises: NotEnforced, DeviceFailed, Invalid (no such program).
        """


class Device(Protocol):
    """What performs `run`, `browse`, or a tool of an app."""

    async def perform(self, who: Caller, args: Mapping[str, Json]) -> Outcome:
        """Do it. The intent is committed already."""

    async def reconcile(self, who: Caller, args: Mapping[str, Json]) -> Outcome | None:
        """After a crash: what came of the call with this key? None: can't tell.

        An outcome with error code EAGAIN says that it surely did not happen.
        """


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool of an app: its face and its device."""

    spec: ToolSpec
    device: Device
