"""python -m bench.local.preemption: the decode loop in this process, and what preemption costs.

Prints the machine's curve (tokens a second by width and threads), then a figure beside its bar for:
an answer that is put away ten times; a snapshot and its way back beside reading anew; a fork; the
first token of the foreground beside six in the background; eight answers beside the best single
width: tokens that were computed and chosen in some seconds, in turns, as a machine is seldom alone
and its pace goes up and down.
"""

import argparse
import os
import statistics
import sys
import time
from pathlib import Path

from bench.footprint.__main__ import Report
from oros.drivers.models.llamacpp.curve import Curve, Way
from oros.drivers.models.llamacpp.driver import BATCH, SPIN
from oros.drivers.models.llamacpp.engine import Engine, Input, Settings
from oros.drivers.models.llamacpp.kept import Kept
from oros.drivers.models.llamacpp.loop import Job, Loop
from oros.drivers.models.llamacpp.sequences import Cache
from oros.sdk.address import home_of
from oros.services.weights.catalog import BY_NAME
from oros.services.weights.pull import place

TEXT = (Path(__file__).parents[2] / "examples" / "texts" / "constitution.txt").read_text()
LONG, WIDTHS, ROUNDS, PAIRS, SECONDS = 2000, (1, 2, 4, 8), 3, 12, 3.0


class Desk:
    """An engine with a fresh loop, and answers that say nothing but their tokens."""

    def __init__(self, engine: Engine, cells: int | None = None) -> None:
        self.engine = engine
        for seq in range(engine.sequences):
            engine.drop(seq)
        self.curve = Curve(len(os.sched_getaffinity(0)))
        self.cache = Cache(
            engine, cells or engine.cells, engine.sequences, Kept(None, "x", 1 << 30, 0)
        )
        self.loop = Loop(self, self.cache, self.curve, engine.window)
        self.batch, self.computed = engine.batch, 0
        self.sample, self.threads, self.now = engine.sample, engine.threads, engine.now

    def step(self, inputs) -> bool:
        self.computed += len(inputs)
        return self.engine.step(inputs)

    def job(self, tokens: list[int], count: int, nice: int = 0, owner: str = "") -> Job:
        sampler = self.engine.sampler(0.0, 0, "", "")
        made = Job(list(tokens), owner, nice, sampler, lambda t: False, count, lambda d, t: None)
        self.loop.add(made)
        return made

    def run(self, until=lambda: False) -> None:
        while self.loop.jobs and not until():
            self.loop.step()


def preempted(engine: Engine, tokens: list[int], report: Report) -> None:
    """256 greedy tokens, put away ten times and once more after each word of another."""
    desk = Desk(engine)
    whole = desk.job(tokens, 256)
    desk.run()
    desk, cuts = Desk(engine), [11 + 23 * n for n in range(10)]
    job = desk.job(tokens, 256)
    returns = []
    for cut in cuts:
        desk.run(until=lambda cut=cut: job.made >= cut)
        desk.cache.park(job.held)
        job.held = None
        made, computed = job.made, desk.computed
        desk.loop.step()
        returns.append(desk.computed - computed - (job.made - made))
    desk.run()
    same = job.tokens == whole.tokens
    report.row("256 tokens, put away 10 times, unlike the uninterrupted", 256 * (not same), "", 0)
    report.row("tokens computed twice at a return, worst", max(returns), "", 1)


def snapshot(engine: Engine, tokens: list[int], report: Report) -> None:
    """A long sequence: read, saved, loaded, and shared."""
    desk = Desk(engine)
    begun = time.perf_counter()
    desk.job(tokens[:LONG], 1)
    desk.run()
    prefill = time.perf_counter() - begun
    (held,) = desk.cache.held
    saves, loads, forks = [], [], []
    for _ in range(5):
        begun = time.perf_counter()
        state = engine.save(held.seq)
        saves.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        assert engine.load(0, state)
        loads.append(time.perf_counter() - begun)
        engine.drop(0)
        begun = time.perf_counter()
        engine.copy(held.seq, 1, LONG)
        forks.append(time.perf_counter() - begun)
        engine.drop(1)
    share = 100 * (sorted(saves)[2] + sorted(loads)[2]) / prefill
    report.row(f"reading {LONG} tokens", prefill, "s")
    report.row("its snapshot", len(state) / 1e6, "MB")
    report.row("saved", 1000 * sorted(saves)[2], "ms")
    report.row("loaded", 1000 * sorted(loads)[2], "ms")
    report.row("both, beside reading it anew", share, "%", 1)
    report.row("a fork of it, worst of 5", 1000 * max(forks), "ms", 20)


def rate(engine: Engine, tokens: list[int], way: Way) -> float:
    """Tokens a second of one way, all sequences together: computed and chosen, nothing else."""
    for seq in range(engine.sequences):
        engine.drop(seq)
    engine.threads(way.threads)
    engine.step([Input(t, at, 0, False) for at, t in enumerate(tokens[:BATCH])])
    for seq in range(1, way.width):
        engine.copy(0, seq, BATCH)
    samplers = [engine.sampler(0.0, 0, "", "") for _ in range(way.width)]
    latest, made = tokens[BATCH : BATCH + way.width], 0
    begun = time.perf_counter()
    while time.perf_counter() - begun < SECONDS:
        place = BATCH + made // way.width
        engine.step([Input(t, place, seq, True) for seq, t in enumerate(latest)])
        latest = [engine.sample(s, row) for row, s in enumerate(samplers)]
        made += way.width
    found = made / (time.perf_counter() - begun)
    for sampler in samplers:
        sampler.free()
    return found


def looped(engine: Engine, tokens: list[int], curve: Curve, first: int = 8) -> float:
    """Tokens a second of eight answers through the loop, once they have said `first` tokens."""
    desk = Desk(engine)
    desk.curve = desk.loop.curve = curve
    jobs = [desk.job([*tokens[:BATCH], n], 400) for n in range(8)]

    def made() -> int:
        return sum(job.made for job in jobs)

    while made() < first or not all(job.made for job in jobs):
        desk.loop.step()
    before, begun = made(), time.perf_counter()
    while time.perf_counter() - begun < SECONDS:
        desk.loop.step()
    return (made() - before) / (time.perf_counter() - begun)


def width(engine: Engine, tokens: list[int], report: Report) -> None:
    """The curve, and eight answers through the loop, in turns as the machine is not alone."""
    cores = len(os.sched_getaffinity(0))
    ways = [Way(w, t) for w in WIDTHS for t in sorted({1, cores})]
    rates = {way: [rate(engine, tokens, way) for _ in range(ROUNDS)] for way in ways}
    for way in ways:
        what = f"{way.width} side by side on {way.threads} thread{'s' * (way.threads > 1)}"
        report.row(what, statistics.median(rates[way]), "tokens/s")
    best = max(ways, key=lambda way: statistics.median(rates[way]))
    curve = Curve(cores)
    looped(engine, tokens, curve, first=400)  # it tries its ways
    single = [rate(engine, tokens, best)]
    ours, ratios = [], []
    for _ in range(PAIRS):
        ours.append(looped(engine, tokens, curve))
        single.append(rate(engine, tokens, best))
        ratios.append(2 * ours[-1] / sum(single[-2:]))
    report.row("the best of them, before and after each", statistics.median(single), "tokens/s")
    report.row("8 answers through the loop", statistics.median(ours), "tokens/s")
    report.row("these beside those, least", min(ratios), "times")
    report.row("these beside those, most", max(ratios), "times")
    report.row("those beside these, median", 1 / statistics.median(ratios), "times", 1)
    print("\nThe loop's own curve, width x threads:", curve.shown())


def foreground(engine: Engine, tokens: list[int], report: Report) -> None:
    """Six answers in the background, then one of a person."""
    desk = Desk(engine)
    for n in range(6):
        desk.job([*tokens[: 100 + n]], 400, nice=1)
    for _ in range(80):
        desk.loop.step()
    urgent = desk.job(tokens[700:1000], 8)
    begun, steps, read = time.perf_counter(), 0, 0
    while not urgent.made:
        desk.loop.step()
        steps += 1
        read = read or (steps if urgent.held and urgent.left <= 1 else 0)
    first = time.perf_counter() - begun
    report.row("a person's 300 tokens read and the first word said", first, "s")
    report.row("decode steps from the end of its prompt to that word", steps - read, "", 2)


def main() -> int:
    """Measure and print; 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=BY_NAME, default="local/qwen2.5-coder-0.5b")
    spec = BY_NAME[parser.parse_args().model]
    if os.environ.get("GOMP_SPINCOUNT") != SPIN:
        os.execve(
            sys.executable,
            [sys.executable, "-m", "bench.local.preemption", *sys.argv[1:]],
            os.environ | {"GOMP_SPINCOUNT": SPIN},
        )
    cores = len(os.sched_getaffinity(0))
    path = place(spec, home_of() / "models")
    engine = Engine(Settings(path, 8192, 1 << 30, BATCH, cores, repack=spec.repack))
    tokens = engine.tokens(TEXT)
    report = Report()
    for measure in (preempted, snapshot, foreground, width):
        measure(engine, tokens if measure is not preempted else tokens[:120], report)
    return 1 if report.missed else 0


if __name__ == "__main__":
    sys.exit(main())
