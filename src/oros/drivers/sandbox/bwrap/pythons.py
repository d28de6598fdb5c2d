"""Which Python runs inside: the interpreter under this one's venv, else the distribution's."""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from oros.abi.jobs import Bind

FLAGS = ("-B", "-s")  # no bytecode files in the person's folder, no packages of a user's home
SYSTEM = Path("/usr")


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python and the folders, besides the system's, that it needs to be seen at their place."""

    path: str
    binds: tuple[Bind, ...] = ()

    @property
    def argv(self) -> tuple[str, ...]:
        """What to put before `-c SOURCE`, `FILE` or `-`; modules in the cwd can be imported."""
        return (self.path, *FLAGS)


def candidates() -> Iterator[Interpreter]:
    """Interpreters in the order of preference; whether one works inside is found by running it."""
    prefix = Path(sys.base_prefix)
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    base = prefix / "bin" / name
    if base.exists() and prefix.is_relative_to(SYSTEM):
        yield Interpreter(str(base))
    elif base.exists() and not _too_wide(prefix):
        yield Interpreter(str(base), (Bind(os.path.realpath(prefix), str(prefix), "r"),))
    if (SYSTEM / "bin/python3").exists():
        yield Interpreter(str(SYSTEM / "bin/python3"))


def _too_wide(prefix: Path) -> bool:
    """Tell whether showing this folder would show a home, or all homes."""
    home = Path.home()
    real = prefix.resolve()
    return home.is_relative_to(prefix) or home.resolve().is_relative_to(real)
