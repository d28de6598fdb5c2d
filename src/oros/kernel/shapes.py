"""What every program shares, whatever its shape: fold a fact, decide the next act.

`decide` is a pure function of the folded image: so a process goes on after a crash from its
journal, and a recorded run can be checked act by act with model and devices unplugged. What is a
shape's own (tool calls one by one, one program for the whole job) is handed in from outside.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from oros.abi.actions import Action, Again, Do, Finish, Pause, Rest
from oros.abi.events import Event
from oros.abi.ids import Seq
from oros.kernel import image as process_image
from oros.kernel.image import Image

SAME_CALLS = 5
"""Identical calls with identical outcomes in a row, after which a process is paused."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Two pure functions: fold what is the shape's own; decide when nothing else comes first."""

    absorb: Callable[[Image, Event], None]
    decide: Callable[[Image], Action]


Shapes = Mapping[str, Shape]


def absorb(shapes: Shapes, image: Image, event: Event, seq: Seq) -> None:
    """Fold one event into the image, as for every shape, then as for its own."""
    process_image.apply(image, event, seq)
    shapes[image.program.shape].absorb(image, event)
    image.settle()


def decide(shapes: Shapes, image: Image) -> Action:
    """What a process does next. Reasons to stop come before reasons to go on."""
    program = image.program
    if image.terminated:
        return Finish(143, "", "terminated")
    if image.open is not None:
        return Again(image.open)
    if image.error:
        return Pause(image.error)
    if image.card is not None:
        return Rest("card")
    if image.interrupted:
        return Rest("message")
    if image.same >= SAME_CALLS:
        return Pause(f"it made the same call {image.same} times: {image.last_call[:80]}")
    if image.turns >= program.max_turns:
        return Pause(f"it took {image.turns} turns without an end")
    if image.queue:
        return Do(image.queue[0])
    return shapes[program.shape].decide(image)
