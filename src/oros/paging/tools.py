"""What a model is told of calls and tools: schemas, and an index that stays small. Pure."""

import json
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

from oros.abi import wire
from oros.abi.ports import ToolSpec
from oros.abi.syscalls import TABLE
from oros.paging.context import size

MOST = 6000
"""Characters of the index: fewer than 2,000 tokens."""
MORE = """{} tools of {} apps. `search` /apps finds a tool by what it does; `read` /apps/APP/TOOL \
shows how it is called. The apps, with how many tools each has:
{}"""

CALL = """Call a tool of an app. Pass a value of an earlier result on by its place, such as
"$c12[0].sender", not by its text: so it is known where it came from. The tools:
{}"""


@lru_cache(256)
def offered(calls: tuple[str, ...], index: str) -> tuple[ToolSpec, ...]:
    """The calls that a program's model is offered; `call` with the tools that there are."""
    found = []
    for name in calls:
        kind = TABLE[name]
        about = (kind.__doc__ or name).split("\n", 1)[0]
        if name == "call":
            if not index:
                continue
            about = CALL.format(index)
        found.append(ToolSpec(name, about, wire.schema(name), kind.effect))
    return tuple(found)


@lru_cache(256)
def cost(calls: tuple[str, ...], index: str) -> int:
    """Tokens of the schemas that a model is offered, about."""
    texts = (f"{s.name}{s.about}{json.dumps(s.schema)}" for s in offered(calls, index))
    return int(sum(map(size, texts)))


def index(specs: Iterable[ToolSpec]) -> str:
    """A line a tool; if that is too much, the apps, and where their tools are found."""
    there = sorted(specs, key=lambda s: s.name)
    text = "\n".join(s.line for s in there)
    if len(text) <= MOST:
        return text
    apps = Counter(s.name.partition(".")[0] for s in there)
    listed = ""
    for number, (app, count) in enumerate(sorted(apps.items())):
        if len(listed) > MOST - 600:
            listed += f"and {len(apps) - number} more: `list` /apps"
            break
        listed += f"{app} {count}, "
    return MORE.format(len(there), len(apps), listed.removesuffix(", "))
