"""A model that was recorded once and answers the same again: no network, no weights, no cost.

    model = Recorder(real, Path("talk.jsonl"))     # once, with the real model
    model = RecordedModel(Path("talk.jsonl"))      # from then on

An answer is found by what was asked: the messages, tools and bounds, not the seed or who asks.
"""

import hashlib
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

from oros.abi import wire
from oros.abi.errors import BadReply, Invalid
from oros.abi.ports import (
    AskDelta,
    Delta,
    Finished,
    Model,
    ModelInfo,
    ModelRequest,
    Progress,
    TextDelta,
)

KINDS: dict[str, type[Delta]] = {k.__name__: k for k in (TextDelta, AskDelta, Progress, Finished)}


def digest(request: ModelRequest) -> str:
    """The name of a question."""
    plain = replace(request, seed=0, affinity="")
    return hashlib.sha256(wire.encode(plain)).hexdigest()


class Recorder:
    """A `Model` that passes all on to another one, and keeps each whole answer in a file."""

    def __init__(self, model: Model, path: Path) -> None:
        self._model, self._path = model, path
        if not path.exists():
            about = wire.encode(replace(model.info, cans=frozenset(sorted(model.info.cans))))
            path.write_bytes(about + b"\n")

    @property
    def info(self) -> ModelInfo:
        """That of the model behind."""
        return self._model.info

    async def generate(self, request: ModelRequest) -> AsyncIterator[Sequence[Delta]]:
        """Pass an answer on; one that was cut is not kept. Raises: as the model behind."""
        kept: list[list[object]] = []
        async with aclosing(self._model.generate(request)) as batches:  # type: ignore[type-var]  # a generator
            async for batch in batches:
                kept.append([[type(d).__name__, json.loads(wire.encode(d))] for d in batch])
                yield batch
        line = {"asked": digest(request), "said": kept}
        with self._path.open("a", encoding="utf-8") as f:
            f.write(json.dumps(line, ensure_ascii=False) + "\n")

    async def count(self, text: str) -> int:
        """Tokens, by the model behind."""
        return await self._model.count(text)

    async def close(self) -> None:
        """Close the model behind."""
        await self._model.close()


class RecordedModel:
    """A `Model` that answers from a recording. What was asked twice is answered in order."""

    def __init__(self, path: Path) -> None:
        """Read a recording. Raises: Invalid if the file is none."""
        try:
            first, *rest = path.read_text("utf-8").splitlines()
            self.info: ModelInfo = wire.decode(ModelInfo, first.encode())
            lines = [json.loads(x) for x in rest]
        except (OSError, ValueError, Invalid) as e:
            raise Invalid(f"{path} is no recording: {e}", "make one with Recorder") from e
        self._said: dict[str, list[list[list[Delta]]]] = {}
        for line in lines:
            batches = [
                [wire.decode(KINDS[k], json.dumps(d).encode()) for k, d in b] for b in line["said"]
            ]
            self._said.setdefault(line["asked"], []).append(batches)

    async def generate(self, request: ModelRequest) -> AsyncIterator[Sequence[Delta]]:
        """Say it again. Raises: BadReply for a question that was not recorded."""
        known = self._said.get(digest(request))
        if not known:
            last = request.messages[-1].text[:80] if request.messages else ""
            raise BadReply(f"this was not asked when it was recorded: {last!r}", "record it anew")
        for batch in known.pop(0) if len(known) > 1 else known[0]:
            yield batch

    async def count(self, text: str) -> int:
        """Tokens, roughly: four characters each."""
        return len(text) // 4 + 1

    async def close(self) -> None:
        """Nothing is held."""
