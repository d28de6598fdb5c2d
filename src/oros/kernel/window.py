"""The window before a model call: counted, made to fit, and what is recalled for it."""

from oros.abi.actions import Think
from oros.abi.errors import TooBig
from oros.abi.events import Evicted, Recalled
from oros.abi.labels import SYSTEM
from oros.abi.ports import Model, ModelInfo
from oros.kernel.image import Image
from oros.kernel.machine import Machine
from oros.kernel.process import Process
from oros.paging import find, tools
from oros.paging.context import around, written

MARGIN = 64
"""Tokens of the window left free for what a chat template adds."""

NEAR = 0.6
"""The part of the room from which on pages are counted by the model itself."""


def answer(act: Think, info: ModelInfo) -> int:
    """Tokens that an answer may take: a third of the window at most."""
    return min(act.max_tokens, info.window // 3)


def room(act: Think, info: ModelInfo) -> int:
    """Tokens that are left for what the model reads."""
    return info.window - answer(act, info) - MARGIN


async def fault(
    m: Machine, process: Process, image: Image, act: Think, model: Model
) -> Evicted | Recalled | None:
    """The fact that has to be written before the call; None if the window is as it should be.

    Raises: TooBig, if it is over the model's window by its own count and nothing more can leave.
    """
    context, info = image.context, model.info
    if act.about:
        return None
    context.base = context.base or tools.cost(act.calls, m.index if "call" in act.calls else "")
    most = room(act, info)
    counts = "count" in info.cans and context.most > most * NEAR
    context.exact = counts
    for page in context.pages if counts else ():
        if page.resident and not page.exact:
            page.tokens = await model.count(written(page.message)) + around(page.message)
            page.exact = True
    if (gone := context.fit(most)) is not None:
        return gone
    if counts and context.tokens > most:
        raise TooBig(
            f"{context.tokens} tokens must stand in the window of {info.name}, {most} fit",
            "a model with a larger window, or a shorter goal",
        )
    return await recalled(m, process, image)


async def recalled(m: Machine, process: Process, image: Image) -> Recalled | None:
    """What earlier pages and memory say about the user's last message."""
    last, most = image.context.pages[-1], image.program.recall
    said = last.message
    if not most or said.role != "user" or last.kind == "recalled" or said.label == SYSTEM:
        return None
    found = [find.recalled(image.context.gone(), said.text, most)]
    if m.world.recall is not None:
        found.append(await m.world.recall(process.pid, said.text, most))
    both = find.together(found)
    return None if both is None else Recalled(both)
