"""The window before a model call: counted, made to fit, and what is recalled for it."""

from oros.abi.actions import Think
from oros.abi.errors import OrosError, TooBig
from oros.abi.events import Evicted, Recalled
from oros.abi.labels import SYSTEM
from oros.abi.ports import Model
from oros.kernel.image import Image
from oros.kernel.machine import Machine
from oros.kernel.process import Process
from oros.paging import find, tools
from oros.paging.context import Context, around, divided, written

NEAR = 0.6
"""The part of the room from which on pages are counted by the model itself."""


async def fault(
    m: Machine, process: Process, image: Image, act: Think, model: Model, *, wider: bool
) -> Evicted | Recalled | None:
    """The fact that has to be written before the call; None if the window is as it should be.

    `wider`: there is a model with a larger window to go to, so no page is cut to fit this one.
    Raises: TooBig, if it is over the model's window by its own count and nothing more can leave.
    """
    context, info = image.context, model.info
    if act.about:
        return None
    if not context.base:
        context.offers(tools.cost(act.calls, m.index if "call" in act.calls else ""))
    _, most = divided(act.max_tokens, info)
    context.exact = context.most > most * NEAR and await counted(context, model)
    gone = context.fit(most)
    if gone is not None and not (gone.cuts and wider):
        return gone
    if gone is not None or (context.exact and context.tokens > most):
        raise TooBig(
            f"{context.tokens} tokens must stand in the window of {info.name}, {most} fit",
            "a model with a larger window, or a shorter goal",
        )
    return await recalled(m, process, image)


async def counted(context: Context, model: Model) -> bool:
    """Whether the model itself has counted all pages. The call tells of a worker that ended."""
    if "count" not in model.info.cans:
        return False
    for page in context.pages:
        if page.resident and not page.exact:
            try:
                own = await model.count(written(page.message))
            except OrosError:
                return False
            page.tokens, page.exact = own + around(page.message), True
            context.changed()
    return True


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
