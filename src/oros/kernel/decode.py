"""Decode and authorise: what a call is, whether it may be made, and what the person is asked first.

Here the monitor is asked, and nowhere else. Nothing is changed by it.
"""

from typing import NamedTuple

from oros.abi import wire
from oros.abi.acts import Item
from oros.abi.errors import AccessDenied, OrosError
from oros.abi.grants import MountPoint
from oros.abi.ids import PERSON
from oros.abi.message import Ask, Json
from oros.abi.syscalls import (
    Call,
    CallTool,
    Effect,
    List,
    Mount,
    Read,
    Remove,
    Search,
    Stat,
    Write,
)
from oros.kernel import authority
from oros.kernel.image import Image
from oros.kernel.machine import Machine
from oros.kernel.process import Process
from oros.monitor import handles, namespace
from oros.monitor.access import OTHERS, Actor, Kin, access, named
from oros.monitor.decide import Deed, Subject, Verdict, decide
from oros.monitor.grants import Authority

FREE = Verdict("allow", 0, "")


class Entry(NamedTuple):
    """A call that was decoded and is not forbidden. `filled`: its arguments without handles."""

    call: Call
    args: Json
    effect: Effect
    mounts: tuple[MountPoint, ...]
    point: MountPoint | None = None
    rest: str = ""
    filled: Json = None
    verdict: Verdict = FREE


def later(m: Machine, caller: Process, image: Image) -> list[Item]:
    """What the calls that were asked for together with this one would ask, too."""
    found: list[Item] = []
    for ask in image.queue[1:]:
        try:
            found += decode(m, caller, ask, caller.mounts).verdict.items
        except OrosError:
            continue  # it is refused when its turn comes
    return found


def decode(
    m: Machine, caller: Process, ask: Ask, mounts: tuple[MountPoint, ...], *, settled: bool = False
) -> Entry:
    """Decode and authorise, without any effect. Raises: what forbids it.

    `settled`: it was allowed before, and is only done again.
    """
    call = wire.decode_call(ask.name, ask.args)
    point, rest = None, ""
    if isinstance(call, Read | Write | List | Search | Stat | Remove):
        path = call.path.replace("/proc/self", f"/proc/{caller.pid}", 1)
        point, rest = namespace.resolve(mounts, path)
    elif isinstance(call, Mount):
        point, _ = namespace.resolve(mounts, call.source)
    kin = kin_of(m, caller, call)
    actor = Actor(caller.pid, caller.program, caller.calls)
    if (refusal := access(actor, call, point.right if point else "", kin)) is not None:
        raise refusal
    entry = Entry(call, wire.call_args(call), call.effect, mounts, point, rest)
    if isinstance(call, CallTool):
        entry = entry._replace(effect=m.tool(call.tool).spec.effect, filled=entry.args)
    alien = kin.there and not (kin.below or kin.tree or kin.parent)
    if caller.pid == PERSON or not (alien or isinstance(call, CallTool)):
        return entry
    image = m.journal.peek(caller.pid)
    mine, spent = authority.authority(m, caller, image), authority.spent(m, caller)
    entry, deed = judged(m, caller, entry, image, mine)
    verdict = (
        decide(deed, Subject(caller.label, mine, spent, image.sheeted)) if not settled else FREE
    )
    if verdict.kind == "refuse":
        raise AccessDenied(verdict.reason, verdict.hint)
    return entry._replace(verdict=verdict)


def kin_of(m: Machine, caller: Process, call: Call) -> Kin:
    """How the process that a call names stands to its caller."""
    pid = named(call)
    if pid is None or pid not in m.table:
        return Kin()
    other = m.table[pid]
    below = m.table.is_below(other, caller.pid)
    tree = other.root == caller.root
    return Kin(there=True, below=below, tree=tree, parent=pid == caller.ppid)


def judged(
    m: Machine, caller: Process, entry: Entry, image: Image, mine: Authority
) -> tuple[Entry, Deed]:
    """The call as the policy sees it, its handles replaced by values. Raises: Invalid."""
    call = entry.call
    if not isinstance(call, CallTool):
        _, args = handles.fill(dict(entry.args), OTHERS, {}, caller.label, mine)
        return entry, Deed(call.name, OTHERS, "once", args)
    act = m.act_of(call.tool)
    known = authority.results(m, image)
    filled, args = handles.fill(call.args, act, known, caller.label, mine)
    sink = f"app:{call.tool.split('.')[0]}"
    filled = {"tool": call.tool, "args": filled}
    return entry._replace(filled=filled), Deed(call.tool, act, entry.effect, args, sink)
