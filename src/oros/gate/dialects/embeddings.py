"""OpenAI's embeddings and lists of models, as a server speaks them."""

import base64
import struct
from collections.abc import Sequence

from oros.abi.errors import Invalid
from oros.abi.grants import Usage
from oros.abi.message import Json
from oros.gate.dialects.parts import Body, text


def asked(body: Body) -> tuple[str, list[str], bool]:
    """The model, the texts, and whether vectors go as base64. Raises: Invalid."""
    given = body.get("input")
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not texts or not all(isinstance(t, str) for t in texts):
        raise Invalid("input: a string or a list of strings is needed", "tokens are not taken")
    form = body.get("encoding_format") or "float"
    if form not in ("float", "base64"):
        raise Invalid(f"encoding_format: there is no {form!r}", "float, base64")
    if body.get("dimensions") is not None:
        raise Invalid("dimensions: the vectors have one length here", "leave it out")
    return text(body.get("model") or "", "model"), texts, form == "base64"


def whole(model: str, vectors: Sequence[bytes], used: Usage, *, packed: bool) -> Json:
    """The answer; vectors are float32, little-endian."""
    rows = [
        {"object": "embedding", "index": n, "embedding": one(v, packed=packed)}
        for n, v in enumerate(vectors)
    ]
    counts = {"prompt_tokens": used.tokens_in, "total_tokens": used.tokens_in}
    return {"object": "list", "data": rows, "model": model, "usage": counts}


def one(vector: bytes, *, packed: bool) -> Json:
    """A vector."""
    if packed:
        return base64.b64encode(vector).decode()
    return list(struct.unpack(f"<{len(vector) // 4}f", vector))


def models(names: Sequence[str]) -> Json:
    """Names as a list that clients of both vendors read."""
    rows = [
        {
            "id": n,
            "object": "model",
            "created": 0,
            "owned_by": "oros",
            "type": "model",
            "display_name": n,
            "created_at": "1970-01-01T00:00:00Z",
        }
        for n in names
    ]
    ends = {"first_id": names[0], "last_id": names[-1]} if names else {}
    return {"object": "list", "data": rows, "has_more": False, **ends}
