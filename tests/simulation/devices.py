"""What the simulated machine is connected to: a ledger that outlives crashes, a moody model."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from oros.abi.acts import Act
from oros.abi.errors import Busy, DeviceFailed, NotAuthorized, Unreachable
from oros.abi.events import CallEntered
from oros.abi.labels import Label
from oros.abi.ports import Caller, Delta, ModelInfo, ModelRequest, Tool, ToolSpec
from oros.abi.syscalls import Effect, Failure, Outcome
from oros.abi.wire import decode_event
from oros.sdk.testing.memory import Disk
from oros.sdk.testing.scripted import ScriptedModel

OUTSIDE = Label(origins=frozenset({"outside"}))


@dataclass
class Ledger:
    """The world outside: what was done, how often, by the key of its call."""

    disk: Disk
    done: Counter[str] = field(default_factory=Counter)

    def apply(self, who: Caller, effect: Effect) -> None:
        """An effect happens. Its intent must be in the journal for good."""
        assert intent(self.disk, who) == who.key, f"{who.key} was done before it was written down"
        if effect == "once" or not self.done[who.key]:
            self.done[who.key] += 1


def intent(disk: Disk, who: Caller) -> str:
    """The key of the last committed intent of a process."""
    for row in reversed(disk.events.get(who.pid, [])):
        if row.kind == "call_entered":
            event = decode_event(row.kind, row.body)
            assert isinstance(event, CallEntered)
            return event.key
    return ""


@dataclass
class Worker:
    """A tool that takes time, fails now and then, and may be unable to tell what happened."""

    ledger: Ledger
    effect: Effect
    chance: random.Random
    knows: bool = True

    async def perform(self, who: Caller, args) -> Outcome:
        await asyncio.sleep(self.chance.choice((0, 0.001, 0.3)))
        if self.chance.random() < 0.1:
            raise DeviceFailed("it did not work")
        if self.effect not in ("pure", "read"):
            self.ledger.apply(who, self.effect)
        await asyncio.sleep(self.chance.choice((0, 0.001, 0.3)))
        return Outcome(value={"did": args}, label=OUTSIDE)

    async def reconcile(self, who: Caller, args) -> Outcome | None:
        await asyncio.sleep(0.001)
        if not self.knows:
            return None
        if self.ledger.done[who.key]:
            return Outcome(value={"did": args})
        return Outcome(error=Failure.of(Busy("it surely did not happen")))


def tools(ledger: Ledger, chance: random.Random) -> dict[str, Tool]:
    """One tool of each kind of effect."""
    made = {
        "look": Worker(ledger, "read", chance),
        "put": Worker(ledger, "idempotent", chance),
        "pay": Worker(ledger, "once", chance),
        "shout": Worker(ledger, "once", chance, knows=False),
    }
    acts = {n: Act(n, n, {"n": "enum"}, triggers=(n,)) for n in made}  # goals name their tools
    return {n: Tool(ToolSpec(n, n, {}, w.effect, acts[n]), w) for n, w in made.items()}


class MoodyModel(ScriptedModel):
    """A scripted model that is busy, drops the line in mid-answer, or refuses."""

    def __init__(self, script, chance: random.Random, clock, info: ModelInfo, speed: float) -> None:
        super().__init__(script, info, clock, speed, chance.choice((0.0, 0.05, 2.0)))
        self.chance = chance
        self.moody = chance.random() < 0.5

    async def generate(self, request: ModelRequest) -> AsyncIterator[Sequence[Delta]]:
        mood = self.chance.random() if self.moody else 1.0
        self.requests.clear()
        if mood < 0.04:
            raise Busy("too many at once", retry_after=self.chance.random() * 3)
        if mood < 0.05:
            raise NotAuthorized("the key is refused")
        left = self.chance.randrange(4) if mood < 0.12 else -1
        async for batch in super().generate(request):
            if left == 0:
                raise Unreachable("the line went dead")
            left -= 1
            yield batch
