"""python -m tests.simulation: play seeds, print what broke and how to play it again."""

import argparse
import sys
import time
import traceback
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.story import play


def check(seed: int) -> tuple[int, str, int, int]:
    """Play a seed; what was wrong, its appends and lives."""
    try:
        story = play(seed)
    except BaseException as e:  # noqa: BLE001 - every fault of a seed is told
        last = traceback.extract_tb(e.__traceback__)[-1]
        return seed, f"{e!r:.300} at {last.name}:{last.lineno}", 0, 0
    return seed, "", story.watch.appends, story.lives


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, help="only this one, with its whole traceback")
    parser.add_argument("--seeds", type=int, default=2000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    if options.seed is not None:
        story = play(options.seed)
        print(f"seed {options.seed}: {story.watch.appends} appends, {story.lives} lives: all held")
        return
    begun = time.monotonic()
    appends = lives = failed = 0
    seeds = range(options.first, options.first + options.seeds)
    with ProcessPoolExecutor(options.jobs) as pool:
        for seed, wrong, some, more in pool.map(check, seeds, chunksize=20):
            appends, lives = appends + some, lives + more
            if wrong:
                failed += 1
                print(f"seed {seed}: {wrong}\n  again: python -m tests.simulation --seed {seed}")
    seconds = time.monotonic() - begun
    print(
        f"{options.seeds} seeds, {lives} lives, {appends} appends in {seconds:.1f} s: "
        f"{failed} failed"
    )
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
