"""Decode and authorise: what a call is, whether it may be made, and what the person is asked first.

Here the monitor is asked, and nowhere else. Nothing is changed by it.
"""

from dataclasses import dataclass, replace

from oros.abi import wire
from oros.abi.acts import Item
from oros.abi.errors import AccessDenied, Invalid, OrosError
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

NO_CALLS_FOR_PERSON = frozenset({"recv", "ask", "sleep", "exit"})
FREE = Verdict("allow", 0, "")


@dataclass(frozen=True, slots=True)
class Entry:
    """A call that was decoded and is not forbidden. `filled`: its arguments without handles."""

    call: Call
    args: Json
    effect: Effect
    mounts: tuple[MountPoint, ...]
    point: MountPoint | None = None
    rest: str = ""
    filled: Json = None
    act: str = ""
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
    if caller.pid == PERSON and call.name in NO_CALLS_FOR_PERSON:
        raise Invalid(f"{call.name} is for processes, not for the person")
    point, rest = None, ""
    if isinstance(call, Read | Write | List | Search | Stat | Remove):
        path = call.path.replace("/proc/self", f"/proc/{caller.pid}", 1)
        point, rest = namespace.resolve(mounts, path)
    elif isinstance(call, Mount):
        point, _ = namespace.resolve(mounts, call.source)
    kin = kin_of(m, caller, call)
    actor = Actor(caller.pid, caller.program, caller.calls)
    refusal = access(actor, call, point.right if point else "", kin)
    if refusal is not None:
        raise refusal
    entry = Entry(call, wire.call_args(call), call.effect, mounts, point, rest)
    if caller.pid == PERSON:
        return entry if not isinstance(call, CallTool) else of_tool(m, call, entry)
    entry, deed = judged(m, caller, call, entry, kin)
    if deed is None or settled:
        return entry
    mine = authority.authority(m, caller, m.journal.peek(caller.pid))
    verdict = decide(deed, Subject(caller.label, mine, authority.spent(m, caller)))
    if verdict.kind == "refuse":
        raise AccessDenied(verdict.reason, verdict.hint)
    return replace(entry, verdict=verdict, act=verdict.spends)


def kin_of(m: Machine, caller: Process, call: Call) -> Kin:
    """How the process that a call names stands to its caller."""
    pid = named(call)
    if pid is None or pid not in m.table:
        return Kin()
    other = m.table[pid]
    below = m.table.is_below(other, caller.pid)
    tree = other.root == caller.root
    return Kin(there=True, below=below, tree=tree, parent=pid == caller.ppid)


def of_tool(m: Machine, call: CallTool, entry: Entry) -> Entry:
    """An entry with the effect that the tool declares."""
    return replace(entry, effect=m.tool(call.tool).spec.effect, filled=entry.args)


def judged(
    m: Machine, caller: Process, call: Call, entry: Entry, kin: Kin
) -> tuple[Entry, Deed | None]:
    """The call as the policy sees it; None for what it is not about. Raises: NoDevice, Invalid."""
    if isinstance(call, CallTool):
        spec, image = m.tool(call.tool).spec, m.journal.peek(caller.pid)
        known = {k: replace(r, act=m.act_of(r.tool)) for k, r in image.results.items()}
        mine = authority.authority(m, caller, image)
        filled, args = handles.fill(call.args, spec.act, known, caller.label, mine)
        entry = replace(of_tool(m, call, entry), filled={"tool": call.tool, "args": filled})
        sink = f"app:{call.tool.split('.')[0]}"
        return entry, Deed(call.tool, spec.act, spec.effect, args, sink, filled)
    if kin.there and not (kin.below or kin.tree or kin.parent):
        _, args = handles.fill(dict(entry.args), OTHERS, {}, caller.label, handles.NO_AUTHORITY)
        return entry, Deed(call.name, OTHERS, "once", args, given=entry.args)
    return entry, None
