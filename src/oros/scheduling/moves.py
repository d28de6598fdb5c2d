"""Where a process goes when its model fails: along its list, to the first that can take it over.

Pure policy. The list is the person's: nothing moves to a model that the list does not name, be it
from this machine to another's or from one that is free to one that has a price.
"""

from dataclasses import dataclass

from oros.abi.errors import OrosError
from oros.abi.labels import Label
from oros.abi.ports import ModelInfo
from oros.scheduling.pace import SPREAD

PATIENCE = 30.0
"""Seconds that a process which could move waits for a server that is busy."""

RETRIES, TRIES = 4, 2
"""How often a server that fails is asked again, and by a process which could move."""

BACKOFF, MAX_BACKOFF = 0.25, 30.0
"""Seconds before the first such call, half of it, and at most."""

HERE = "here"
"""What a model `cans` whose input does not leave this machine."""


@dataclass(frozen=True, slots=True)
class Need:
    """What a context asks of the next model.

    `label` of all that stands in it; `money`: the budget is in money, so a price must be known;
    `window`: tokens that it must have more than; `cans`: what it must be able to do.
    """

    label: Label
    money: bool = False
    window: int = 0
    cans: frozenset[str] = frozenset()


def may_read(info: ModelInfo, label: Label) -> bool:
    """Whether a model may be shown data: it stays here, or its name or provider is a reader."""
    if label.readers is None or HERE in info.cans:
        return True
    return not label.readers.isdisjoint({info.name, info.name.partition("/")[0]})


def fits(info: ModelInfo, need: Need) -> bool:
    """Whether a model can take a process over."""
    known = info.price is not None or not need.money
    able = info.window > need.window and need.cans <= info.cans
    return known and able and may_read(info, need.label)


def delay(e: OrosError, tries: int, chance: float) -> float:
    """Seconds until a call that failed is tried again: longer each time, no less than was asked.

    `chance` in [0, 1) spreads both, so that many who were told one time don't come back at once.
    """
    asked = (e.retry_after or 0.0) * (1 + SPREAD * chance)
    return max(min(MAX_BACKOFF, BACKOFF * 2.0**tries) * (0.5 + chance), asked)


def gives_up(e: OrosError, tries: int, *, ways: bool) -> bool:
    """Whether a call that failed is not tried again; `ways`: there are others to go to."""
    if not e.retryable or tries > (TRIES if ways else RETRIES):
        return True
    return ways and (e.retry_after or 0.0) > PATIENCE
