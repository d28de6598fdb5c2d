"""An external ledger: one file of lines outside the machine, and tools that append to it.

`note` honours its key (a second append under it changes nothing); `pay` does not, and can't tell
afterwards whether it happened: the person is asked.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from oros.abi.acts import Act
from oros.abi.message import Json
from oros.abi.ports import Caller, Tool, ToolSpec
from oros.abi.syscalls import Outcome

SCHEMA = {"type": "object", "properties": {"step": {"type": "string"}}, "required": ["step"]}


class Ledger:
    """A device that appends one line a call; a line is written whole or not at all."""

    def __init__(self, path: Path, honours: bool, crash) -> None:
        self._path, self._honours, self._crash = path, honours, crash

    async def perform(self, who: Caller, args: Mapping[str, Json]) -> Outcome:
        call = args["args"]
        self._crash("before")
        if not (self._honours and any(line["key"] == who.key for line in lines(self._path))):
            line = {"key": who.key, "pid": who.pid, "step": call["step"]}
            fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            os.write(fd, json.dumps(line).encode() + b"\n")
            os.close(fd)
        self._crash("after")
        return Outcome(value={"noted": call["step"]})

    async def reconcile(self, who: Caller, args: Mapping[str, Json]) -> Outcome | None:
        return None


def lines(path: Path) -> list[dict[str, Json]]:
    """All lines of a ledger."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines()]


def tools(folder: Path, crash) -> dict[str, Tool]:
    """Both tools over one folder."""
    note = Ledger(folder / "note.jsonl", True, crash)
    pay = Ledger(folder / "pay.jsonl", False, crash)
    return {
        "note": Tool(ToolSpec("note", "notes a step", SCHEMA, "idempotent", act("note")), note),
        "pay": Tool(ToolSpec("pay", "pays a step", SCHEMA, "once", act("pay")), pay),
    }


def act(name: str) -> Act:
    """What the goals of the test ask for in words."""
    return Act(name, f"{name} steps", {"step": "enum"}, triggers=(f"{name} step",))
