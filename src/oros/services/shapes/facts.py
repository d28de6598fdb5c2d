"""The shape of the process that notes what others came to: read, ask once, write down.

The model is shown what a finished process was asked and what it answered, and says under a schema
what of it is worth keeping; each fact is one file of memory. What it keeps has the label of what it
read, as everything that a process writes.
"""

import re

from oros.abi import wire
from oros.abi.actions import Action, Finish
from oros.abi.events import CallReturned, Event, ModelReplied, Spawned
from oros.abi.message import Ask, say
from oros.kernel.image import Image
from oros.services.shapes import reader

MOST = 5
"""Facts of one process."""
CHARS = 300
"""Of one fact."""
SCHEMA = {
    "type": "object",
    "properties": {
        "facts": {
            "type": "array",
            "maxItems": MOST,
            "items": {"type": "string", "maxLength": CHARS},
        }
    },
    "required": ["facts"],
    "additionalProperties": False,
}


def absorb(image: Image, event: Event) -> None:
    """Fold what is this shape's own: `phase` goes read, ask, write, done."""
    match event:
        case Spawned():
            image.context.add("program", say("system", event.program.prompt))
            image.phase = "read" if pid_of(image) else "done"
            image.notes |= {"paths": [f"/mem/ended/{pid_of(image)}"], "schema": SCHEMA}
        case CallReturned() if image.phase == "read":
            image.phase = "done" if event.outcome.error else "ask"
            text = event.outcome.shown(image.program.page)
            image.context.add("turn", say("user", text, event.outcome.label))
        case ModelReplied() if reader.is_whole(event):
            image.queue = [write(image, n, fact) for n, fact in enumerate(facts(event), 1)]
            image.notes["count"] = len(image.queue)
            image.phase = "done"
        case _:
            pass


def decide(image: Image) -> Action:
    """Read, ask, and end; the writes are made from the queue before this is asked."""
    if image.phase != "done":
        return reader.decide(image)
    return Finish(0, f"{image.notes.get('count', 0)} facts kept")


def pid_of(image: Image) -> str:
    """The process that the goal names, "" if none."""
    found = re.search(r"\d+", image.goal)
    return found[0] if found else ""


def facts(event: ModelReplied) -> list[str]:
    """What the model wants kept: each once, none empty; nothing if it is not as was asked."""
    found = wire.arguments(event.message.text)
    listed = found.get("facts") if isinstance(found, dict) else None
    if not isinstance(listed, list):
        return []
    plain = [" ".join(str(f).split())[:CHARS] for f in listed if isinstance(f, str)]
    return [f for f in dict.fromkeys(plain) if f][:MOST]


def write(image: Image, number: int, fact: str) -> Ask:
    """Keep one fact."""
    path = f"/mem/user/facts/{pid_of(image)}-{number}"
    return Ask(f"fact{number}", "write", {"path": path, "text": fact})
