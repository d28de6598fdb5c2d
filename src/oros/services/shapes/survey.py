"""What a small model is shown of a folder: tables by their columns, small texts whole.

Measured: this overview is what makes the first program right; it gives names before the first
token. Bounded, whatever the folder holds.
"""

from collections.abc import Sequence

from oros.abi.message import Json

FILES = 40
ROOM = 7000
"""Characters of an overview."""

WHOLE = 2400
"""A text up to this size is shown whole, when there are few files."""

FEW = 3
BEGINNING = 300


def overview(entries: Sequence[Json], goal: str) -> str:
    """Entries of a `list` call as text; of many files, those that the goal names are told best."""
    few = sum(e.get("kind") != "dir" for e in entries) <= FEW
    named = [e for e in entries if is_named(e, goal)]
    told: list[str] = []
    room = ROOM
    for entry in entries[:FILES]:
        text = told_of(entry, few=few) if few or entry in named else in_short(entry)
        if room <= 0:
            text = f"- {name_of(entry)}"
        told.append(text[: max(room, 80)])
        room -= len(text)
    if len(entries) > FILES:
        told.append(f"- and {len(entries) - FILES} more")
    return "\n".join(told) or "(no files)"


def name_of(entry: Json) -> str:
    """The path as a program in the folder names it."""
    return str(entry["path"]).removeprefix("/work/")


def is_named(entry: Json, goal: str) -> bool:
    """Whether the goal speaks of a file, by its name or by its name without the ending."""
    name = name_of(entry).rsplit("/", 1)[-1].lower()
    words = goal.lower()
    return name in words or (len(name) > 4 and name.rsplit(".", 1)[0] in words)


def in_short(entry: Json) -> str:
    """One entry in a line: of a table its size and the names of its columns."""
    name = name_of(entry)
    if entry.get("kind") == "dir":
        return f"- {name}/ (a folder)"
    about = str(entry.get("about") or "").splitlines()
    if not about:
        return f"- {name}: {entry.get('lines') or entry.get('size')} lines"
    columns = ", ".join(x.strip().split(":")[0] for x in about[1:])
    return f"- {name}: {about[0]} {columns}"[:200]


def told_of(entry: Json, *, few: bool) -> str:
    """One entry in words."""
    name = name_of(entry)
    if entry.get("kind") == "dir":
        return f"- {name}/ (a folder)"
    if entry.get("about"):
        return f"- {name}: {entry['about']}"
    head, lines = str(entry.get("head") or ""), entry.get("lines")
    if lines is None:
        return f"- {name}: {entry.get('type') or 'file'}, {entry.get('size')} bytes"
    if few and whole(entry):
        return f"- {name}: {lines} lines, all of it:\n```\n{head.rstrip()}\n```"
    shown = [x for x in head.splitlines() if x.strip()][:8]
    begins = "\n".join(f"    {x[:120]}" for x in shown)[:BEGINNING]
    return f"- {name}: {lines} lines, begins:\n{begins}"


def last_words(value: Json, script: str) -> str:
    """How a script ended: the end of its traceback from its own first line on, or of its output."""
    err, out = str(value.get("err", "")).strip(), str(value.get("out", "")).strip()
    if value.get("exit") == 0 or not err:
        return (out + "\n" + err).strip()[-BEGINNING:] or "(no output)"
    lines = err.splitlines()
    own = next((i for i, x in enumerate(lines) if script in x), 0)
    return "\n".join(lines[own:])[-2 * BEGINNING :]


def whole(entry: Json) -> str:
    """The text of a file that is shown whole, else ""."""
    head = str(entry.get("head") or "")
    return head if len(head) < WHOLE and int(entry.get("size") or 0) <= WHOLE else ""
