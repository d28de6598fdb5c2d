"""The table of prices: whole, and silent about what it does not know."""

from datetime import date

import pytest

from oros.abi.grants import Usage
from oros.abi.ports import ModelInfo
from oros.services.prices import price_of, table

NOW = date(2026, 11, 27)
CLAUDE, GEMINI = "api.anthropic.com", "generativelanguage.googleapis.com"


@pytest.mark.parametrize(
    ("host", "model", "window", "price"),
    [
        (CLAUDE, "claude-opus-5-5", 200_000, (4_000_000, 20_000_000, 200_000, 5_000_000)),
        (CLAUDE, "claude-haiku-4-5-20251001", 200_000, (1_000_000, 5_000_000, 100_000, 1_250_000)),
        (CLAUDE, "claude-haiku-5-5", 100_000, (100_000, 500_000, 10_000, 125_000)),
        (CLAUDE, "claude-haiku-5-5", 100_001, (500_000, 2_500_000, 50_000, 625_000)),
        (GEMINI, "models/gemini-2.5-flash", 32768, (300_000, 2_500_000, 30_000)),
        ("api.openai.com", "gpt-5-mini-2025-08-07", 32768, (250_000, 2_000_000, 25_000)),
        ("api.openai.com", "gpt-5-mini-tuned", 32768, None),
        ("openrouter.example", "gpt-5-mini", 32768, None),
        ("api.openai.com", "hosts", 32768, None),
        ("api.openai.com", "page", 32768, None),
        ("", "claude-opus-5-5", 32768, None),
    ],
)
def test_what_is_known_and_what_is_not(host, model, window, price) -> None:
    assert price_of(host, model, window, NOW) == price


def test_a_price_changes_on_its_day() -> None:
    at = [
        price_of(GEMINI, "gemini-3.8-flash", 32768, date(y, m, d))[0]
        for y, m, d in ((2026, 11, 27), (2026, 12, 31), (2027, 1, 1), (2030, 5, 5))
    ]
    assert at == [750_000, 750_000, 1_500_000, 1_500_000]


@pytest.mark.parametrize("window", [1000, 10_000_000])
def test_each_row_is_a_price(window) -> None:
    rows = [
        (vendor["hosts"][0], name)
        for vendor in table()
        for name in (*vendor["models"], *vendor.get("long", ()))
    ]
    assert len(rows) > 40
    for host, name in rows:
        price = price_of(host, name, window, NOW)
        per_in, per_out, cached, *written = price
        assert per_out >= per_in > cached > 0, name
        assert all(w >= per_in for w in written)
        used = Usage(1_000_000, 1_000_000, 500_000)
        assert ModelInfo(name, window, price=price).cost(used) > 0
