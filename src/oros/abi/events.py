"""Facts: one frozen dataclass each. The journal, the trace and the live view hold nothing else.

A process is the fold of its events. Their names and fields are a format: an old journal must
always replay, so fields are only added, with a default.
"""

from dataclasses import dataclass, replace
from typing import Literal

from oros.abi.acts import Item
from oros.abi.grants import NO_LIMITS, NO_USAGE, Grant, Limits, MountPoint, Usage
from oros.abi.ids import PERSON, CallId, Pid, Seq
from oros.abi.labels import NOTHING, SYSTEM, Label
from oros.abi.manifest import Program
from oros.abi.message import Json, Message
from oros.abi.syscalls import Effect, Outcome, Signal

Park = Literal["message", "person", "card", "child", "timer"]
"""What an idle process waits for; an idle process has no task."""

Finish = Literal["stop", "length", "calls", "preempted", "interrupted", "lost", "error"]
"""Why a model's answer ended. `lost`: the machine stopped; what it cost is not known."""


OWNERS = ("program", "calls", "pinned", "earlier", "recalled", "turn")
"""Whose the tokens of a window are; `calls` are the schemas of calls and what a template adds."""


@dataclass(frozen=True, slots=True)
class Spawned:
    """The first event of a process that was started.

    `root` is the top of its program tree; `accounts` are the processes whose limits bind it;
    `grants` is what its parent gave it of its own (a process that the person starts has the
    person's words instead). `guard`: its model is shown no text of others. A reader has a `schema`
    for its answer, and what it is to `read`; of that, what goes by its place is its first message.
    `asked`: the name that its list of models goes by; "" is the default model's.
    """

    parent: Pid
    program: Program
    goal: str
    model: str
    nice: int
    limits: Limits
    mounts: tuple[MountPoint, ...]
    root: Pid = PERSON
    accounts: tuple[Pid, ...] = ()
    label: Label = SYSTEM
    grants: tuple[Grant, ...] = ()
    guard: bool = False
    read: tuple[str, ...] = ()
    schema: Json = None
    asked: str = ""
    kind: Literal["spawned"] = "spawned"


@dataclass(frozen=True, slots=True)
class Forked:
    """The first event of a copy: it has all that `of` had up to its event `at`.

    Copies of one `race` (named by the first of them) are alternatives.
    """

    parent: Pid
    of: Pid
    at: Seq
    limits: Limits = NO_LIMITS
    root: Pid = PERSON
    accounts: tuple[Pid, ...] = ()
    race: Pid = PERSON
    kind: Literal["forked"] = "forked"


@dataclass(frozen=True, slots=True)
class Received:
    """A message came: from the user or another process (`how`), or as steering of a live turn."""

    source: Pid
    message: Message
    how: Literal["message", "steer", "mail"] = "message"
    kind: Literal["received"] = "received"

    @property
    def read(self) -> Label:
        """The label of what the process has seen by it: mail is not seen before `recv`."""
        return NOTHING if self.how == "mail" else self.message.label


@dataclass(frozen=True, slots=True)
class ModelCalled:
    """The intent of a model call; `reserve` is held from the account until the reply.

    `about`: the pages that it is to sum up, then it is no turn; `window`: tokens by `OWNERS`.
    """

    model: str
    reserve: Usage
    pages: int = 0
    about: tuple[int, ...] = ()
    window: tuple[int, ...] = ()
    kind: Literal["model_called"] = "model_called"


@dataclass(frozen=True, slots=True)
class ModelReplied:
    """What the model said, whole or cut (`finish`), and what it cost.

    `queued`, `first` and `seconds`: waiting for a slot, until the first token, on the slot.
    `about`: the pages that it sums up, then it is no turn.
    """

    message: Message
    usage: Usage
    finish: Finish
    model: str = ""
    queued: float = 0.0
    first: float = 0.0
    seconds: float = 0.0
    preempted: int = 0
    error: str = ""
    about: tuple[int, ...] = ()
    kind: Literal["model_replied"] = "model_replied"


@dataclass(frozen=True, slots=True)
class Moved:
    """The process goes on with another model.

    `why`: the error of the last one; or the person spoke, and the first one is tried again.
    """

    to: str
    of: str
    why: str
    kind: Literal["moved"] = "moved"


@dataclass(frozen=True, slots=True)
class CallEntered:
    """The intent of a call, as decoded, with the monitor's verdict; committed before any effect.

    `ask` is the `Ask.id` it answers. `act` is the class of act that it is counted as, `rule` the
    rule of the monitor that allowed it (see oros.monitor.decide); "" and 0 where none was asked.
    """

    id: CallId
    name: str
    args: Json
    effect: Effect
    key: str
    ask: str = ""
    verdict: str = "allow"
    act: str = ""
    rule: int = 0
    kind: Literal["call_entered"] = "call_entered"


@dataclass(frozen=True, slots=True)
class CallReturned:
    """The outcome of a call. `again` counts the times it was done anew after a crash.

    `seen`, in a guarded process: the label of what its model is shown of it, which is `view`.
    """

    id: CallId
    outcome: Outcome
    seconds: float = 0.0
    again: int = 0
    view: Json = None
    seen: Label | None = None
    kind: Literal["call_returned"] = "call_returned"

    @property
    def shown(self) -> Outcome:
        """The outcome as the model is shown it."""
        if self.seen is None:
            return self.outcome
        error = self.outcome.error
        kept = "what it says is others' text, and kept from you"
        told = None if error is None else replace(error, why=kept, hint="")
        return Outcome(self.view, error=told, label=self.seen, usage=self.outcome.usage)


@dataclass(frozen=True, slots=True)
class Doubted:
    """It is not known whether a `once` call happened: the person is asked, once."""

    id: CallId
    question: str
    kind: Literal["doubted"] = "doubted"


@dataclass(frozen=True, slots=True)
class Carded:
    """The person is asked about values, before calls are made. `asks`: the `Ask.id`s of these.

    `sheet`: all that the sources ask for which the user said to follow, as a reader found it;
    `usage` is what the reader cost. Without items nothing is asked.
    """

    items: tuple[Item, ...]
    asks: tuple[str, ...] = ()
    sheet: bool = False
    usage: Usage = NO_USAGE
    kind: Literal["carded"] = "carded"


@dataclass(frozen=True, slots=True)
class Granted:
    """What the person said a process may do and may not, by name; or what a plan was made of.

    `card`: it answers the open card. `planned`: of how many messages of the user's a model has made
    a plan, which cost `usage`.
    """

    grants: tuple[Grant, ...] = ()
    denied: tuple[str, ...] = ()
    card: bool = False
    planned: int = 0
    usage: Usage = NO_USAGE
    kind: Literal["granted"] = "granted"


@dataclass(frozen=True, slots=True)
class Spent:
    """A process below made a call of a class that this one's user asked for."""

    act: str
    by: Pid
    kind: Literal["spent"] = "spent"


@dataclass(frozen=True, slots=True)
class Parked:
    """The process has nothing to do until something comes."""

    on: Park
    kind: Literal["parked"] = "parked"


@dataclass(frozen=True, slots=True)
class Signalled:
    """A signal reached the process."""

    signal: Signal
    by: Pid
    why: str = ""
    kind: Literal["signalled"] = "signalled"


@dataclass(frozen=True, slots=True)
class Niced:
    """Its declared class changed."""

    level: int
    by: Pid
    kind: Literal["niced"] = "niced"


@dataclass(frozen=True, slots=True)
class Mounted:
    """A mount was added to its namespace."""

    point: MountPoint
    kind: Literal["mounted"] = "mounted"


@dataclass(frozen=True, slots=True)
class Evicted:
    """Pages left the window; each stays readable at `/proc/self/pages/ID`.

    `cuts`: pages of which only the first characters still stand there: (page, characters). `room`:
    tokens that the window had to fit.
    """

    pages: tuple[int, ...]
    cuts: tuple[tuple[int, int], ...] = ()
    room: int = 0
    kind: Literal["evicted"] = "evicted"


@dataclass(frozen=True, slots=True)
class Recalled:
    """What was found of earlier for the user's last message, shown to the model with it."""

    message: Message
    kind: Literal["recalled"] = "recalled"


@dataclass(frozen=True, slots=True)
class Exited:
    """The process ended; it is a zombie until it is reaped.

    `usage`: what a model call that its end cut had cost until then, as far as is known.
    """

    status: int
    answer: str
    why: str = ""
    label: Label = SYSTEM
    usage: Usage = NO_USAGE
    kind: Literal["exited"] = "exited"


@dataclass(frozen=True, slots=True)
class Reaped:
    """Its end was taken note of."""

    by: Pid
    kind: Literal["reaped"] = "reaped"


@dataclass(frozen=True, slots=True)
class Sealed:
    """What all journals that grew had come to, signed with the machine's key.

    `heads`: process, its last event and that one's hash; `after`: the hash of the event before this
    one; hashes, `key` and `signature` in hexadecimal digits.
    """

    heads: tuple[tuple[Pid, Seq, str], ...]
    after: str
    key: str
    signature: str
    kind: Literal["sealed"] = "sealed"


Event = (
    Spawned
    | Forked
    | Received
    | ModelCalled
    | ModelReplied
    | Moved
    | CallEntered
    | CallReturned
    | Doubted
    | Carded
    | Granted
    | Spent
    | Parked
    | Signalled
    | Niced
    | Mounted
    | Evicted
    | Recalled
    | Exited
    | Reaped
    | Sealed
)
