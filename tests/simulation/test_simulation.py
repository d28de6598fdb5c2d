"""2,000 seeds of random programs and faults; see `story.py` for what happens in one."""

import os
from concurrent.futures import ProcessPoolExecutor

import pytest
from tests.simulation.__main__ import check
from tests.simulation.story import play

from oros.kernel import slots
from oros.scheduling import budget

SEEDS = 2000


@pytest.mark.timeout(600)
def test_invariants_hold_for_every_seed() -> None:
    with ProcessPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        found = list(pool.map(check, range(SEEDS), chunksize=25))
    broken = [
        f"python -m tests.simulation --seed {seed}  # {wrong}" for seed, wrong, *_ in found if wrong
    ]
    assert not broken, "\n".join(broken[:20])
    assert sum(appends for _, _, appends, _ in found) > 30 * SEEDS
    assert sum(lives for _, _, _, lives in found) > 1.5 * SEEDS, "hardly any crash"


def test_a_seed_repeats_to_the_byte() -> None:
    one, two = play(7), play(7)
    assert one.disk.events == two.disk.events
    assert one.ledger.done == two.ledger.done


@pytest.mark.parametrize(
    ("where", "name", "broken"),
    [
        (budget.Accounts, "_check", lambda self, owner, need: None),
        (
            slots.scheduler,
            "pick",
            lambda waiting, now: max(waiting, key=lambda c: c.start, default=None),
        ),
    ],
)
def test_a_broken_kernel_is_noticed(monkeypatch, where, name, broken) -> None:
    """The invariants can fail: budgets that never refuse, a scheduler that takes the youngest."""
    monkeypatch.setattr(where, name, broken)
    assert any(check(seed)[1] for seed in range(120))
