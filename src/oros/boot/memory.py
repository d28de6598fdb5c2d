"""Memory as the daemon has it: the store, what gives meaning, `/mem`, indexes of folders."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from oros.abi import wire
from oros.abi.errors import Invalid, NoDevice, OrosError
from oros.abi.events import Forked
from oros.abi.ids import PERSON, Pid, Seq
from oros.abi.labels import USER, Label
from oros.abi.manifest import Program
from oros.abi.message import Json
from oros.abi.ports import Clock, Embedder, Model, Sandbox, Store
from oros.boot.config import Config
from oros.drivers.embed.minilm.driver import MiniLM
from oros.drivers.embed.openai.driver import OpenAIEmbedder
from oros.kernel.machine import Machine
from oros.services.console import Long, Query, Report
from oros.services.index.documents import Documents
from oros.services.index.extract import Reader
from oros.services.index.indexes import Indexes
from oros.services.memory.ended import ended
from oros.services.memory.live import Memory
from oros.services.memory.rows import Kept, label_plain
from oros.services.memory.server import MemoryServer, Owner, standing
from oros.services.memory.store import Store as Rows
from oros.services.memory.vectors import SHIFT
from oros.services.secrets.vault import Vault
from oros.services.weights.catalog import EARS, MINILM
from oros.services.weights.pull import first_of, place

FOREVER = 1e12
"""More seconds than anything is kept for."""
NEEDS = ("onnxruntime", "tokenizers", "numpy")


def embedder(config: Config, models: Path) -> Embedder | None:
    """What makes vectors: the endpoint of the configuration, else the built-in model if it can run.

    Without its weights it says so when it is asked, and memory works by words alone.
    """
    if config.embed is not None:
        remote = config.embed

        def key() -> str | None:
            return os.environ.get(remote.key_env) if remote.key_env else None

        return OpenAIEmbedder(remote.base_url, remote.model, key=key)
    if all(find_spec(name) for name in NEEDS):
        return MiniLM(*[place(f, models) for f in MINILM.files])
    return None


class Mind:
    """All of it, opened at once and closed at the end."""

    def __init__(
        self, home: Path, config: Config, clock: Clock, vault: Vault, store: Store
    ) -> None:
        """Raises: Busy, AccessDenied, Corrupt, Newer, NoSpace of the file."""
        self.machine: Machine | None = None
        self.documents: Documents | None = None
        self._store, self._clock, self._home = store, clock, home
        self.embedder = embedder(config, home / "models")
        self.rows = Rows.open(home / "memory.db")
        self.memory = Memory(self.rows, clock, self.embedder)
        self.server = MemoryServer(self.memory, clock, self.whose, vault.holds, self._ended)

    def index(
        self, sandbox: Sandbox, python: Callable[[], Sequence[str]]
    ) -> tuple[Documents, Indexes]:
        """What reads documents, and the indexes of folders. Raises: as the constructor."""
        reader = Reader(sandbox, python, partial(first_of, EARS, self._home / "models"))
        self.documents = Documents(reader, self._home / "index")
        return self.documents, Indexes(self.memory, self.documents, self._store, self._clock)

    async def close(self) -> None:
        """Let go of the files and of what gives meaning."""
        if self.embedder is not None:
            await self.embedder.close()
        if self.documents is not None:
            self.documents.close()
        self.rows.close()

    # ---- whose a process is --------------------------------------------------------------------

    def whose(self, pid: Pid) -> Owner:
        """A process, its program, and from which ones it was forked. Raises: NoProcess."""
        if self.machine is None:
            raise NoDevice("the machine has not started")
        forked: list[tuple[Pid, float]] = []
        at = pid
        while (first := next(iter(self._store.events(at, upto=Seq(1))), None)) is not None:
            if first.kind != "forked":
                break
            copied: Forked = wire.decode(Forked, first.body)
            forked.append((copied.of, first.time))
            at = copied.of
        return Owner(pid, self.machine.find(pid).program, tuple(forked))

    def _ended(self, reader: Pid, pid: Pid) -> tuple[str, Label]:
        if self.machine is None:
            raise NoDevice("the machine has not started")
        return ended(self.machine, reader, pid)

    def told(self, program: Program) -> Program:
        """A program that is told what the user wants known always."""
        text = standing(self.rows.rows("always", None, self._clock.wall()))
        if not text or program.shape in ("facts", "reader"):
            return program
        return replace(program, prompt=f"{program.prompt}\n\n{text}")

    # ---- what a person may ask -----------------------------------------------------------------

    def queries(self) -> dict[str, Query]:
        """Questions about memory."""

        async def rows(args: Mapping[str, Json]) -> Json:
            scope, name, older = args.get("scope"), args.get("name"), args.get("older")
            scopes = [s for s in self.rows.scopes() if not s.startswith("files:")]
            scopes = sorted(s for s in scopes if scope in (None, s))
            before = float("inf") if older is None else self._clock.wall() - seconds(older)
            found = [k for s in scopes for k in await self.memory.rows(s, name and str(name))]
            return [row(k) for k in found if k.row.at <= before]

        async def why(args: Mapping[str, Json]) -> Json:
            kept = await self.memory.get(number(args))
            return {**row(kept), "label": label_plain(kept.row.label), "process": self._by(kept)}

        async def status(_: Mapping[str, Json]) -> Json:
            return {"rows": self.rows.scopes(), "meaning": self.memory.meaning}

        return {"memory": rows, "memory.why": why, "memory.status": status}

    def longs(self) -> dict[str, Long]:
        """What is done with memory by number."""

        async def correct(args: Mapping[str, Json], _: Report) -> Json:
            return {"id": await self.memory.correct(number(args), str(args.get("text", "")), USER)}

        async def forget(args: Mapping[str, Json], _: Report) -> Json:
            gone = await self.memory.forget(*await self._there(args))
            await self.memory.compact()
            return {"forgotten": gone}

        async def expire(args: Mapping[str, Json], _: Report) -> Json:
            left = args.get("seconds")
            left = None if left is None else seconds(left)
            return {"expire": await self.memory.until(await self._there(args), left)}

        return {"memory.correct": correct, "memory.forget": forget, "memory.expire": expire}

    async def _there(self, args: Mapping[str, Json]) -> list[int]:
        """The rows that are named, all of which there are. Raises: Invalid, NotFound."""
        ids = [number({"id": i}) for i in args.get("ids") or ()]
        for one in ids:
            await self.memory.get(one)
        return ids

    def _by(self, kept: Kept) -> Json:
        pid = Pid(kept.row.by[0])
        if pid == PERSON or self.machine is None:
            return {"pid": pid, "goal": "", "program": "you"}
        try:
            process = self.machine.find(pid)
        except OrosError:
            return {"pid": pid, "goal": "", "program": ""}
        return {"pid": pid, "goal": process.goal, "program": process.program}


def noter(config: Config, model: Callable[[str], Model]) -> Callable[[], str]:
    """The model that notes facts now, "" for none: one that costs nothing, or the one named."""

    def name() -> str:
        if config.remember != "local":
            return "" if config.remember == "off" else config.remember
        try:
            found = model("")
        except OrosError:
            return ""
        return found.info.name if found.info.price == (0, 0, 0) else ""

    return name


def row(kept: Kept) -> dict[str, Json]:
    """A row as it is listed."""
    found = kept.row
    return {
        "id": kept.id, "scope": kept.scope, "name": kept.source, "kind": found.kind,
        "text": found.text, "at": found.at, "from": found.by[0], "expires": found.expires,
        "integrity": int(found.label.integrity), "origins": sorted(found.label.origins),
    }  # fmt: skip


def seconds(value: Json) -> float:
    """A span of time, at least 0; from a query it is a text. Raises: Invalid."""
    try:
        found = float(str(value))
    except ValueError:
        found = -1.0
    if not 0 <= found < FOREVER:
        raise Invalid(f"{value!r} is no number of seconds")
    return found


def number(args: Mapping[str, Json]) -> int:
    """The number of a row, or its scope's and its own: `2.1`. Raises: Invalid."""
    scope, _, own = str(args.get("id", "")).rpartition(".")
    try:
        return (int(scope) << SHIFT) + int(own) if scope else int(own)
    except (TypeError, ValueError) as e:
        raise Invalid(f"{args.get('id')!r} is no number of a memory", "oros mem lists them") from e
