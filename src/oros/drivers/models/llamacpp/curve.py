"""How wide a step pays on this machine, and on how many threads: measured as it works. Pure.

On two cores two sequences in a step were slower in total than one after the other, and eight were
faster; beside other programs one thread beat two. So every way is tried for some steps, the best is
taken, and all are tried again when that one is not what it was.
"""

from dataclasses import dataclass
from typing import NamedTuple

WIDTHS = (1, 2, 4, 8, 16)
PROBE = 6
"""Steps of a trial; the first is not counted, it warms up."""

FADE = 0.1
"""What one more step weighs in a way's mean."""

CHANGED = 2.0
"""So many times slower or faster than when it was tried: the machine is another one now."""


class Way(NamedTuple):
    """How a step is computed."""

    width: int
    threads: int


@dataclass(slots=True)
class Known:
    """What is known of a way: steps, seconds of one, and those when it was tried."""

    steps: int = 0
    seconds: float = 0.0
    tried: float = 0.0


class Curve:
    """The ways of one machine and model."""

    def __init__(self, threads: int) -> None:
        """`threads`: the most that there are."""
        self.threads = threads
        self._threads = (threads, 1) if threads > 1 else (1,)
        self._known: dict[Way, Known] = {}
        self._trial: Way | None = None
        self._count: int | None = None

    def idle(self) -> None:
        """Nothing is at work: only now may the number of threads change.

        Sums come out a little different on another number, so that a greedy answer may take
        another turn where two words are as good.
        """
        self._count = None

    def best(self, ready: int) -> Way:
        """The way to go for so many sequences (at least 1) that could take a step."""
        counts = self._threads if self._count is None else (self._count,)
        ways = [Way(w, t) for w in WIDTHS if w <= ready for t in counts]
        trial = self._trial
        if trial not in ways or self._of(trial).steps > PROBE:
            trial = self._trial = next((w for w in ways if self._of(w).steps <= PROBE), None)
        found = trial or max(ways, key=self.rate)
        self._count = found.threads
        return found

    def _of(self, way: Way) -> Known:
        return self._known.setdefault(way, Known())

    def rate(self, way: Way) -> float:
        """Tokens a second, all sequences together; 0 if that is not known."""
        known = self._known.get(way)
        return way.width / known.seconds if known is not None and known.seconds else 0.0

    def note(self, way: Way, seconds: float) -> None:
        """A step took so long."""
        known = self._of(way)
        known.steps += 1
        if known.steps == 1:
            return
        if known.steps <= PROBE + 1:
            share = 1 / (known.steps - 1)
            known.tried = known.seconds + (seconds - known.seconds) * share
            known.seconds = known.tried
            return
        known.seconds += (seconds - known.seconds) * FADE
        if not known.tried / CHANGED < known.seconds < known.tried * CHANGED:
            self._known = {way: Known(known.steps, known.seconds, known.seconds)}

    def shown(self) -> dict[str, float]:
        """Tokens a second by way, as `WIDTHxTHREADS`."""
        ways = sorted(self._known)
        return {f"{w.width}x{w.threads}": round(self.rate(w), 1) for w in ways if self.rate(w)}
