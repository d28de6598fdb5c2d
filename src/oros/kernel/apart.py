"""Questions to a model apart from the context: `infer`, the plan of the user's words, sheets."""

from collections.abc import Mapping

from oros.abi import hidden, wire
from oros.abi.acts import Item
from oros.abi.errors import OrosError
from oros.abi.events import Carded, Granted
from oros.abi.grants import NO_USAGE, Usage
from oros.abi.labels import THIRD, USER, Label
from oros.abi.message import Json, say
from oros.abi.ports import ModelRequest
from oros.abi.syscalls import Infer
from oros.kernel import authority, thinking
from oros.kernel.image import Image
from oros.kernel.machine import Machine
from oros.kernel.process import Process
from oros.monitor import plans

ANSWER = Infer("", max_tokens=1024)


async def asked(
    m: Machine,
    process: Process,
    prompt: str,
    schema: Mapping[str, Json] | None,
    how: Infer = ANSWER,
    label: Label | None = None,
) -> tuple[str, Usage]:
    """A model's answer to one question, in a context of its own, and what it cost.

    Raises: OverBudget, TooBig, BadReply, and what a driver raises.
    """
    said = hidden.shown(say("user", prompt, process.label if label is None else label))
    request = ModelRequest((said,), (), how.max_tokens, schema=schema)
    need = Usage(len(prompt) // 3, how.max_tokens)
    m.accounts.hold(process, need)
    try:
        draft = await thinking.infer(m, process, request, how.model)
    finally:
        m.accounts.release(process, need)
    return draft.whole, draft.usage or NO_USAGE


async def plan(m: Machine, process: Process, image: Image) -> None:
    """Before the first call of a tool, a model (no small one) names the acts of the words."""
    words = image.words[image.planned :]
    specs = [t.spec for t in m.world.tools.values()]
    if not words or not specs or m.world.model(process.model).info.small:
        return
    acts = plans.acts_of(specs)
    prompt, schema = plans.plan_question(words, acts)
    try:
        text, usage = await asked(m, process, prompt, schema, label=USER)
    except OrosError:
        return  # it is asked again at the next call; until then the phrases are the plan
    made = plans.plan_of(wire.arguments(text), words, acts)
    more = plans.missing(made, authority.authority(m, process, image).grants)
    m.accounts.charge(process, usage)
    await m.journal.sync((process, Granted(more, planned=len(image.words), usage=usage)))


async def sheet(m: Machine, process: Process, image: Image) -> None:
    """All that the sources ask for which the user named and said to follow, on one card."""
    tools = {n: t.spec for n, t in m.world.tools.items()}
    mine = authority.authority(m, process, image)
    source = plans.sources(image.results, mine)
    items: tuple[Item, ...] = ()
    usage = NO_USAGE
    if source:
        prompt, schema = plans.sheet_question(mine, tools.values(), source)
        text, usage = await asked(m, process, prompt, schema, label=THIRD)
        items = plans.sheet_of(wire.arguments(text), tools)
        m.accounts.charge(process, usage)
    await authority.card(m, process, image, Carded(items, sheet=True, usage=usage))
