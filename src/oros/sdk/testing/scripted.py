"""A model that says what a script says: deterministic, in any time, with faults on demand.

    def script(request):
        return Answer("hello") if len(request.messages) < 3 else OverBudget("stop")

    model = ScriptedModel(script, tokens_a_second=40, clock=clock)

It goes on from a partial answer, so that a preempted text equals an unpreempted one.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from oros.abi.errors import OrosError, TooBig
from oros.abi.events import Finish
from oros.abi.grants import Usage
from oros.abi.message import Ask
from oros.abi.ports import AskDelta, Clock, Delta, Finished, ModelInfo, ModelRequest, TextDelta

INFO = ModelInfo("scripted", 32768, 2, frozenset({"tools", "resume"}), (0, 0, 0))
WORD = 4
"""Characters of a scripted token."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What to say: text, calls, how it ends."""

    text: str = ""
    asks: tuple[Ask, ...] = ()
    finish: Finish = "stop"


Script = Callable[[ModelRequest], Answer | OrosError | str]


def tokens(text: str) -> int:
    """A count that is good enough for a script."""
    return len(text) // WORD + 1


def taken(request: ModelRequest) -> int:
    """Tokens that a request takes of the window, but for its answer."""
    return sum(tokens(m.text) for m in request.messages)


@dataclass(slots=True)
class ScriptedModel:
    """A `Model` over a script: a function of the request, or a list of answers in order."""

    script: Script | Sequence[Answer | OrosError | str]
    info: ModelInfo = INFO
    clock: Clock | None = None
    tokens_a_second: float = 0.0
    first: float = 0.0
    calls: int = 0
    closed: int = 0
    active: int = 0
    most: int = 0
    requests: list[ModelRequest] = field(default_factory=list)

    async def generate(self, request: ModelRequest) -> AsyncIterator[Sequence[Delta]]:
        """Stream the scripted answer. Raises: the error that the script returns; TooBig."""
        said = self.script(request) if callable(self.script) else self.script[self.calls]
        self.calls += 1
        self.requests.append(request)
        self.active += 1
        self.most = max(self.most, self.active)
        ended = False
        try:
            await self._pause(self.first)
            if isinstance(said, OrosError):
                raise said
            if (read := taken(request)) + request.max_tokens > self.info.window:
                raise TooBig(f"{read} tokens are over the window of {self.info.window}")
            answer = Answer(said) if isinstance(said, str) else said
            async for batch in self._stream(request, answer):
                yield batch
            ended = True
        finally:
            self.active -= 1
            self.closed += not ended

    async def _stream(self, request: ModelRequest, answer: Answer) -> AsyncIterator[list[Delta]]:
        last = request.messages[-1]
        begun = last.text if last.role == "assistant" and last.partial else ""
        rest, finish = bounded(answer, begun, request)
        for start in range(0, len(rest), WORD):
            await self._pause(1 / self.tokens_a_second if self.tokens_a_second else 0.0)
            yield [TextDelta(rest[start : start + WORD])]
        for index, ask in enumerate(answer.asks):
            args = ask.args if isinstance(ask.args, str) else json.dumps(dict(ask.args))
            yield [AskDelta(index, ask.id, ask.name, args)]
        ends = "calls" if answer.asks else finish
        yield [Finished(ends, Usage(taken(request), tokens(rest)))]

    async def _pause(self, seconds: float) -> None:
        if self.clock is not None and seconds:
            await self.clock.sleep(seconds)
        else:
            await asyncio.sleep(0)

    async def count(self, text: str) -> int:
        """Tokens of a text."""
        return tokens(text)

    async def close(self) -> None:
        """Nothing is held."""


def bounded(answer: Answer, begun: str, request: ModelRequest) -> tuple[str, Finish]:
    """What is left to say after `begun`, up to the first stop string and to `max_tokens`."""
    text, finish = answer.text, answer.finish
    cuts = [text.find(s) for s in request.stop if s in text]
    if cuts:
        text = text[: min(cuts)]
    text = text.removeprefix(begun)
    if tokens(text) > request.max_tokens:
        text, finish = text[: request.max_tokens * WORD], "length"
    return text, finish
