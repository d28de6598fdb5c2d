"""What a refusal of these servers means: an error of ours, or a parameter to go without. Pure."""

import re
from collections.abc import Mapping

from oros.abi.errors import BadReply, Busy, DeviceFailed, NotAuthorized, OrosError, TooBig
from oros.abi.message import Json
from oros.drivers.wording import over_window

OTHER_LIMIT = {
    "max_tokens": "max_completion_tokens",
    "max_completion_tokens": "max_tokens",
}
OPTIONAL = (
    *("temperature", "seed", "random_seed", "stop", "stream_options", "strict", "priority"),
    *("prompt_cache_key", "include", "reasoning_effort", "summary", "response_format"),
    *OTHER_LIMIT,
)
"""What an answer can do without; `stop` is then watched here, a limit has another name, a schema
is told in words."""

REFUSING = re.compile(
    r"support|unknown|unrecogni[sz]ed|unexpected|permitted|allowed|extra|not enabled"
    r"|invalid schema|additional propert",
    re.IGNORECASE,
)


class Without(BadReply):
    """A server takes no parameter of that name; asked without, it may answer."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(why)
        self.name = name


def refused_in(error: Mapping[str, Json]) -> str | None:
    """The optional parameter that a refusal names; None if it is about something else."""
    why = str(error.get("message"))
    param = str(error.get("param") or "")
    refusing = REFUSING.search(why)
    if refusing and ("schema for response_format" in why or "text.format.schema" in param):
        return "strict"
    for name in OPTIONAL:
        if name in param.split("."):
            return name
    if not refusing:
        return None
    return next((n for n in OPTIONAL if re.search(rf"\b{n}\b", why, re.IGNORECASE)), None)


def error_of(why: str, status: int, error: Mapping[str, Json], wait: float | None) -> OrosError:
    """What an error in a body means. `status` is the one it came with; 200 in a stream."""
    code = " ".join(str(error.get(k) or "") for k in ("code", "type"))
    low = f"{code} {why}".lower()
    if over_window(low):
        return TooBig(why, "a model with a larger window, or a smaller job")
    if "insufficient_quota" in low or "billing" in low or status == 402:
        return NotAuthorized(why, "the account at the platform has no credit")
    if "rate_limit" in low or status == 429 or re.search(r"\b429\b", code):
        return Busy(why, "it is tried again", wait)
    if "overloaded" in low or "server_error" in low or re.search(r"\b5\d\d\b", code):
        return DeviceFailed(why, retry_after=wait)
    return BadReply(why, retry_after=wait)
