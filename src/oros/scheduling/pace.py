"""How fast a server may be asked: learned from what it says and refuses, shared by all who ask.

Pure policy; time and chance come in as numbers. Two things are learned. How many calls it takes
side by side: one more for each round that went well, for each `ROUNDS` once it has refused some,
and a part fewer at a refusal (additive increase, multiplicative decrease; a refusal of a call that
began before the last cut does not count again).
And what is left of a minute's requests and tokens, as its headers say: what was begun since is
taken off, and it comes back evenly. A server that tells its slots is not asked for more: its own
queue knows no levels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from oros.abi.ports import Quota

BACKOFF, MAX_BACKOFF = 0.5, 30.0
"""Seconds of waiting after the first refusal without a time, and at most."""

CUT, ROUNDS = 0.7, 8
"""What is left of the width at a refusal; rounds that go well until it is one wider again."""

SPREAD = 0.1
"""A part of a wait that is added by chance, so that machines don't come back all at once."""


@dataclass(slots=True)
class Meter:
    """What is left of one quota, as of a moment; it comes back evenly up to `most`."""

    left: float
    most: int
    per_second: float
    at: float

    def now(self, now: float) -> float:
        """What is left."""
        return min(float(self.most), self.left + max(0.0, now - self.at) * self.per_second)

    def take(self, amount: int, now: float) -> None:
        """Count something that was begun."""
        self.left, self.at = self.now(now) - amount, now

    def delay(self, amount: int, now: float) -> float:
        """Seconds until so much is left; what is over `most` needs all of it."""
        lacks = min(amount, self.most) - self.now(now)
        if lacks <= 0:
            return 0.0
        return lacks / self.per_second if self.per_second > 0 else MAX_BACKOFF


@dataclass(slots=True)
class Pace:
    """The pace of one server. `slots` calls side by side to begin with, `widest` at most.

    `most` is how wide it may become, whatever the server tells; `told` is what it told of that.
    """

    slots: int
    widest: int
    most: int = 0
    told: int = 0
    width: float = 0.0
    until: float = 0.0
    strikes: int = 0
    last: int = 0
    cut: int = 0
    meters: dict[str, Meter] = field(default_factory=dict)
    flying: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.widest = self.most = max(self.slots, self.widest)
        self.width = float(self.slots)

    def delay(self, tokens: int, now: float) -> float:
        """Seconds until a call of so many tokens may begin, if a slot is free."""
        waits = [m.delay(amount_of(what, tokens), now) for what, m in self.meters.items()]
        return max(0.0, self.until - now, *waits)

    def free(self, running: int, tokens: int, now: float) -> bool:
        """Whether a call of so many tokens may begin now beside those that run."""
        return running < int(self.width) and self.delay(tokens, now) <= 0

    def begin(self, tokens: int, now: float) -> int:
        """A call begins; the number that it has here."""
        self.last += 1
        self.flying[self.last] = tokens
        for what, meter in self.meters.items():
            meter.take(amount_of(what, tokens), now)
        return self.last

    def heard(self, number: int, quotas: Sequence[Quota], now: float) -> None:
        """The server answered a call, and said what is left: all calls up to it are in that."""
        self.flying = {n: t for n, t in self.flying.items() if n > number}
        for q in quotas:
            if q.most <= 0:
                continue
            if q.what == "calls":
                if q.most != self.told:
                    self.told, self.widest = q.most, min(self.most, q.most)
                    self.width = float(self.widest)
                continue
            begun = sum(amount_of(q.what, t) for t in self.flying.values())
            rate = max(0, q.most - q.left) / q.seconds if q.seconds > 0 else float(q.most)
            old = self.meters.get(q.what)
            if rate == 0 and old is not None:
                rate = old.per_second
            self.meters[q.what] = Meter(float(q.left - begun), q.most, rate, now)

    def end(self, number: int, *, well: bool) -> None:
        """A call is over; `well`: to its end."""
        self.flying.pop(number, None)
        if well:
            self.strikes = 0
            step = 1 / (self.width * (ROUNDS if self.cut else 1))
            self.width = min(float(self.widest), self.width + step)

    def refused(self, number: int, now: float, wait: float | None, chance: float) -> None:
        """The server takes no more for now: for `wait` seconds, if it said so. `chance` in [0, 1).

        Calls that were on their way together are one refusal.
        """
        if number > self.cut:
            self.width, self.cut = max(1.0, self.width * CUT), self.last
            self.strikes += 1
        if wait is None:
            wait = min(MAX_BACKOFF, BACKOFF * 2 ** (self.strikes - 1)) * (0.5 + chance)
        self.until = max(self.until, now + wait * (1 + SPREAD * chance))


def amount_of(what: str, tokens: int) -> int:
    """What a call of so many tokens takes of a quota."""
    return 1 if what == "requests" else tokens
