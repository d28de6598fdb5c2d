"""The shape of what is asked over the doors: one answer of a model, and the end.

What it is shown came with the request; calls that the model asks for are the client's to make. A
key of the doors has this shape, too: it waits.
"""

from oros.abi.actions import Action, Finish, Rest, Think
from oros.abi.events import Event, ModelReplied, Moved, Signalled
from oros.kernel.image import Image

GONE = (130, "nobody waits for the answer any more")
"""Status and reason of one whose answer was cut, and of one that a restart of the machine cut."""


def absorb(image: Image, event: Event) -> None:
    """Fold what is this shape's own."""
    match event:
        case ModelReplied():
            whole = event.finish in ("stop", "length", "calls") and not event.error
            image.phase = "said" if whole else "cut"
            image.notes["answer"] = event.message.text if whole else ""
            image.queue.clear()
            image.error = ""
        case Moved():
            image.phase = "begin"
        case Signalled():
            image.interrupted = False
        case _:
            pass


def decide(image: Image) -> Action:
    """Think once, on another model if one fails; a key rests."""
    if image.program.standing:
        return Rest("message")
    match image.phase:
        case "said":
            return Finish(0, str(image.notes["answer"]))
        case "cut":
            return Finish(GONE[0], "", GONE[1])
        case _:
            return Think(image.context.window())
