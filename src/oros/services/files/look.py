"""How a file begins, for a listing: line count and head; a JSON file's length and first object.

Measured: this overview is what makes a small model's program right at the first try, as it gives
the column names before the first token. Reads at most 1 MB of a file.
"""

import json
import os
from typing import Any

from oros.services.files.tables import table_of
from oros.services.files.text import SAMPLE, decode, sniff

MAX_LOOK = 1 << 20
TABLE = 2000

_JSON_NAMES = (".json", ".geojson", ".ipynb")


def look(fd: int, name: str, size: int, head: int) -> dict[str, Any]:
    """Return `{"lines", "head"}` of a text file, `{"type"}` of a binary one; of a table `about`.

    Of a file over 1 MB the lines are estimated: `lines_about` instead of `lines`.
    """
    raw = os.pread(fd, MAX_LOOK, 0)
    nature = sniff(raw[:SAMPLE])
    if not nature.encoding:
        return {"type": nature.kind}
    text, _ = decode(raw, nature.encoding)
    lines = text.count("\n") + (not text.endswith("\n") and bool(text))
    begins = _outline(text, whole=len(raw) == size) if name.lower().endswith(_JSON_NAMES) else ""
    seen: dict[str, Any] = {"head": (begins or text)[:head]}
    if len(raw) >= size and (about := table_of(name, text)):
        seen["about"] = about[: max(head, TABLE)]
    if len(raw) >= size:
        return {"lines": lines, **seen}
    return {"lines_about": round(lines * size / len(raw)), **seen}


def _outline(text: str, *, whole: bool) -> str:
    """Say what a JSON text holds: `list of 406; first: {...}`. "" if it is no JSON."""
    try:
        if whole:
            return _describe(json.loads(text))
        start = text.index("[") + 1
        if text[: start - 1].strip():
            return ""
        first, _ = json.JSONDecoder().raw_decode(text, start + _blanks(text, start))
    except (ValueError, RecursionError):  # no JSON, numbers beyond reason, nested too deep
        return ""
    return f"list; first: {_brief(first)}"


def _blanks(text: str, start: int) -> int:
    rest = text[start : start + 4096]
    return len(rest) - len(rest.lstrip())


def _describe(value: Any) -> str:
    if isinstance(value, list) and value:
        return f"list of {len(value)}; first: {_brief(value[0])}"
    if isinstance(value, dict):
        return "object; " + "; ".join(f"{k}: {_inner(v)}" for k, v in value.items())
    return _brief(value)


def _inner(value: Any) -> str:
    if isinstance(value, list | dict) and len(value) > 3:
        return f"[{_describe(value)}]"
    return _brief(value)


def _brief(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
