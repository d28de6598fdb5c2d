"""Who may make which call at all: a program its calls, on its mounts, down its own tree. Pure."""

from dataclasses import dataclass

from oros.abi.acts import Act
from oros.abi.errors import AccessDenied, Invalid, NoCall, OrosError
from oros.abi.ids import INIT, PERSON, Pid
from oros.abi.syscalls import Allow, Call, Deny, Fork, Kill, Nice, Send, Spawn, Wait

WRITES = frozenset({"write", "remove"})
FOR_PROCESSES = frozenset({"recv", "ask", "sleep", "exit"})

OTHERS = Act(
    "process",
    "stop, pause, steer or copy a process that others started",
    {"pid": "target", "text": "text", "signal": "enum", "level": "enum"},
    triggers=(
        "stop|kill|end|pause|resume|continue|cancel|steer|tell|copy|fork|nice|abort "
        "process|job|it|number",
    ),
)
"""What pid 1 does to processes that are not its own."""


@dataclass(frozen=True, slots=True)
class Kin:
    """How the process that a call names stands to the caller."""

    there: bool = False
    below: bool = False
    tree: bool = False
    parent: bool = False


@dataclass(frozen=True, slots=True)
class Actor:
    """The caller, as far as it matters here."""

    pid: Pid
    program: str
    calls: tuple[str, ...]


def access(who: Actor, call: Call, right: str, kin: Kin) -> OrosError | None:
    """None allows. `right` is that of the mount which the call's path lies in, "" without one."""
    if who.pid == PERSON:
        alone = call.name in FOR_PROCESSES
        return Invalid(f"{call.name} is for processes, not for the person") if alone else None
    if call.name not in who.calls:
        return NoCall(f"{who.program} has no call {call.name}", f"its calls: {' '.join(who.calls)}")
    if call.name in WRITES and right != "rw":
        return AccessDenied(f"{call.name}: it is mounted to read", "ask for it to be mounted rw")
    if isinstance(call, Allow | Deny):
        return AccessDenied(f"{call.name}: only the person says what a process may do")
    if isinstance(call, Spawn) and (call.folder or call.review or call.net):
        why = "spawn: only the person gives a folder or the network"
        return AccessDenied(why, "a child has what you have")
    return touch(who, call, kin)


def named(call: Call) -> Pid | None:
    """The other process that a call reaches for; None if none."""
    match call:
        case Kill(pid=pid) | Nice(pid=pid) | Send(pid=pid):
            return pid
        case Fork(pid=pid) | Wait(pid=pid) if pid != PERSON:
            return pid
        case _:
            return None


def touch(who: Actor, call: Call, kin: Kin) -> OrosError | None:
    """Calls that name another process: down its own tree; pid 1 speaks for the person."""
    pid = named(call)
    if pid is None or not kin.there or kin.below or (who.pid == INIT and pid != INIT):
        return None
    if kin.tree and isinstance(call, Wait | Send):
        return None
    if kin.parent and isinstance(call, Send):
        return None
    return AccessDenied(f"{call.name}: process {pid} is not yours")
