"""The decode loop: which tokens of which answers go into the next step.

A better level runs, the worse ones are left out; their sequences stay in the cache, or are put away
when their room is needed, so that going on costs nothing. Of a level one prompt is read at a time,
in pieces, and the answers take slices of `SLICE` tokens, as many side by side as the machine's
curve favours. Pure: the engine is a protocol, time is the engine's.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from oros.drivers.models.llamacpp.curve import Curve, Way
from oros.drivers.models.llamacpp.engine import Input
from oros.drivers.models.llamacpp.sequences import Cache, Held, Sequences

S = TypeVar("S")
C = TypeVar("C", contravariant=True)

SLICE = 16
"""Tokens of an answer's turn, where answers of one level take turns."""

PIECE = 16
"""Tokens of a prompt that are read in a step beside answers, which wait for it."""

SPARE = 8
"""Cells that an answer must find free beyond its prompt before it is begun."""


class Stepper(Sequences, Protocol[C]):
    """What computes. `batch`: the most inputs of a step."""

    batch: int

    def step(self, inputs: Sequence[Input]) -> bool:
        """Compute all; False if there is no room."""

    def sample(self, sampler: C, row: int) -> int:
        """The token after an input of the last step."""

    def threads(self, count: int) -> None:
        """Compute on so many threads."""

    def now(self) -> float:
        """Seconds that never go back."""


@dataclass(eq=False, slots=True)
class Job(Generic[S]):
    """One answer in the making. `tokens` grows; `take` is told each one, True ends the answer."""

    tokens: list[int]
    owner: str
    nice: int
    sampler: S
    take: Callable[[int], bool]
    limit: int
    read: Callable[[int, int], None]
    order: int = 0
    served: int = 0
    prompt: int = 0
    made: int = 0
    cached: int | None = None
    held: Held | None = None
    parks: int = 0

    @property
    def left(self) -> int:
        """Tokens that are not computed yet: 1 while the answer is written."""
        return len(self.tokens) - (len(self.held.tokens) if self.held else 0)

    @property
    def reading(self) -> bool:
        """Whether its prompt, or what was lost of it, is still to be read."""
        return self.held is None or self.left > 1 or not self.made


@dataclass(slots=True)
class Ended(Generic[S]):
    """An answer came to its end; `cut`: by its limit or the window; `full`: there is no room."""

    job: Job[S]
    cut: bool = False
    full: bool = False


@dataclass(slots=True)
class Loop(Generic[S]):
    """All answers of one engine. `window`: the most tokens of one sequence."""

    engine: Stepper[S]
    cache: Cache
    curve: Curve
    window: int
    keep_from: int = 0
    jobs: list[Job[S]] = field(default_factory=list)
    steps: int = 0
    _orders: int = 0
    _turn: list[Job[S]] = field(default_factory=list)
    _slice: int = 0
    _threads: int = 0

    def add(self, job: Job[S]) -> None:
        """Take an answer on."""
        self._orders += 1
        job.order, job.served, job.prompt = self._orders, self._orders, len(job.tokens)
        self.jobs.append(job)

    def remove(self, job: Job[S]) -> None:
        """Stop an answer; its sequence stays for whoever goes on with it."""
        if job in self.jobs:
            self.jobs.remove(job)
            if not self.jobs:
                self.curve.idle()
        if job.held is not None:
            self.cache.close(job.held)
            job.held = None

    # ---- one step --------------------------------------------------------------------------------

    def step(self) -> list[Ended[S]]:
        """Compute one step; the answers that ended with it. Raises: what the engine raises."""
        if not self.jobs:
            return []
        level = min(j.nice for j in self.jobs)
        peers = sorted((j for j in self.jobs if j.nice == level), key=lambda j: j.order)
        writing = [j for j in peers if not j.reading]
        reader = self._reader(peers)
        if reader is None and not writing:
            return [self._give_up(peers[0])]
        way = self.curve.best(len(writing)) if writing else Way(0, 0)
        turn = self._takes_turn(writing, way.width)
        size = (PIECE if turn else self.engine.batch) if reader else 0
        piece = min(size, reader.left, self.engine.batch - len(turn)) if reader else 0
        if not self._have_room(len(turn) + piece, [*turn, *([reader] if reader else [])]):
            return []
        return self._compute(turn, reader, piece, way)

    def _reader(self, peers: list[Job[S]]) -> Job[S] | None:
        """The first of a level whose prompt is to be read, with a sequence; None if none can."""
        waiting = [j for j in peers if j.reading]
        for job in sorted(waiting, key=lambda j: j.held is None):
            if job.held is not None or self._opened(job, peers):
                return job
        return None

    def _opened(self, job: Job[S], peers: list[Job[S]]) -> bool:
        """Give an answer its sequence, if there is room; worse levels give theirs up for it."""
        need = self.cache.needs(job.tokens) + SPARE
        promised = sum(j.left + SPARE for j in peers if j.held is not None)
        wanted = min(need + promised, self.cache.cells.size)

        def worse(other: Job[S]) -> bool:
            return other.nice > job.nice

        while self.cache.reach() < wanted:
            if not self._park_one(worse):
                return False
        job.held = self.cache.open(job.owner, job.tokens)
        while job.held is None and self._park_one(worse):
            job.held = self.cache.open(job.owner, job.tokens)
        if job.held is None:
            return False
        if job.cached is None:
            job.cached = len(job.held.tokens)
        return True

    def _takes_turn(self, writing: list[Job[S]], width: int) -> list[Job[S]]:
        """Whose tokens are computed: the same ones until their slice is over."""
        self._turn = [j for j in self._turn if j in writing]
        fresh = len(self._turn) != min(width, len(writing))
        if fresh or self._slice <= 0:
            self._turn = sorted(writing, key=lambda j: j.served)[:width]
            self._slice = SLICE
            for job in self._turn:
                self._orders += 1
                job.served = self._orders
        self._slice -= 1
        return self._turn

    def _have_room(self, count: int, going: list[Job[S]]) -> bool:
        """Have so many cells, at worst by putting away the last of those that go."""
        while not self.cache.room(count):
            if not self._park_one(lambda j: j not in going) and not self._park_one(
                lambda j: j is not going[0]
            ):
                return True
        return all(j.held is not None for j in going)

    def _park_one(self, may: Callable[[Job[S]], bool]) -> bool:
        """Put the least urgent sequence away that may go."""
        found = [j for j in self.jobs if j.held is not None and may(j)]
        if not found:
            return False
        job = max(found, key=lambda j: (j.nice, j.order))
        if job.held is not None:
            self.cache.park(job.held)
        job.held, job.parks = None, job.parks + 1
        return True

    def _compute(
        self, turn: list[Job[S]], reader: Job[S] | None, piece: int, way: Way
    ) -> list[Ended[S]]:
        inputs: list[Input] = []
        rows: list[tuple[Job[S], int]] = []
        parts = [(j, 1) for j in turn] + ([(reader, piece)] if reader else [])
        for job, count in parts:
            seq, at = (job.held.seq, len(job.held.tokens)) if job.held else (-1, 0)
            last = job.left == count
            for place, token in enumerate(job.tokens[at : at + count], at):
                inputs.append(Input(token, place, seq, last and place == at + count - 1))
            if last:
                rows.append((job, len(inputs) - 1))
        threads = max(way.threads, 0) if not reader else 0
        self._on(threads)
        begun = self.engine.now()
        if not self.engine.step(inputs):
            return [self._give_up(parts[-1][0])]
        if not reader:
            self.curve.note(Way(len(turn), way.threads), self.engine.now() - begun)
        self.steps += 1
        return self._spread(parts, rows)

    def _on(self, threads: int) -> None:
        """Compute on so many threads; 0 is all."""
        if threads != self._threads:
            self._threads = threads
            self.engine.threads(threads or self.curve.threads)

    def _spread(
        self, parts: list[tuple[Job[S], int]], rows: list[tuple[Job[S], int]]
    ) -> list[Ended[S]]:
        """What a step gave, to those that it was for."""
        for job, count in parts:
            if job.held is not None:
                at = len(job.held.tokens)
                self.cache.grow(job.held, job.tokens[at : at + count])
                if not job.made and job.cached is not None:
                    job.read(at + count - job.cached, job.prompt - job.cached)
        ended = []
        for job, row in rows:
            fresh = job.prompt - (job.cached or 0)
            if not job.made and self.keep_from and fresh >= self.keep_from and job.held:
                self.cache.keep(job.held)
            token = self.engine.sample(job.sampler, row)
            job.made += 1
            job.tokens.append(token)
            over = job.made >= job.limit or len(job.tokens) >= self.window
            if job.take(token):
                ended.append(Ended(job))
            elif over:
                ended.append(Ended(job, cut=True))
        for end in ended:
            self.remove(end.job)
        return ended

    def _give_up(self, job: Job[S]) -> Ended[S]:
        self.remove(job)
        return Ended(job, full=True)
