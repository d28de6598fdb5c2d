"""What a small model is shown of a folder: each file's name, size and how it begins."""

from collections.abc import Sequence

from oros.abi.message import Json

FILES = 30
CHARS = 6000


def overview(entries: Sequence[Json]) -> str:
    """Entries of a `list` call as text, bounded; folders as their names only."""
    lines: list[str] = []
    room = CHARS
    for entry in entries[:FILES]:
        name = str(entry["path"]).removeprefix("/work/")
        line = f"- {name}" + (
            "/" if entry.get("kind") == "dir" else f" ({entry.get('size')} bytes)"
        )
        if entry.get("lines") is not None:
            line = f"- {name} ({entry['lines']} lines)"
        head = str(entry.get("head") or "")[: max(0, min(400, room))]
        if head:
            line += " begins:\n" + "\n".join(f"    {x}" for x in head.splitlines()[:5])
        room -= len(line)
        lines.append(line)
    if len(entries) > FILES:
        lines.append(f"- ... and {len(entries) - FILES} more")
    return "\n".join(lines) or "(no files)"
