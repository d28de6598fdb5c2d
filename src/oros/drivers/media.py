"""Pictures and sounds on their way to a model: their bytes, or the text that stands for them."""

from base64 import b64encode
from collections.abc import Callable

from oros.abi.errors import Corrupt, NotFound
from oros.abi.ids import BlobId
from oros.abi.message import AudioPart, ImagePart, stands

MOST = 20 << 20
"""Bytes of a picture or a sound at most; the platforms' own limits are 5 to 20 MB."""

SOUNDS = {
    "audio/mpeg": "mp3",
    "audio/mp3": "mp3",
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
}
"""Kinds of sound that models hear, by the short name that their platforms have for them."""


def shown(
    part: ImagePart | AudioPart, fetch: Callable[[BlobId], bytes] | None, most: int = MOST
) -> bytes | str:
    """The bytes of a part, or what the model is told in their place: why it is not shown them."""
    if fetch is None:
        return stands(part)
    try:
        data = fetch(part.blob)
    except (NotFound, Corrupt) as e:
        return f"{stands(part)[:-1]}; not shown: {e.why}]"
    if len(data) > most:
        return f"{stands(part)[:-1]}; not shown: {len(data)} bytes are more than {most}]"
    return data


def data_url(mime: str, data: bytes) -> str:
    """The bytes as an address (RFC 2397)."""
    return f"data:{mime};base64,{b64encode(data).decode()}"
