"""Questions to a model apart from the context: `infer`, the plan of the user's words, sheets."""

import asyncio
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
HEAT = 0.8
"""The temperature that makes several answers differ."""


async def asked(
    m: Machine,
    process: Process,
    prompt: str,
    schema: Mapping[str, Json] | None,
    how: Infer = ANSWER,
    label: Label | None = None,
    seed: int = 0,
) -> tuple[str, Usage]:
    """A model's answer to one question, in a context of its own, and what it cost.

    `seed`: one of several answers, which are to differ; nobody is shown it as it comes.
    Raises: OverBudget, TooBig, BadReply, and what a driver raises.
    """
    said = hidden.shown(say("user", prompt, process.label if label is None else label))
    heat = HEAT if seed else 0.0
    most, nice, kin = how.max_tokens, m.effective_nice(process), f"{process.pid}-infer/{seed}"
    request = ModelRequest((said,), (), most, heat, seed, (), schema, "", kin, nice)
    need = Usage(len(prompt) // 3, how.max_tokens)
    m.accounts.hold(process, need)
    try:
        draft = await thinking.infer(m, process, request, how.model, quiet=bool(seed))
    finally:
        m.accounts.release(process, need)
    return draft.whole, draft.usage or NO_USAGE


async def several(
    m: Machine, process: Process, prompt: str, schema: Mapping[str, Json] | None, how: Infer,
    label: Label,
) -> tuple[list[str], Usage]:  # fmt: skip
    """Answers to the same question, side by side; of more than one those that failed are left out.

    Raises: the last error if all failed.
    """
    found: dict[int, tuple[str, Usage]] = {}
    broken = OrosError("nobody was asked")

    async def one(seed: int) -> None:
        nonlocal broken
        try:
            found[seed] = await asked(m, process, prompt, schema, how, label, seed)
        except OrosError as e:
            broken = e

    async with asyncio.TaskGroup() as tasks:
        for number in range(how.n):
            tasks.create_task(one(number + (how.n > 1)))
    if not found:
        raise broken
    ends = [found[seed] for seed in sorted(found)]
    return [text for text, _ in ends], sum((used for _, used in ends), NO_USAGE)


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
