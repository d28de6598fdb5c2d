"""Programs: those that come with the machine and the person's own, data files, one a program."""

import tomllib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from oros.abi import wire
from oros.abi.errors import Invalid, NotFound
from oros.abi.manifest import Program
from oros.abi.message import Json
from oros.abi.ports import Model
from oros.abi.syscalls import TABLE
from oros.scheduling.needs import CANS
from oros.services.apps.manifest import NAME

LEAST_PAGE, MOST_PAGE = 2000, 32000


def parse(text: str, where: str) -> Program:
    """A program from its TOML. Raises: Invalid, naming the file and the fault."""
    try:
        data: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as e:
        raise Invalid(f"{where}: {e}") from e
    trim(data)
    known = [f.name for f in fields(Program)]
    for key in data:
        if key not in known:
            raise Invalid(f"{where}: there is no key {key!r}", f"keys: {' '.join(known)}")
    try:
        found: Program = wire.decode(Program, wire.dumps(data))
    except Invalid as e:
        raise Invalid(f"{where}: {e.why}", "mend the file") from e
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


class Programs:
    """The programs there are: those of the machine, and the person's own, `FOLDER/NAME.toml`.

    A file is read when its program is asked for; one does not take the place of the machine's own.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, name: str, model: Model) -> Program:
        """The program of a name; "" means the one that suits the model.

        Raises: NotFound; Invalid, naming the file and the fault.
        """
        chosen = name or ("code" if model.info.small else "steps")
        found = builtin().get(chosen) or self._own(chosen)
        if found is None:
            there = " ".join([*builtin(), *self._names()])
            raise NotFound(f"there is no program {chosen!r}", f"programs: {there}")
        if found.shape == "reader":
            return replace(found, page=page(model.info.window, found.max_tokens))
        return found

    async def told(self, _: Mapping[str, Json]) -> Json:
        """What a person may ask: the programs there are, by name."""
        return [{"name": p.name, "shape": p.shape, "about": p.about} for p in self.listed()]

    def listed(self) -> list[Program]:
        """All that can be read."""
        found = list(builtin().values())
        for name in self._names():
            with suppress(Invalid):
                own = self._own(name)
                found += [own] if own is not None else []
        return found

    def _names(self) -> list[str]:
        """The names of the person's own."""
        with suppress(OSError):
            names = sorted(f.stem for f in self._folder.iterdir() if f.suffix == ".toml")
            return [n for n in names if NAME.fullmatch(n) and n not in builtin()]
        return []

    def _own(self, name: str) -> Program | None:
        """One of the person's own. Raises: Invalid."""
        if not NAME.fullmatch(name):
            return None
        file = self._folder / f"{name}.toml"
        try:
            found = parse(file.read_text("utf-8"), str(file))
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as e:
            raise Invalid(f"{file}: {e}", "mend the file") from e
        unknown = [n for n in found.needs if n not in CANS]
        if unknown:
            raise Invalid(f"{file}: there is no need {unknown[0]!r}", f"needs: {' '.join(CANS)}")
        if found.name != name or found.standing:
            why = "its program stands" if found.standing else f"its program is {found.name!r}"
            raise Invalid(f"{file}: {why}", f"name = {name!r}, and not standing")
        return found


def page(window: int, answer: int) -> int:
    """Bytes of a text that fit a window of so many tokens beside the question and the answer.

    Two bytes a token: texts have three and more, few tables less.
    """
    return min(max(2 * (window - answer - 1500), LEAST_PAGE), MOST_PAGE)
