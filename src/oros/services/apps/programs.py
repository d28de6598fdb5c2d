"""Programs that come with the machine: data files, one a program.

They are read through the same decoder as any other program's manifest.
"""

import tomllib
from dataclasses import replace
from functools import cache
from importlib.resources import files
from typing import Any

from oros.abi import wire
from oros.abi.errors import Invalid, NotFound
from oros.abi.manifest import Program
from oros.abi.ports import Model
from oros.abi.syscalls import TABLE

LEAST_PAGE, MOST_PAGE = 2000, 32000


def parse(text: str, where: str) -> Program:
    """A program from its TOML. Raises: Invalid, naming the file and the fault."""
    try:
        data: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as e:
        raise Invalid(f"{where}: {e}") from e
    trim(data)
    found: Program = wire.decode(Program, wire.dumps(data))
    unknown = [c for c in found.calls if c not in TABLE]
    if unknown:
        raise Invalid(f"{where}: there is no call {unknown[0]}", f"calls: {' '.join(TABLE)}")
    return found


def trim(data: dict[str, Any]) -> None:
    """Take the blank line off that a multi-line string begins with."""
    for key, value in data.items():
        if isinstance(value, str):
            data[key] = value.strip("\n")
        elif isinstance(value, list):
            for item in value:
                if isinstance(item, dict):
                    trim(item)


@cache
def builtin() -> dict[str, Program]:
    """All programs that come with the machine, by name."""
    folder = files("oros.services.apps") / "builtin"
    found = (parse(f.read_text("utf-8"), f.name) for f in folder.iterdir() if f.is_file())
    return {p.name: p for p in sorted(found, key=lambda p: p.name)}


def program(name: str, model: Model) -> Program:
    """The program of a name; "" means the one that suits the model. Raises: NotFound."""
    chosen = name or ("code" if model.info.small else "steps")
    found = builtin().get(chosen)
    if found is None:
        raise NotFound(f"there is no program {chosen!r}", f"programs: {' '.join(builtin())}")
    if found.shape == "reader":
        return replace(found, page=page(model.info.window, found.max_tokens))
    return found


def page(window: int, answer: int) -> int:
    """Bytes of a text that fit a window of so many tokens beside the question and the answer.

    Two bytes a token: texts have three and more, few tables less.
    """
    return min(max(2 * (window - answer - 1500), LEAST_PAGE), MOST_PAGE)
