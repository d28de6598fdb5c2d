"""Who gets the next model slot: class + attained service, first come first served inside a level.

Pure policy. A level is the declared class (0 foreground, 1 background) plus how far the slot
seconds of the whole program tree have passed the borders (least attained service over programs,
Autellix, arXiv 2502.13965). Preemption only for a strictly better level; ageing lifts a waiting
program one level after two minutes, never into level 0. In simulation interactive p99 was 12 s
where first-come-first-served gave 205 s, at 1.2 % of slot time.
"""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

from oros.abi.ids import Pid

BORDERS = (1.0, 4.0, 16.0, 64.0)
"""Attained slot seconds at which a program falls one level."""

AGEING = 120.0
"""Seconds of waiting that lift one level."""

QUANTUM = 1.0
"""Seconds between looks at whether a better level waits."""


@dataclass(slots=True)
class Claim:
    """A model call that waits for a slot, or holds one.

    `nice` is the declared class, or a better one lent by a waiting parent; `attained` are the slot
    seconds of the program tree `root`; `start` its start; `since` when this claim began to wait
    (or to run); `advanced` whether it got a token since it took the slot; `fruitless` how often in
    a row it lost the slot without one; `tokens` that it may take.
    """

    pid: Pid
    root: Pid
    nice: int
    attained: float
    start: float
    since: float
    advanced: bool = False
    fruitless: int = 0
    tokens: int = 0


def level(nice: int, attained: float) -> int:
    """The level of a program: 0 is the best."""
    return nice + bisect_right(BORDERS, attained)


def aged(base: int, waited: float) -> int:
    """The level after waiting; it never ages into level 0."""
    return base if base <= 1 else max(1, base - int(waited / AGEING))


def rank(claim: Claim, now: float) -> tuple[int, float, float, int]:
    """The order of waiting claims; the lowest goes first."""
    base = level(claim.nice, claim.attained)
    return (aged(base, now - claim.since), claim.start, claim.since, claim.pid)


def pick(waiting: Iterable[Claim], now: float) -> Claim | None:
    """The claim that takes the next free slot."""
    return min(waiting, key=lambda c: rank(c, now), default=None)


def victim(running: Iterable[Claim], candidate: Claim, now: float) -> Claim | None:
    """The running claim that must yield to `candidate`, if one is strictly worse.

    A program does not take slots from itself. A claim that has got no token since it took its slot
    loses its slice for nothing: that may happen once in a row (a slice must pay for its resuming).
    """
    worst = max(
        (c for c in running if c.root != candidate.root and (c.advanced or c.fruitless < 1)),
        key=lambda c: (held(c, now), c.start, c.pid),
        default=None,
    )
    return worst if worst is not None and rank(candidate, now)[0] < held(worst, now) else None


def held(claim: Claim, now: float) -> int:
    """The level of a claim that runs."""
    return level(claim.nice, claim.attained + (now - claim.since))
