"""THE table: every system call, one frozen dataclass each.

From it come the decoder, the model's tool schemas, the HTTP schema and docs/syscalls.md.
The `effect` of a call says what a crash between its intent and its outcome means:

    pure, read    done again: nothing in the world changed
    reversible    done again: what it changed is private and is put back first
    idempotent    done again under the same key: the other side honours it
    once          never done again: the device is asked, else the person, once
    control       changes only the kernel's own tables, in the same commit as its outcome
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from oros.abi.errors import OrosError
from oros.abi.grants import NO_LIMITS, NO_USAGE, Limits, Usage
from oros.abi.ids import PERSON, START, Pid, Seq
from oros.abi.labels import SYSTEM, Label
from oros.abi.message import Json, Part, TextPart

Effect = Literal["pure", "read", "reversible", "idempotent", "once", "control"]
Signal = Literal["INT", "STOP", "CONT", "TERM", "KILL", "USR1", "LOST"]


@dataclass(frozen=True, slots=True)
class Call:
    """Base of all calls; `blocks` says that it may park the process."""

    name: ClassVar[str] = ""
    effect: ClassVar[Effect] = "control"
    blocks: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Spawn(Call):
    """Start a process that works on a goal; with `read` and `schema` a reader. Returns `{"pid"}`.

    `program` "" means the default for the model. `nice` 0 is foreground, 1 background; a child is
    never above its parent. `limits` open an account of its own inside the parent's. With `review`
    nothing that it changes comes into the folder before the person has seen it. `net`: hosts that
    its programs may reach, such as `example.com` or `*.example.com:8443`; none by default. `needs`:
    what a sandbox must hold, else `run` refuses; a child needs what its parent needs, too. With
    `guard` its model is shown no text that others wrote: it passes values on by their place, and
    has readers (`infer` with `read`) take out of a text what it needs; its children, too.

    A reader has a context of its own, so it is no copy (`fork`): it answers the goal out of what it
    is to `read`, values by their place and paths, without any call. Its answer is a value of the
    `schema`, an object: `type`, `enum`, `items`, `properties`, `required`, and bounds.
    """

    goal: str
    program: str = ""
    model: str = ""
    nice: Literal[0, 1] | None = None
    limits: Limits = NO_LIMITS
    folder: str = ""
    review: bool = False
    net: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    guard: bool = False
    read: tuple[str, ...] = ()
    schema: Mapping[str, Json] | None = None
    name: ClassVar[str] = "spawn"


@dataclass(frozen=True, slots=True)
class Fork(Call):
    """Copy a process with its context as of `at` (now, if 0), n times. Returns `{"pids"}`.

    `pid` 0 is the caller. `goal` is a message that each copy gets first. With `race` the copies are
    alternatives: their changes wait, and when the person commits one, the others get LOST.
    """

    pid: Pid = PERSON
    n: int = 1
    at: Seq = START
    goal: str = ""
    race: bool = False
    name: ClassVar[str] = "fork"


@dataclass(frozen=True, slots=True)
class Wait(Call):
    """Wait for a child (any, if `pid` is 0) to end, and reap it.

    Returns `{"pid", "status", "answer"}`, of a reader `value` (null if it failed) for `answer`.
    ECHILD without one, EDEADLK in a circle, ETIMEDOUT.
    """

    pid: Pid = PERSON
    timeout: float | None = None
    name: ClassVar[str] = "wait"
    blocks: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Exit(Call):
    """End this process with a status (0 is success) and an answer."""

    answer: str = ""
    status: int = 0
    name: ClassVar[str] = "exit"


@dataclass(frozen=True, slots=True)
class Kill(Call):
    """Send a signal to a process, and to those below it when `tree`.

    INT stops its turn, STOP and CONT pause and resume, TERM and KILL end it, LOST too: another copy
    of its race was chosen. USR1 steers it: `text` is a message into the live turn.
    """

    pid: Pid
    signal: Signal = "TERM"
    text: str = ""
    tree: bool = True
    name: ClassVar[str] = "kill"


@dataclass(frozen=True, slots=True)
class Nice(Call):
    """Move a process to the foreground (0) or the background (1)."""

    pid: Pid
    level: Literal[0, 1]
    name: ClassVar[str] = "nice"


@dataclass(frozen=True, slots=True)
class Sleep(Call):
    """Wait for a number of seconds."""

    seconds: float
    name: ClassVar[str] = "sleep"
    effect: ClassVar[Effect] = "pure"
    blocks: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Send(Call):
    """Send a message to a process; it is there when this returns. Returns `{"seq"}`."""

    pid: Pid
    text: str
    name: ClassVar[str] = "send"


@dataclass(frozen=True, slots=True)
class Recv(Call):
    """Take the oldest message sent to this process. Returns `{"from", "text"}`."""

    timeout: float | None = None
    name: ClassVar[str] = "recv"
    blocks: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Read(Call):
    """Read a file, a page at a time. `offset` and `limit` are bytes of it.

    Returns `{"path", "size", "offset", "next"}` and its text; `next` is null at the end. A binary
    file comes as its kind and size, not as its bytes.
    """

    path: str
    offset: int = 0
    limit: int = 16384
    name: ClassVar[str] = "read"
    effect: ClassVar[Effect] = "read"


@dataclass(frozen=True, slots=True)
class Write(Call):
    """Make or replace a whole file, atomically. Returns `{"path", "size"}`."""

    path: str
    text: str
    name: ClassVar[str] = "write"
    effect: ClassVar[Effect] = "reversible"


@dataclass(frozen=True, slots=True)
class List(Call):
    """List a folder. `head` > 0 also shows how each text file begins (that many characters).

    Returns `{"entries": [{"path", "kind", "size", "lines"?, "head"?, "about"?}], "more"}`; `about`
    tells the columns of a table.
    """

    path: str = "/work"
    depth: int = 1
    head: int = 0
    limit: int = 200
    name: ClassVar[str] = "list"
    effect: ClassVar[Effect] = "read"


@dataclass(frozen=True, slots=True)
class Search(Call):
    """Find text under a path. Returns `{"hits": [{"path", "line", "text"}], "more"}`."""

    query: str
    path: str = "/work"
    limit: int = 20
    name: ClassVar[str] = "search"
    effect: ClassVar[Effect] = "read"


@dataclass(frozen=True, slots=True)
class Stat(Call):
    """Tell the kind, size and time of a path, and its label."""

    path: str
    name: ClassVar[str] = "stat"
    effect: ClassVar[Effect] = "read"


@dataclass(frozen=True, slots=True)
class Remove(Call):
    """Remove a file, or a folder that is empty."""

    path: str
    name: ClassVar[str] = "remove"
    effect: ClassVar[Effect] = "reversible"


@dataclass(frozen=True, slots=True)
class Mount(Call):
    """Show a mount of this process at another path, with the same rights or fewer."""

    source: str
    path: str
    right: Literal["r", "rw"] = "r"
    name: ClassVar[str] = "mount"


@dataclass(frozen=True, slots=True)
class Run(Call):
    """Run a program in the sandbox: `argv`, or Python source. It sees `/work` and no network.

    Python goes into an interpreter that remembers what your earlier runs defined, and shows the
    `value` of a last expression; with `stdin` or `fresh` it is a program of its own.
    A secret of the user's is written `{{secret:NAME}}` in a header of an http:// request; outside
    it is filled in, for its own host only, and the request leaves over TLS.
    Returns `{"exit", "signal", "out", "err", "changed": [{"path", "change", "size"}], "seconds"}`;
    long output is cut in its middle and kept whole in a blob.
    """

    python: str = ""
    argv: tuple[str, ...] = ()
    stdin: str = ""
    timeout: float = 30.0
    fresh: bool = False
    name: ClassVar[str] = "run"
    effect: ClassVar[Effect] = "reversible"


@dataclass(frozen=True, slots=True)
class Browse(Call):
    """Use the browser. No driver for it is here yet: ENODEV."""

    url: str
    name: ClassVar[str] = "browse"
    effect: ClassVar[Effect] = "once"


@dataclass(frozen=True, slots=True)
class Infer(Call):
    """Ask a model one question outside this process's context; `schema` bounds the answer.

    `read`: values by their place (`$c12[0].body`), which a reader without any call sees, too. Gives
    `{"text"}` or, if it fits the schema, `{"value"}`; for `n` answers `{"texts"}`, or a list of it.
    """

    prompt: str
    read: tuple[str, ...] = ()
    schema: Mapping[str, Json] | None = None
    model: str = ""
    max_tokens: int = 512
    n: int = 1
    name: ClassVar[str] = "infer"
    effect: ClassVar[Effect] = "read"


@dataclass(frozen=True, slots=True)
class Select(Call):
    """Pick out of a list in an earlier result, without reading it: `of` is its place (`$c12`).

    `where`: what fields must be, or begin a word with; `by` with `pick` max, min, first or last
    orders what is left. Returns `{"at"}`, the place of the one that was picked, or of `all`.
    """

    of: str
    where: Mapping[str, Json] = field(default_factory=dict)
    by: str = ""
    pick: Literal["first", "last", "max", "min", "all"] = "first"
    name: ClassVar[str] = "select"
    effect: ClassVar[Effect] = "pure"


@dataclass(frozen=True, slots=True)
class CallTool(Call):
    """Call a tool of an app; the tool declares the effect. Returns what the tool does."""

    tool: str
    args: Mapping[str, Json] = field(default_factory=dict)
    name: ClassVar[str] = "call"
    effect: ClassVar[Effect] = "once"


@dataclass(frozen=True, slots=True)
class AskPerson(Call):
    """Ask the person, and wait for the answer. Returns `{"text"}`."""

    question: str
    options: tuple[str, ...] = ()
    name: ClassVar[str] = "ask"
    effect: ClassVar[Effect] = "read"
    blocks: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Allow(Call):
    """Let a process do what its card asks, or something more. Only the person makes this call.

    Without `what`: all of its open card, or only the `items` (from 1); `instead`: another value in
    the place of the one item. `what`: a class of act, such as `mail.send`, for so many `uses`; or a
    value that may be a target. Returns `{"granted", "denied"}`, by name.
    """

    pid: Pid
    what: str = ""
    uses: int = 1
    items: tuple[int, ...] = ()
    instead: str = ""
    name: ClassVar[str] = "allow"


@dataclass(frozen=True, slots=True)
class Deny(Call):
    """Say no to a process's open card, or take back `what` it was granted, by its name.

    What is taken back is taken from all below it, too. Only the person makes this call. Returns
    `{"denied"}`.
    """

    pid: Pid
    what: str = ""
    name: ClassVar[str] = "deny"


TABLE: dict[str, type[Call]] = {c.name: c for c in Call.__subclasses__()}


@dataclass(frozen=True, slots=True)
class Failure:
    """An error inside an outcome: what the model reads as `CODE: why (hint)`."""

    code: str
    why: str
    hint: str = ""
    retryable: bool = False

    @classmethod
    def of(cls, error: OrosError) -> "Failure":
        """Turn an error into data."""
        return cls(error.code, error.why, error.hint, error.retryable)

    def __str__(self) -> str:
        """One line: what, why, what to do."""
        return f"{self.code}: {self.why}" + (f" ({self.hint})" if self.hint else "")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a call came to: a `value` (shape in the call's docstring), parts, or an error.

    `label` is the join of the caller's and of all that was read; `usage` is what a device spent.
    """

    value: Json = None
    parts: tuple[Part, ...] = ()
    error: Failure | None = None
    label: Label = SYSTEM
    usage: Usage = NO_USAGE

    def shown(self, most: int) -> str:
        """The outcome as text for a model, cut at `most` characters."""
        if self.error is not None:
            return str(self.error)
        texts = [p.text for p in self.parts if isinstance(p, TextPart)]
        if self.value is not None:
            texts.insert(0, json.dumps(self.value, ensure_ascii=False, separators=(", ", ": ")))
        text = "\n".join(texts) or "done"
        more = len(text) - most
        return text[:most] + (f"\n[cut: {more} more characters]" if more > 0 else "")
