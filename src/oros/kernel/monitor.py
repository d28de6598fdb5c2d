"""The reference monitor: may this process make this call? Pure, total, asked by dispatch alone.

It holds what the machine enforces today: a program's calls, the rights of mounts, and who may
touch which process. Labels are carried past here already; what they forbid is decided here too,
when the policy of labels comes.
"""

from oros.abi.errors import AccessDenied, NoCall, OrosError
from oros.abi.ids import INIT, PERSON
from oros.abi.syscalls import Call, Fork, Kill, Nice, Send, Spawn, Wait
from oros.kernel.process import Process, Table

WRITES = frozenset({"write", "remove"})


def check(process: Process, call: Call, right: str, table: Table) -> OrosError | None:
    """None allows. `right` is that of the mount which the call's path lies in, "" without one."""
    if process.pid == PERSON:
        return None
    if call.name not in process.calls:
        calls = " ".join(process.calls)
        return NoCall(f"{process.program} has no call {call.name}", f"its calls: {calls}")
    if call.name in WRITES and right != "rw":
        return AccessDenied(f"{call.name}: it is mounted to read", "ask for it to be mounted rw")
    if isinstance(call, Spawn) and (call.folder or call.review or call.net):
        why = "spawn: only the person gives a folder or the network"
        return AccessDenied(why, "a child has what you have")
    return touch(process, call, table)


def touch(process: Process, call: Call, table: Table) -> OrosError | None:
    """Calls that name another process: down its own tree; pid 1 speaks for the person."""
    match call:
        case Kill(pid=pid) | Nice(pid=pid):
            pass
        case Fork(pid=pid) if pid != PERSON:
            pass
        case Wait(pid=pid) if pid != PERSON:
            if pid in table and table[pid].root == process.root:
                return None
        case Send(pid=pid):
            if pid in table and (table[pid].root == process.root or pid == process.ppid):
                return None
        case _:
            return None
    if process.pid == INIT and pid != INIT:
        return None
    if pid in table and not table.is_below(table[pid], process.pid):
        return AccessDenied(f"{call.name}: process {pid} is not yours")
    return None
