"""A program of the machine as a model: a process does the job, its answer is what the model says.

`oros/steps` is the program `steps`. It works in the folder of the key, under its budget and class;
what it says on its way is told as thoughts. A client that goes away ends it.
"""

import asyncio
from dataclasses import replace
from typing import Literal

from oros.abi.errors import DeviceFailed, Invalid, OrosError, Unsupported, revive
from oros.abi.events import CallEntered, CallReturned, Carded, Event, Exited, Parked, Signalled
from oros.abi.grants import NO_USAGE, Usage
from oros.abi.ids import PERSON, CallId, Pid
from oros.abi.message import Json, Message
from oros.abi.ports import Progress, ReasoningDelta, TextDelta
from oros.abi.syscalls import Spawn
from oros.abi.watch import Fact, Token
from oros.abi.wire import call_args
from oros.kernel import control
from oros.kernel.changes import Change
from oros.kernel.ending import reap
from oros.kernel.machine import Machine
from oros.services.doors.keys import Asker, end
from oros.services.doors.wanted import Begun, Said, Step, Tell, Wanted
from oros.services.hub import Hub

PREFIX = "oros/"
"""How the names of programs begin, as models."""
WAITS = "\n[process {0} waits for its user: {1}. At the machine: oros grants {0}, oros send {0}]"


async def work(m: Machine, hub: Hub, who: Asker, model: str, wanted: Wanted, tell: Tell) -> None:
    """Start the program on a model, and tell its answer. Cancelled: the client went away.

    Raises: Unsupported, what `spawn` raises, and why the process failed.
    """
    if wanted.tools or wanted.schema is not None:
        raise Unsupported("a program of this machine takes no tools and no schema", "ask a model")
    if any(p.kind in ("image", "audio", "file") for m in wanted.messages for p in m.parts):
        hint = "put it in the folder that the key gives"
        raise Unsupported("a program takes words: no picture, sound or file", hint)
    pid, change = spawned(m, who, model, wanted)
    try:
        async with hub.watch(pid) as live:
            await m.journal.sync(*change.entries, after=change.after)
            tell([Begun(pid, m.find(pid).started)])
            async for batch in live:
                steps = [s for x in batch for s in told(m, pid, x)]
                tell(steps)
                if any(isinstance(s, Said) for s in steps):
                    return
        raise DeviceFailed("the machine fell behind what its own process says")
    except (OrosError, asyncio.CancelledError):
        if pid in m.table and m.table[pid].alive:
            end(m, pid, "nobody waits for the answer any more")
        raise
    finally:
        buried, after = reap(m, who.row)
        m.journal.write(*buried)
        for act in after:
            act()


def spawned(m: Machine, who: Asker, model: str, wanted: Wanted) -> tuple[Pid, Change]:
    """The process as it is to be written, and the key's call for it. Raises: as `spawn` does.

    Under a key of the user's own the goal is the user's word, and the process theirs.
    """
    row, program = who.row, wanted.model.removeprefix(PREFIX)
    nice: Literal[0, 1] = 1 if row.nice else 0
    call = Spawn(goal_of(wanted.messages), program, model, nice, who.limits)
    caller = replace(row, pid=PERSON) if who.key.mine else row
    change = control.perform(m, caller, call)
    if not isinstance(change, Change):
        raise Invalid("a program can't be started now")
    value: Json = change.outcome.value
    entered = CallEntered(CallId(f"c{row.seq + 1}"), "spawn", call_args(call), "control", "")
    back = CallReturned(entered.id, change.outcome)
    change.entries = [
        (row, entered),
        *change.entries,
        (row, back),
        (row, Parked("message")),
    ]
    return Pid(value["pid"]), change


def goal_of(messages: tuple[Message, ...]) -> str:
    """The last user's message; what came before it stands above. Raises: Invalid."""
    last = messages[-1]
    if last.role != "user" or not last.text.strip():
        raise Invalid("a program takes a conversation that ends with a user's text")
    earlier = [f"{m.role}: {m.text}" for m in messages[:-1] if m.text.strip()]
    if not earlier:
        return last.text
    return "\n".join(["Earlier in this conversation:", *earlier, "", last.text])


def told(m: Machine, pid: Pid, item: Fact | Token) -> list[Step]:
    """What a client is told of a fact or a token. Raises: why the process failed."""
    if isinstance(item, Token):
        if item.what == "progress":
            return [Progress(item.text, item.done, item.total)]
        return [ReasoningDelta(0, item.text, "oros")]
    return ended(m, pid, item.event)


def ended(m: Machine, pid: Pid, event: Event) -> list[Step]:
    """The last words, if a fact ends the job or makes it wait for its user."""
    match event:
        case Exited(status=0):
            return [TextDelta(event.answer), Said(event.answer, usage=m.find(pid).usage)]
        case Exited():
            code, _, rest = event.why.partition(": ")
            error = revive(code, rest or event.why)
            raise revive(error.code, f"process {pid}: {rest or event.why}")
        case CallEntered(name="ask", verdict="allow"):
            args: Json = event.args
            return waits(pid, str(args.get("question", "")), usage_of(m, pid))
        case Carded(items=items) if items:
            return waits(pid, "it asks whether it may do something", usage_of(m, pid))
        case Signalled(signal="STOP"):
            return waits(pid, event.why or "it was stopped", usage_of(m, pid))
        case _:
            return []


def usage_of(m: Machine, pid: Pid) -> Usage:
    """What a process has used so far."""
    return m.table[pid].usage if pid in m.table else NO_USAGE


def waits(pid: Pid, why: str, usage: Usage) -> list[Step]:
    """The end of an answer whose process goes on once its user has spoken at the machine."""
    text = WAITS.format(pid, " ".join(why.split()))
    return [TextDelta(text), Said(text, usage=usage)]
