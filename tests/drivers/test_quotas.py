"""Headers of rate limits, as OpenAI's, Anthropic's and others' servers send them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from oros.abi.ports import Quota
from oros.drivers.quotas import quotas, seconds

OPENAI = {
    "x-ratelimit-limit-requests": "60",
    "x-ratelimit-limit-tokens": "150000",
    "x-ratelimit-remaining-requests": "59",
    "x-ratelimit-remaining-tokens": "149984",
    "x-ratelimit-reset-requests": "1s",
    "x-ratelimit-reset-tokens": "6m0s",
}
ANTHROPIC = {
    "Date": "Fri, 27 Nov 2026 01:00:00 GMT",
    "anthropic-ratelimit-requests-limit": "50",
    "anthropic-ratelimit-requests-remaining": "49",
    "anthropic-ratelimit-requests-reset": "2026-11-27T01:00:01Z",
    "anthropic-ratelimit-tokens-limit": "80000",
    "anthropic-ratelimit-tokens-remaining": "70000",
    "anthropic-ratelimit-tokens-reset": "2026-11-27T01:00:30+00:00",
}


def test_both_dialects() -> None:
    assert quotas(CIMultiDict(OPENAI)) == [
        Quota("requests", 59, 60, 1.0),
        Quota("tokens", 149984, 150000, 360.0),
    ]
    assert quotas(CIMultiDict(ANTHROPIC)) == [
        Quota("requests", 49, 50, 1.0),
        Quota("tokens", 70000, 80000, 30.0),
    ]
    assert quotas(CIMultiDict({k.upper(): v for k, v in OPENAI.items()}))
    assert quotas(CIMultiDict()) == []


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("1s", 1), ("6m0s", 360), ("120ms", 0.12), ("1h2m3.5s", 3723.5), ("2.5", 2.5), ("0", 0)],
)
def test_times(text, wanted) -> None:
    assert seconds(text, "") == pytest.approx(wanted)


def test_a_limit_without_a_time_is_by_the_minute() -> None:
    told = {"x-ratelimit-limit-requests": "10", "x-ratelimit-remaining-requests": "3"}
    assert quotas(CIMultiDict(told)) == [Quota("requests", 3, 10, 60.0)]


@given(st.dictionaries(st.sampled_from([*OPENAI, *ANTHROPIC]), st.text(max_size=20)))
def test_rubbish_is_passed_over(headers) -> None:
    for quota in quotas(CIMultiDict(headers)):
        assert 0 <= quota.left <= quota.most
        assert quota.seconds >= 0
