"""What the cases of the conformance suite share: requests, answers, a server for each case."""

import asyncio
import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, ClassVar

import pytest
from tests.drivers.models.served import Dialect, Server

from oros.abi.message import (
    Message,
    TextPart,
    say,
)
from oros.abi.ports import (
    Finished,
    ModelInfo,
    ModelRequest,
    ToolSpec,
)
from oros.paging.draft import Draft

CANS = frozenset({"tools", "schema", "image", "audio", "resume", "cancel"})
PRICE = (1_000_000, 2_000_000, 100_000, 1_250_000)
INFO = ModelInfo("acme/m", 32768, 4, CANS, PRICE)
KEY = "key-that-nobody-sees"
SCHEMA = {
    "type": "object",
    "properties": {"n": {"type": "integer"}},
    "required": ["n"],
    "additionalProperties": False,
}
LOOK = ToolSpec("look", "Looks at x.", {"type": "object", "properties": {"x": {"type": "string"}}})
GO = ToolSpec("go", "Goes.", {"type": "object", "properties": {}})
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(32)
HUGE = 40 << 20
BLOBS = {"png": PNG, "wav": WAV, "huge": bytes(HUGE)}


class Cases:
    """A class of cases. `stage` makes what the driver under test talks to: of a dialect.

    `left_out`: cases that this driver can't be asked, each with the reason.
    """

    dialect: Dialect
    stage: ClassVar[Callable[[Any], Any]] = Server
    left_out: ClassVar[Mapping[str, str]] = {}

    @property
    def can(self) -> frozenset[str]:
        """What this driver's platform can."""
        return self.dialect.can


def asking(*messages: Message, **more) -> ModelRequest:
    return ModelRequest(messages or (say("user", "hi"),), fetch=BLOBS.__getitem__, **more)


def shown(*parts) -> ModelRequest:
    return asking(Message("user", (TextPart("what is it? "), *parts)))


async def answer(model, request) -> Draft:
    """The answer, folded as the kernel folds it."""
    draft = Draft()
    batch = []
    async for batch in model.generate(request):
        assert batch
        draft.take(batch)
    assert isinstance(batch[-1], Finished)
    return draft


def served(test=None, **changes):
    """A test over a server and a driver of its dialect; `changes` are those of the ModelInfo."""
    if test is None:
        return functools.partial(served, **changes)
    names = list(inspect.signature(test).parameters)

    def wrapper(self, **params):
        if why := self.left_out.get(test.__name__):
            pytest.skip(why)

        async def main() -> None:
            async with self.stage(self.dialect) as server:
                model = server.make(replace(INFO, **changes), lambda: KEY, 60.0)
                try:
                    await test(self, model, server, **params)
                finally:
                    await model.close()

        asyncio.run(main())

    kept = [n for n in names if n not in ("model", "server")]
    kinds = inspect.Parameter.POSITIONAL_OR_KEYWORD
    wrapper.__signature__ = inspect.Signature([inspect.Parameter(n, kinds) for n in kept])
    wrapper.__name__, wrapper.__doc__ = test.__name__, test.__doc__
    wrapper.__dict__.update(test.__dict__)
    return wrapper
