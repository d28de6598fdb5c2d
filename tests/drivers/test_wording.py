"""What servers say of a prompt that is longer than the window is understood; the rest is not."""

import pytest

from oros.drivers.wording import over_window


@pytest.mark.parametrize(
    "why",
    [
        "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens.",
        "request (4627 tokens) exceeds the available context size (4096 tokens), try increasing it",
        "Prompt contains 40000 tokens, too large for model with 32768 maximum context length",
        "The decoder prompt (length 5000) is longer than the maximum model length of 4096.",
        "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
        "Trying to keep the first 5000 tokens when context the overflows.",
        "prompt is too long: 210000 tokens > 200000 maximum",
        "invalid_request_error context_length_exceeded Please reduce the length of the messages.",
    ],
)
def test_a_prompt_over_the_window(why) -> None:
    assert over_window(why)


@pytest.mark.parametrize(
    "why",
    [
        "",
        "context is a required field",
        'Unknown name "context": cannot find field',
        "You exceeded your current quota",
        "Request too large for the organization's tokens per minute limit",
        "The model 'x' does not exist",
    ],
)
def test_what_is_something_else(why) -> None:
    assert not over_window(why)
