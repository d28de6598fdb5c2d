"""A model under the eyes of a client: what it says is told as it comes, whatever is tried again."""

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

from oros.abi.ports import (
    Delta,
    Finished,
    Model,
    ModelInfo,
    ModelRequest,
    Progress,
    ReasoningDelta,
    TextDelta,
)
from oros.paging.draft import Draft
from oros.services.doors.wanted import Step, Tell


class Tap:
    """A `Model` over a `Model`. Text is told at once: an answer that is resumed goes on from it.

    Thoughts are told once they are whole, and calls are not told here: an answer that is tried
    again begins them anew. `silent`: nothing is told; `thought`: thoughts were told before.
    """

    def __init__(
        self, model: Model, tell: Tell, *, silent: bool = False, thought: bool = False
    ) -> None:
        self._model, self._tell, self._silent = model, tell, silent
        self.thought = thought

    @property
    def info(self) -> ModelInfo:
        """The model's."""
        return self._model.info

    async def count(self, text: str) -> int:
        """By the model."""
        return await self._model.count(text)

    async def close(self) -> None:
        """The model is not ours to close."""

    async def generate(self, request: ModelRequest) -> AsyncIterator[Sequence[Delta]]:
        """Stream, and tell. Raises: what the model raises."""
        draft = Draft()
        async with aclosing(self._model.generate(request)) as batches:  # type: ignore[type-var]  # a generator
            async for batch in batches:
                draft.take(batch)
                self._pass(draft, batch)
                yield batch

    def _pass(self, draft: Draft, batch: Sequence[Delta]) -> None:
        told: list[Step] = [d for d in batch if isinstance(d, TextDelta | Progress)]
        if self._silent:
            told = [Progress("answers", 0, 0)]
        elif any(isinstance(d, TextDelta | Finished) for d in batch):
            told[:0] = self._thoughts(draft)
        else:
            told = told or [Progress("thinks", 0, 0)]
        self._tell(told)

    def _thoughts(self, draft: Draft) -> list[ReasoningDelta]:
        """The thoughts before the answer, told once."""
        if self.thought:
            return []
        self.thought = True
        return [d for _, d in sorted(draft.thoughts.items())]
