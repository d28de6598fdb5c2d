"""An engine without a library: cells are objects, and the next token follows from all before it.

It is as strict as the real one: a token at a wrong place, or a sequence without a beginning, fails.
"""

import itertools
import pickle
import zlib
from array import array

from oros.drivers.models.llamacpp.curve import Curve
from oros.drivers.models.llamacpp.kept import Kept
from oros.drivers.models.llamacpp.loop import Job, Loop
from oros.drivers.models.llamacpp.sequences import Cache

VOCABULARY = 50


def follows(tokens: list[int]) -> int:
    """The token after these."""
    return zlib.crc32(array("i", tokens).tobytes()) % VOCABULARY


def uninterrupted(prompt: list[int], count: int) -> list[int]:
    """What an answer has to be, whatever happens to it."""
    tokens = list(prompt)
    for _ in range(count):
        tokens.append(follows(tokens))
    return tokens[len(prompt) :]


class Cell:
    def __init__(self, token: int) -> None:
        self.token = token


class Toy:
    """The engine: `computed` counts tokens, `costs` are seconds of a step by its inputs."""

    def __init__(self, size: int, batch: int = 8, costs=lambda inputs: 1.0) -> None:
        self.size, self.batch, self.costs = size, batch, costs
        self.seqs: dict[int, list[Cell]] = {}
        self.computed, self.time, self.rows = 0, 0.0, []
        self.sets: list[list] = []

    def used(self) -> int:
        return len({id(c) for cells in self.seqs.values() for c in cells})

    def step(self, inputs) -> bool:
        if self.used() + len(inputs) > self.size:
            return False
        assert 0 < len(inputs) <= self.batch
        self.sets.append(list(inputs))
        self.rows = []
        for token, place, seq, out in inputs:
            cells = self.seqs.setdefault(seq, [])
            assert len(cells) == place, "a token at a wrong place"
            cells.append(Cell(token))
            self.rows.append([c.token for c in cells] if out else None)
        self.computed += len(inputs)
        self.time += self.costs(len(inputs))
        return True

    def sample(self, sampler, row: int) -> int:
        return follows(self.rows[row])

    def threads(self, count: int) -> None:
        assert count > 0

    def now(self) -> float:
        return self.time

    def copy(self, source: int, target: int, size: int) -> None:
        assert not self.seqs.get(target)
        self.seqs[target] = self.seqs[source][:size]

    def cut(self, seq: int, size: int) -> bool:
        del self.seqs[seq][size:]
        return True

    def drop(self, seq: int) -> None:
        self.seqs.pop(seq, None)

    def save(self, seq: int) -> bytes:
        return pickle.dumps([c.token for c in self.seqs[seq]])

    def load(self, seq: int, state: bytes) -> bool:
        tokens = pickle.loads(state)
        if self.used() + len(tokens) > self.size:
            return False
        self.seqs[seq] = [Cell(t) for t in tokens]
        return True


class Box:
    """A loop over a toy, and what its answers said."""

    def __init__(
        self, size: int = 200, sequences: int = 6, kept: Kept | None = None, **toy
    ) -> None:
        self.toy = Toy(size, **toy)
        self.kept = kept or Kept(None, "toy", 1 << 20, 0)
        self.cache = Cache(self.toy, size, sequences, self.kept)
        self.loop = Loop(self.toy, self.cache, Curve(1), window=size)
        self.said: dict[int, list[int]] = {}
        self.ended: dict[int, object] = {}
        self.numbers = itertools.count()
        self.jobs: dict[int, Job] = {}

    def add(self, prompt: list[int], count: int, nice: int = 0, owner: str = "") -> int:
        number = next(self.numbers)
        said = self.said[number] = []

        def take(token: int) -> bool:
            said.append(token)
            return False

        job = Job(list(prompt), owner or f"p{number}", nice, None, take, count, lambda d, t: None)
        self.jobs[number] = job
        self.loop.add(job)
        return number

    def step(self) -> None:
        for ended in self.loop.step():
            number = next(n for n, j in self.jobs.items() if j is ended.job)
            self.ended[number] = ended
        assert self.toy.used() == self.toy.size - self.cache.cells.free, "the ledger is wrong"
        assert self.toy.used() <= self.toy.size
        for held in self.cache.held:
            assert [c.token for c in self.toy.seqs[held.seq]] == held.tokens
        assert {j.held for j in self.loop.jobs if j.held} == {h for h in self.cache.held if h.busy}

    def run(self, most: int = 3000) -> None:
        for _ in range(most):
            if not self.loop.jobs:
                return
            self.step()
        raise AssertionError(f"still at work: {self.loop.jobs}")
