"""An answer as it grows, over slices and retries: deltas folded, calls decoded. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from oros.abi import wire
from oros.abi.errors import OrosError
from oros.abi.events import Finish, ModelReplied
from oros.abi.grants import Usage
from oros.abi.labels import Label
from oros.abi.message import Ask, Message, Part, ReasoningPart, TextPart
from oros.abi.ports import (
    AskDelta,
    Delta,
    Finished,
    ModelInfo,
    ModelRequest,
    ReasoningDelta,
    TextDelta,
)
from oros.paging.context import CHARS_A_TOKEN


@dataclass(slots=True)
class Draft:
    """An answer as it grows. `base` is the text it went on from; `failure`: why it has no end.

    `need`: tokens that the call may take, those it reads and those of the answer; `quiet`: it is a
    summary, which nobody is shown as it comes.

    `queued`, `first`, `held`: seconds for a slot, until the first token, on the slot.
    """

    base: str = ""
    need: int = 0
    text: list[str] = field(default_factory=list)
    asks: dict[int, AskDelta] = field(default_factory=dict)
    thoughts: dict[int, ReasoningDelta] = field(default_factory=dict)
    finish: Finish = "stop"
    usage: Usage | None = None
    before: int = 0
    queued: float = 0.0
    first: float = 0.0
    held: float = 0.0
    preempted: int = 0
    failure: OrosError | None = None
    quiet: bool = False

    @property
    def whole(self) -> str:
        """All the text so far."""
        return self.base + "".join(self.text)

    def take(self, batch: Sequence[Delta]) -> None:
        """Fold deltas in."""
        for delta in batch:
            match delta:
                case TextDelta(text=text):
                    self.text.append(text)
                case AskDelta(index=index):
                    old = self.asks.get(index, AskDelta(index))
                    self.asks[index] = AskDelta(
                        index, old.id or delta.id, old.name + delta.name, old.args + delta.args
                    )
                case ReasoningDelta(index=index):
                    was = self.thoughts.get(index, ReasoningDelta(index))
                    self.thoughts[index] = ReasoningDelta(
                        index,
                        was.thought + delta.thought,
                        delta.by or was.by,
                        delta.opaque or was.opaque,
                    )
                case Finished(finish=finish, usage=usage):
                    self.finish, self.usage = finish, usage
                case _:
                    pass

    @property
    def parts(self) -> tuple[Part, ...]:
        """What was thought, then the text."""
        thought = (x for _, x in sorted(self.thoughts.items()))
        found: list[Part] = [ReasoningPart(x.thought, x.by, x.opaque) for x in thought]
        return (*found, TextPart(self.whole)) if self.whole else tuple(found)

    def again(self) -> None:
        """Forget what can't be gone on with: calls and thoughts begin anew, text goes on."""
        self.asks.clear()
        self.thoughts.clear()

    def resumed(self, request: ModelRequest) -> ModelRequest:
        """The request that goes on from what is there."""
        if not self.text:
            return request
        messages = request.messages[:-1] if self.base else request.messages
        part = Message("assistant", (TextPart(self.whole),), partial=True)
        left = request.max_tokens - self.before
        return replace(request, messages=(*messages, part), max_tokens=left)

    def asked(self) -> tuple[Ask, ...]:
        """The calls, in order; ids made unique, arguments decoded if they are an object."""
        found: list[Ask] = []
        seen: set[str] = set()
        for index, delta in sorted(self.asks.items()):
            name = delta.id if delta.id not in ("", *seen) else f"{delta.id or 'call'}-{index}"
            seen.add(name)
            found.append(Ask(name, delta.name, wire.arguments(delta.args)))
        return tuple(found)

    def reply(
        self, info: ModelInfo, label: Label, cut: str, read: int, about: tuple[int, ...] = ()
    ) -> ModelReplied:
        """The reply as a fact.

        `label`: of what the model was shown; `cut`: the signal that ended it, if one did; `read`:
        tokens that it was shown, as an estimate; `about`: the pages that it sums up.
        """
        label |= Label(label.integrity, None, frozenset({info.name}))
        error = "" if self.failure is None else str(self.failure)
        half = bool(cut or error)
        asks = () if half else self.asked()
        finish: Finish = ("interrupted" if cut == "INT" else "preempted") if cut else self.finish
        parts = () if half and not self.whole else self.parts  # thoughts alone are no answer
        message = Message("assistant", parts, asks, partial=half and bool(parts), label=label)
        said = int(len("".join(self.text)) / CHARS_A_TOKEN) - self.before
        thought = int(sum(len(x.thought) for x in self.thoughts.values()) / CHARS_A_TOKEN)
        called = int(sum(len(x.args) for x in self.asks.values()) / CHARS_A_TOKEN)
        made = max(0, said) + thought + called
        lost = Usage(0 if error or not self.held else read, made, reasoning=thought)
        used = self.usage or lost
        out = used.tokens_out + self.before
        cost = info.cost(replace(used, tokens_out=out) if self.before else used)
        usage = Usage(
            used.tokens_in, out, used.cached, cost, self.held, 1, used.written, used.reasoning
        )
        queued, first, held = round(self.queued, 4), round(self.first, 4), round(self.held, 4)
        return ModelReplied(
            message, usage, finish, info.name, queued, first, held, self.preempted, error, about
        )
