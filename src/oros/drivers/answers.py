"""What the answers of an HTTP server that is no model's business mean: as errors of ours."""

import json
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from oros.abi.errors import (
    BadReply,
    Busy,
    DeviceFailed,
    NoDevice,
    NotAuthorized,
    OrosError,
    TimedOut,
    TooBig,
    Unreachable,
)
from oros.abi.message import Json

if TYPE_CHECKING:
    import aiohttp

CONNECT = 10.0
"""Seconds until a server has taken a connection."""

DAY = 86400.0
"""Seconds that a server may ask to wait at most: more is a clock gone wrong."""

ERROR = 65536
"""Bytes of an error that are read."""

Other = Callable[[str, int, dict[str, Json], float | None], OrosError]
"""What another status means: why in words, the status, the body's error, seconds to wait."""


def meaning(e: Exception, url: str, silent: str) -> OrosError:
    """What an error of a connection means; `silent`: what a time-out after the connection is."""
    import aiohttp

    match e:
        case aiohttp.ConnectionTimeoutError():
            return Unreachable(f"nobody answers at {url} within {CONNECT:g} seconds")
        case TimeoutError():
            return TimedOut(f"{url} {silent}")
        case aiohttp.ClientConnectorCertificateError():
            return Unreachable(f"{url} has a bad certificate: {e.certificate_error}")
        case aiohttp.ClientConnectorError():
            return Unreachable(f"nobody answers at {url}: {e.os_error.strerror}")
        case aiohttp.ClientPayloadError():
            return BadReply("the stream broke off")
        case aiohttp.InvalidURL():
            return NoDevice(f"{url} is no address", "mend base_url in config.toml")
        case _:
            return Unreachable(f"{url}: {e}")


First = Callable[[str, int, dict[str, Json], float | None], OrosError | None]
"""As `Other`, and asked before a status means anything; None leaves it to the status."""


async def body_of(reply: "aiohttp.ClientResponse", most: int) -> bytes:
    """The body of an answer, however it comes in pieces; what is over `most` bytes is left out."""
    data = bytearray()
    async for piece in reply.content.iter_any():
        data += piece
        if len(data) >= most:
            break
    return bytes(data[:most])


async def refusal(
    reply: "aiohttp.ClientResponse", other: Other, first: First = lambda *_: None
) -> OrosError:
    """What a status that is not 200 means."""
    error = error_in((await body_of(reply, ERROR)).decode("utf-8", "replace"))
    why = f"{reply.url.host} answered {reply.status}: {error['message']}"
    wait = retry_after(reply.headers)
    if (known := first(why, reply.status, error, wait)) is not None:
        return known
    match reply.status:
        case 401 | 403:
            return NotAuthorized(why, "look at its key or key_env in config.toml")
        case 404:
            return NoDevice(why, "look at base_url and model in config.toml")
        case 408 | 504:
            return TimedOut(why, retry_after=wait)
        case 413:
            return TooBig(why)
        case 429:
            return Busy(why, "it is tried again", wait)
        case status if status >= 500:
            return DeviceFailed(why, retry_after=wait)
        case status:
            return other(why, status, error, wait)


def error_in(data: str) -> dict[str, Json]:
    """The error of a body, its message in one line; of a web page only that it is one."""
    try:
        found: Json = json.loads(data)
    except (ValueError, RecursionError):
        page = "<html" in data[:500].lower()
        text = "a web page instead of an answer" if page else " ".join(data.split())[:200]
        return {"message": text}
    if isinstance(found, list) and len(found) == 1:
        found = found[0]
    error = found.get("error", found) if isinstance(found, dict) else found
    if not isinstance(error, dict):
        error = {"message": error}
    message = " ".join(str(error.get("message", error)).split())[:300]
    return {**error, "message": message}


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, from a number or from a date beside the server's own (RFC 9110, 10.2.3).

    A day at most: what is longer is a clock gone wrong.
    """
    text = headers.get("Retry-After")
    if not text:
        return None
    if text.replace(".", "", 1).isdecimal():
        return min(float(text), DAY)
    try:
        now = parsedate_to_datetime(headers["Date"])
        return min(max(0.0, (parsedate_to_datetime(text) - now).total_seconds()), DAY)
    except (KeyError, ValueError, TypeError):
        return None
