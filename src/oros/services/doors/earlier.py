"""What a client goes on from: what it had asked and was answered before, as the journal has it."""

from dataclasses import replace

from oros.abi.errors import Invalid, Unsupported
from oros.abi.events import Event, Exited, ModelReplied, Received, Spawned
from oros.abi.ids import Pid
from oros.abi.message import FilePart, Message, Part, TextPart
from oros.abi.ports import Store
from oros.kernel.machine import Machine
from oros.services.doors.jobs import PREFIX
from oros.services.doors.keys import Asker
from oros.services.doors.think import DOOR
from oros.services.doors.wanted import After, Wanted, filled

AGAIN = "send the whole conversation"


async def gone_on(m: Machine, who: Asker, wanted: Wanted, after: After) -> Wanted:
    """A request with the conversation that it goes on from, under the labels that it had then.

    Raises: Invalid, if the key has no such answer, or nothing is asked; Unsupported for a program,
    whose goal would be text that others wrote; what the store raises.
    """
    if wanted.model.startswith(PREFIX):
        raise Unsupported("a program goes on from no earlier answer", AGAIN)
    await m.journal.sync()  # an answer is told before its end is on disk
    events = [f.event for f in m.journal.facts(after.pid)]
    first = events[0] if events else None
    if (
        not isinstance(first, Spawned)
        or first.parent != who.row.pid
        or first.program.shape != DOOR.shape
    ):
        raise Invalid(f"the key {who.key.name} has no answer {after.pid} to go on from", AGAIN)
    found = conversation(m.world.store, events, after.pid)
    head, rest = wanted.messages[: wanted.head], wanted.messages[wanted.head :]
    return replace(wanted, messages=filled((*head, *found[after.head :], *rest)), after=None)


def conversation(store: Store, events: list[Event], pid: Pid) -> list[Message]:
    """What was asked, and the answer. Raises: Invalid, if it was cut."""
    asked = [shown(store, e.message) for e in events if isinstance(e, Received)]
    answers = [e.message for e in events if isinstance(e, ModelReplied)]
    ended = next((e for e in reversed(events) if isinstance(e, Exited)), None)
    if not answers or ended is None or ended.status != 0:
        raise Invalid(f"the answer {pid} has no end: it was cut, or goes on still", AGAIN)
    return [*asked, answers[-1]]


def shown(store: Store, message: Message) -> Message:
    """A message as it was sent: its long texts stand in it again."""
    parts: list[Part] = []
    for part in message.parts:
        if isinstance(part, FilePart):
            text = store.get_blob(part.blob).decode(errors="surrogatepass")
            parts.append(TextPart(text))
        else:
            parts.append(part)
    return replace(message, parts=tuple(parts))
