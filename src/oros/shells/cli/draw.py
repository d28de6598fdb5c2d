"""Numbers, tables and trees as text: pure functions, no terminal."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]


def tokens(count: int | None) -> str:
    """A count in three or four characters: 950, 12.3k, 4.5M."""
    if count is None:
        return "?"
    for size, mark in ((1_000_000, "M"), (1_000, "k")):
        if count >= size:
            return f"{count / size:.1f}{mark}" if count < 100 * size else f"{count // size}{mark}"
    return str(count)


def money(micros: int | None) -> str:
    """Micro-dollars as dollars: `free` is 0, `?` is a price that is not known."""
    if micros is None:
        return "?"
    if micros == 0:
        return "free"
    return f"${micros / 1e6:.4f}" if micros < 1_000_000 else f"${micros / 1e6:,.2f}"


def seconds(value: float | None) -> str:
    """A time in a few characters: 0.04s, 3.2s, 1m15s, 2h05m, 3d4h."""
    if value is None:
        return "-"
    if value < 10:
        return f"{value:.2f}s" if value < 0.1 else f"{value:.1f}s"
    if value < 60:
        return f"{value:.0f}s"
    minutes, rest = divmod(int(value), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours < 24 else f"{hours // 24}d{hours % 24}h"


def size(count: int | None) -> str:
    """Bytes: 12, 3.4K, 5.6M."""
    if count is None:
        return "-"
    value = float(count)
    for mark in ("", "K", "M", "G"):
        if value < 1024 or mark == "G":
            return f"{value:.1f}{mark}" if mark and value < 100 else f"{value:.0f}{mark}"
        value /= 1024
    return str(count)


def cells(text: str) -> int:
    """Columns that a text takes: wide characters two, combining ones none."""
    if text.isascii() or text.replace("…", "").isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def fit(text: str, width: int) -> str:
    """A text in one line of at most `width` columns, cut with an ellipsis."""
    return short(" ".join(text.split()), width)


def short(text: str, width: int) -> str:
    """A line of at most `width` columns, cut with an ellipsis."""
    wide = cells(text)
    if wide <= width:
        return text
    if wide == len(text) and width > 0:
        return text[: width - 1] + "…"
    while text and cells(text) >= width:
        text = text[: -max(1, (cells(text) - width) // 2)]
    return text + "…" if width > 0 else ""


def table(
    head: Sequence[str], rows: Iterable[Sequence[str]], width: int, left: str = ""
) -> list[str]:
    """Rows below their heads as lines; see `columns`."""
    return columns(list(zip(head, *rows, strict=True)), width, left)


def columns(told: Sequence[Sequence[str]], width: int, left: str = "") -> list[str]:
    """Columns, each from its head on, padded to their widest; the last takes what is left.

    `left` names the columns that are text, by their heads; the others are flush right.
    """
    *fixed, tails = told
    padded = [pad(column, column[0] in left.split()) for column in fixed]
    rest = width - sum(cells(column[0]) + 2 for column in padded)
    padded.append([fit_tail(text, max(8, rest)) for text in tails])
    lines = [line.rstrip() for line in map("  ".join, zip(*padded, strict=True))]
    return lines if rest >= 8 else [cut(line, width) for line in lines]


def fit_tail(text: str, width: int) -> str:
    """Fit, with the spaces of a tree kept at the start."""
    bare = text.lstrip(" ")
    if len(bare) == len(text):
        return fit(text, width)
    indent = text[: len(text) - len(bare)][: max(0, width - 4)]
    return indent + fit(bare, width - len(indent))


def cut(line: str, width: int) -> str:
    """A line that is never wider than the terminal."""
    while line and cells(line) > width:
        line = line[:-1]
    return line


def pad(column: Sequence[str], left: bool) -> list[str]:  # noqa: FBT001 - a column's side
    """Fill all up to the width of the widest."""
    if "".join(column).isascii():
        width = max(map(len, column))
        return [text.ljust(width) if left else text.rjust(width) for text in column]
    width = max(map(cells, column))
    sized = [(text, " " * (width - cells(text))) for text in column]
    return [text + fill if left else fill + text for text, fill in sized]


def tree(pids: Sequence[int], parents: Sequence[int]) -> list[tuple[int, int]]:
    """Processes below their parents, as (depth, place in `pids`), in the order of their numbers."""
    known = {*pids}
    children: dict[int, list[int]] = {}
    for at, (pid, parent) in enumerate(zip(pids, parents, strict=True)):
        children.setdefault(parent if parent in known and parent != pid else -1, []).append(at)
    found: list[tuple[int, int]] = []
    stack = [(0, at) for at in reversed(children.get(-1, ()))]
    while stack:
        depth, at = stack.pop()
        found.append((depth, at))
        stack += [(depth + 1, below) for below in reversed(children.get(pids[at], ()))]
    return found


def bar(done: int, total: int, width: int) -> str:
    """A progress bar."""
    full = min(width, width * done // total) if total > 0 else 0
    return "█" * full + "░" * (width - full)
