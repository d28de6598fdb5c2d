"""What a process may do on its user's behalf: words, grants, uses; and the cards it asks by.

It gathers what the monitor decides on; it decides nothing. `allow` and `deny` are the person's.
"""

from dataclasses import replace

from oros.abi.acts import WORST
from oros.abi.errors import Invalid
from oros.abi.events import CallEntered, CallReturned, Carded, Granted, Received, Signalled, Spent
from oros.abi.grants import Grant
from oros.abi.ids import INIT, PERSON, Pid
from oros.abi.labels import USER, Integrity
from oros.abi.message import Json, say
from oros.abi.syscalls import Allow, Deny, Outcome
from oros.kernel.changes import Change, Result
from oros.kernel.image import Image
from oros.kernel.journal import Entry
from oros.kernel.machine import Machine, args_of
from oros.kernel.process import Process
from oros.monitor import handles
from oros.monitor.access import OTHERS
from oros.monitor.cards import MOST, answered, merged, said_by_person, traced
from oros.monitor.grants import Authority, narrowed
from oros.monitor.phrases import arranged


def classes(m: Machine) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The classes of act that there are, each with what users say who ask for it."""
    if (tools := m.tools) is not m.classes[0]:
        found = {OTHERS.name: OTHERS.triggers}
        found |= {t.spec.act.name or t.spec.name: t.spec.act.triggers for t in tools}
        m.classes = (tools, tuple(found.items()))
    return m.classes[1]


def authority(m: Machine, process: Process, image: Image) -> Authority:
    """All grants of a process: of its user's words, and what came besides. Arranged once."""
    key = (len(image.words), process.grants, process.denied, classes(m))
    if image.mine is None or image.mine[0] != key:
        image.mine = (key, arranged(tuple(image.words), key[3], key[1], key[2]))
    return image.mine[1]


def results(m: Machine, image: Image) -> handles.Results:
    """What calls gave, each with the type of its tool."""
    return handles.Results(image.results, m.act_of)


def returning(m: Machine, caller: Process, entered: CallEntered, outcome: Outcome) -> CallReturned:
    """The return of a call; a guarded process is shown no text of others in it."""
    back = CallReturned(entered.id, outcome)
    low = outcome.label.integrity < Integrity.PROVIDER <= caller.label.integrity
    if not (caller.guard and low):
        return back
    args = args_of(entered)
    act = m.act_of(str(args.get("tool"))) if entered.name == "call" else WORST
    if entered.name == "wait" and outcome.error is None:
        args, act = {"schema": m.find(outcome.value["pid"]).schema}, handles.ENDED
    view = handles.masked(act, handles.whole(outcome), f"${entered.id}", args)
    return replace(back, view=view, seen=handles.unread(caller.label, outcome.label))


def given(m: Machine, parent: Process) -> tuple[Grant, ...]:
    """What a child gets of its parent: all that it has itself. The person gives their words."""
    if parent.pid == PERSON:
        return ()
    return narrowed(authority(m, parent, m.journal.peek(parent.pid)).grants)


def above(m: Machine, process: Process) -> list[Process]:
    """The process and those above it that share its grants."""
    return [row for row in m.table.ancestors(process) if row.pid != PERSON and row.alive]


def spent(m: Machine, process: Process) -> dict[str, int]:
    """How often each class of act was done under the grants that a process shares."""
    found: dict[str, int] = {}
    for row in above(m, process):
        for act, count in row.spent:
            found[act] = max(count, found.get(act, 0))
    return found


def charge(m: Machine, process: Process, act: str) -> list[Entry]:
    """What a call of a class costs those above its caller."""
    if not act:
        return []
    return [(r, Spent(act, process.pid)) for r in above(m, process) if r is not process]


async def card(m: Machine, process: Process, image: Image, what: Carded) -> None:
    """Ask the person; after some cards without a word of theirs the task pauses instead."""
    if what.items and image.cards >= MOST:
        why = f"it asked {image.cards} times: look at what it wants (oros grants {process.pid})"
        await m.journal.sync((process, Signalled("STOP", INIT, why)))
        return
    items = merged(traced(i, image.results) for i in what.items)
    asks = tuple(a.id for a in image.queue)
    await m.journal.sync((process, replace(what, items=items, asks=asks)))


def allow(m: Machine, _: Process, call: Allow) -> Result:
    """The person grants what a card asks, or something more."""
    image = m.journal.peek(call.pid)
    if call.what:
        known = call.what in dict(classes(m))
        return grant(m, call.pid, Granted((said_by_person(call.what, call.uses, act=known),)))
    if image.card is None:
        raise Invalid(f"allow: process {call.pid} asks nothing", "say what: oros allow PID WHAT")
    event = answered(image.card.items, call.items, call.instead)
    change = grant(m, call.pid, event)
    if call.instead:  # nothing of the model's stands in it: the user's words name what they name
        said = say("user", f"Take this instead: {call.instead}", USER)
        change.entries.append((m.table[call.pid], Received(PERSON, said, "steer")))
    return change


def deny(m: Machine, _: Process, call: Deny) -> Result:
    """The person says no to a card, or takes a grant back, from all below too."""
    image = m.journal.peek(call.pid)
    if not call.what:
        if image.card is None:
            raise Invalid(f"deny: process {call.pid} asks nothing", "oros grants PID lists names")
        return grant(m, call.pid, answered(image.card.items, (0,)))
    rows = [m.table[call.pid], *m.table.below(call.pid)]
    entries: list[Entry] = [(r, Granted((), (call.what,))) for r in rows if r.alive]
    return Change(Outcome(value={"denied": [call.what]}), entries)


def grant(m: Machine, pid: Pid, event: Granted) -> Change:
    """Journal what the person said, and let the process go on."""
    target = m.table[pid]
    value: Json = {"granted": [g.name for g in event.grants], "denied": [*event.denied]}
    return Change(Outcome(value=value), [(target, event)], [lambda: m.start(target)])
