"""The flight recorder played back: a run is decided anew, call for call, with everything unplugged.

What the model said and what the devices answered is taken from the journal; what the process did
next is decided again and compared. Nothing is performed.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from oros.abi import chain, wire
from oros.abi.actions import Action, Again, Do, Finish, Rest, Think
from oros.abi.events import CallEntered, Event, Exited, ModelCalled, Parked
from oros.abi.message import Json
from oros.abi.ports import Row
from oros.kernel import shapes
from oros.kernel.control import ENDS
from oros.kernel.image import Image
from oros.kernel.shapes import Shapes
from oros.monitor import handles
from oros.monitor.handles import Result
from oros.services.shapes import SHAPES


@dataclass(slots=True)
class Replay:
    """How a replay went: acts compared, and the first place where it went another way."""

    events: int = 0
    acts: int = 0
    calls: list[str] = field(default_factory=list)
    differs: str = ""

    @property
    def same(self) -> bool:
        """Whether every act was decided as it was recorded."""
        return not self.differs

    def plain(self) -> dict[str, Json]:
        """As JSON."""
        found = {"events": self.events, "acts": self.acts, "same": self.same}
        return found | {"calls": list(self.calls), "differs": self.differs}


def replay(rows: Sequence[Row], known: Shapes = SHAPES) -> Replay:
    """Fold a journal event by event and decide each act again. Raises: Corrupt."""
    own = [r for r in rows if r.pid == rows[-1].pid] if rows else []
    chain.verify(own, own[0].prev if own else b"")
    image, result = Image(), Replay()
    for row in rows:
        event = wire.decode_event(row.kind, row.body)
        result.events += 1
        if isinstance(event, ModelCalled | CallEntered | Exited | Parked) and not result.differs:
            compare(known, image, event, row, result)
        shapes.absorb(known, image, event, row.seq)
    return result


def told(answer: str, results: Mapping[str, Result]) -> str:
    """An answer with the texts in the place of their handles, as the end of a process has it."""
    return handles.told(answer, results)[0]


def compare(known: Shapes, image: Image, event: Event, row: Row, result: Replay) -> None:
    """Hold one recorded act against the one decided now."""
    if not image.context.pages:
        return
    action: Action = shapes.decide(known, image)
    ok = True
    match event:
        case ModelCalled():
            ok = isinstance(action, Think | Again)
        case CallEntered():
            result.calls.append(f"{event.name} {json.dumps(event.args)}")
            ok = isinstance(action, Do) and action.ask.name == event.name
            ok = ok and isinstance(action, Do) and agrees(action.ask.args, event.args)
        case Exited() if event.status == 22 or (event.status, event.why) in ENDS.values():
            return
        case Exited():
            done = isinstance(action, Finish) and told(action.answer, image.results) == event.answer
            ok = done or (image.open is not None and image.open.name == "exit")
        case Parked():
            ok = isinstance(action, Rest)
        case _:
            return
    result.acts += 1
    if not ok:
        result.differs = f"event {row.seq}: recorded {event.kind}, decided {action!r:.200}"


def agrees(asked: Json, entered: Json) -> bool:
    """Whether the arguments asked for are those that were entered (defaults may be left out)."""
    if not isinstance(asked, dict) or not isinstance(entered, dict):
        return bool(asked == entered)
    return all(k in asked and alike(asked[k], v) for k, v in entered.items())


def alike(a: Json, b: Json) -> bool:
    """Equal as JSON: numbers by value, tuples as lists."""
    return bool(json.loads(json.dumps(a)) == json.loads(json.dumps(b)) or str(a) == str(b))
