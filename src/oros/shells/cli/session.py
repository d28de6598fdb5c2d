"""One run of a command: the machine's home, the terminal, the client, text or JSON."""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from oros.abi.errors import BY_CODE
from oros.sdk.client import Client
from oros.shells.cli.spawn_daemon import ensure
from oros.shells.cli.terminal import Terminal


class Session:
    """What every verb is given. `again` runs another command line in it."""

    def __init__(
        self, home: Path, terminal: Terminal, again: "Callable[[Session, Sequence[str]], int]"
    ) -> None:
        self.home = home
        self.terminal = terminal
        self.client = Client(home)
        self.again = again
        self._started = False

    def machine(self) -> Client:
        """The machine's client; the machine is started if it does not run. Raises: DeviceFailed."""
        if not self._started:
            ensure(self.client, self.terminal)
            self._started = True
        return self.client

    def call(self, name: str, /, **args: Any) -> Any:
        """The value of a call as the person; `/work` is the folder where the person is."""
        return self.machine().call(name, **args)["value"]

    def give(self, output: str, value: Any, lines: Iterable[str]) -> None:
        """Print a result as was asked for: JSON, or lines; the first of them is a head."""
        if output == "json":
            self.terminal.out(json.dumps(value, ensure_ascii=not self.terminal.is_tty))
            return
        if text := "\n".join(lines):
            self.terminal.out(text)


def code_of(why: str) -> int:
    """The exit code for why a process stopped or failed: that of the error it names, else 1."""
    found = BY_CODE.get(why.partition(":")[0])
    return found.exit_code if found is not None else 1


def here() -> str:
    """The person's folder. Raises: NotFound if it is gone."""
    from oros.abi.errors import NotFound  # rarely needed

    try:
        return str(Path.cwd())
    except FileNotFoundError as e:
        raise NotFound("the folder you are in is gone", "cd to another") from e
