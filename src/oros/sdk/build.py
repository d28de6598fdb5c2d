"""Which build a program is of: its version, and a digest of the code that it was started from.

Both sides of the door use this: a machine tells its build, a command compares it with its own.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import oros

KEPT = "__pycache__"


def place() -> Path:
    """The folder of the code."""
    return Path(oros.__file__).parent


def folders(root: Path) -> Iterator[Path]:
    """It and all folders below it."""
    yield root
    for entry in sorted(root.iterdir()):
        if entry.is_dir() and entry.name != KEPT:
            yield from folders(entry)


def build(root: Path | None = None) -> str:
    """The build of the code in a folder, `0.1.0+1f0c...`: equal only if every file is.

    It reads all of them, some 2 MB. Raises: OSError, if a file goes meanwhile.
    """
    import hashlib  # a command rarely needs it

    root = root or place()
    found = hashlib.blake2b(digest_size=6)
    for folder in folders(root):
        for file in sorted(f for f in folder.iterdir() if f.is_file()):
            data = file.read_bytes()
            found.update(f"{file.relative_to(root)} {len(data)}\n".encode() + data)
    return f"{oros.__version__}+{found.hexdigest()}"


def is_other(told: Mapping[str, Any] | None) -> bool:
    """Whether a machine, by the `build` of its status, is of another build than we are.

    One from the folder that we are from knows by itself whether that has changed; only of one from
    elsewhere all the code is compared.
    """
    if not told or told["stale"]:
        return True
    return told["at"] != str(place()) and bool(told["id"]) and told["id"] != build()
