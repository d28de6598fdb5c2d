"""What a cell shows of a value: its text, a table, a figure.

It travels as source beside the loop, so it imports nothing of oros.
"""

import csv
import io
import itertools
import sys
from typing import Any

SHOWN = 20_000  # characters of a value, a message, a traceback
ITEMS = 1000  # of a container whose repr is made
TABLE, TABLE_BLOCK, COLUMNS = 256 << 10, 500, 200

Header = dict[str, Any]


def text(value: Any) -> str:
    """The repr of a value; of a long container that of its beginning."""
    if isinstance(value, (str, bytes, bytearray)) and len(value) > 2 * SHOWN:
        return f"{value[: 2 * SHOWN]!r}... ({len(value)} in all)"
    if type(value) in (list, tuple, set, frozenset, dict) and len(value) > ITEMS:
        some = itertools.islice(value.items() if type(value) is dict else value, ITEMS)
        kind = dict if type(value) is dict else list
        return f"{kind(some)!r}... ({len(value)} items in all, a {type(value).__name__})"
    return repr(value)


def cut(text: str) -> tuple[str, int]:
    """The two ends of a long text, and how many characters are gone; it can be encoded."""
    gone = max(0, len(text) - SHOWN)
    if gone:
        text = f"{text[: SHOWN // 2]}\n[... {gone} characters ...]\n{text[-(SHOWN // 2) :]}"
    return text.encode("utf-8", "backslashreplace").decode(), gone


def table(pandas: Any, value: Any) -> tuple[Header, bytes]:
    """A table as CSV, as many rows as fit."""
    frame = value.to_frame() if isinstance(value, pandas.Series) else value
    rows, columns = frame.shape
    counted = isinstance(frame.index, pandas.RangeIndex) and frame.index.name is None
    seen, out = frame.iloc[:, :COLUMNS], io.StringIO()
    done = 0
    while not done or (done < rows and out.tell() < TABLE):
        block = seen.iloc[done : done + TABLE_BLOCK]
        block.to_csv(out, header=not done, index=not counted, lineterminator="\n")
        done += TABLE_BLOCK
    data = out.getvalue().encode("utf-8", "backslashreplace")
    if len(data) > TABLE:
        data = data[: data.rfind(b"\n", 0, TABLE) + 1]
    whole = data.decode("utf-8", "ignore")
    held = max(0, sum(1 for _ in csv.reader(io.StringIO(whole))) - 1)
    about = {"media": "text/csv", "name": "table.csv", "rows": rows, "columns": columns}
    return {**about, "held": min(held, rows)}, data


def numbered(figure: Any) -> bool:
    """Tell whether pyplot knows a figure; then it is taken at the cell's end."""
    pyplot = sys.modules.get("matplotlib.pyplot")
    return pyplot is not None and getattr(figure, "number", None) in pyplot.get_fignums()


def drawn(figure: Any) -> tuple[Header, bytes]:
    out = io.BytesIO()
    figure.savefig(out, format="png", bbox_inches="tight")
    return {"media": "image/png", "name": "figure.png"}, out.getvalue()
