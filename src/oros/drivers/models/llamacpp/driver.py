"""The model in the box as a `Model`: requests to a worker that runs its own decode loop.

Several answers at a time: which of them computes is decided in the worker, step by step, by the
`nice` of each. What an answer that was cut had read and written stays there, so it goes on at the
price of a token.
"""

import asyncio
import json
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from pathlib import Path

from oros.abi.errors import (
    BadReply,
    Corrupt,
    DeviceFailed,
    NoDevice,
    OrosError,
    TimedOut,
    TooBig,
    Unsupported,
)
from oros.abi.grants import Usage
from oros.abi.message import Json
from oros.abi.ports import Delta, Finished, ModelInfo, ModelRequest, Progress, TextDelta
from oros.drivers.models.llamacpp.template import STOPS, turns_of
from oros.drivers.wording import priced

LOAD_SECONDS = 120.0
IDLE = 300.0
"""Seconds without a word after which the worker counts as hung: it tells of each piece it reads,
and every few seconds that an answer waits for its turn."""

RAM_MIB = 768
"""Memory for sequences that are put away."""

DISK_MIB = 2048
"""The same on disk."""

LONG = 800
"""Tokens that were read in one go, from which on they are written down for the next worker."""

SPIN = "1000"
"""GOMP_SPINCOUNT: with libgomp's default a busy machine makes llama.cpp ten times slower."""

BATCH = 64
"""Tokens of a prompt read at a time: another answer can begin after one of them. 256 read no
faster (1.5B, 2 cores: 56 and 65 tokens/s, noise 10 %), and kept the next one waiting for 3.7 s."""

LINE = 1 << 20
"""Bytes of the worker's longest line."""

GGUF = b"GGUF"


class LlamaCppModel:
    """A GGUF file served by a worker process, which is started at the first use."""

    def __init__(  # noqa: PLR0913 - what the configuration sets, by name
        self,
        path: Path,
        info: ModelInfo,
        *,
        repack: bool = True,
        threads: int | None = None,
        idle: float = IDLE,
        keep: Path | None = None,
        gpu_layers: int = -1,
        mend: str = "oros models pull",
    ) -> None:
        """`keep`: a folder for what was read, so that the next worker need not read it anew.

        `gpu_layers` go to a graphics card where the library's build has one; -1 is all.
        `mend`: what helps when the file is lost.
        """
        self.info = info
        self._path = path
        self._repack = repack
        self._idle = idle
        self._gpu_layers = gpu_layers
        self._threads = threads or len(os.sched_getaffinity(0))
        self._worker: asyncio.subprocess.Process | None = None
        self._folder = ""
        self._ready = False
        self._starting = asyncio.Lock()
        self._keep = keep
        self._mend = mend

    async def generate(self, request: ModelRequest) -> AsyncIterator[Sequence[Delta]]:
        """Stream an answer.

        Raises: DeviceFailed, TimedOut, TooBig, BadReply, Corrupt, NoDevice, Unsupported (a schema,
        a grammar or a chat template that the library does not know).
        """
        async for progress in self._started():
            yield [progress]
        async with aclosing(self._asked(asked(request))) as lines:
            async for said in lines:
                yield deltas(said, self.info)

    async def _asked(self, body: Mapping[str, Json]) -> AsyncGenerator[Mapping[str, Json], None]:
        """What the worker says to a request, line by line. Raises: as `generate`."""
        writer = None
        try:
            reader, writer = await asyncio.open_unix_connection(self._address, limit=LINE)
            writer.write(json.dumps(body).encode() + b"\n")
            ended = False
            while not ended:
                async with asyncio.timeout(self._idle):
                    line = await reader.readline()
                if not line.endswith(b"\n"):
                    raise await self._died()
                said = read(line)
                ended = not said.keys().isdisjoint(LAST)
                yield said
        except TimeoutError as e:
            await self.close()
            why = f"the model's worker was silent for {self._idle:g} seconds"
            raise TimedOut(why, "it is started again") from e
        except OSError as e:
            raise await self._died() from e
        finally:
            if writer is not None:
                writer.close()

    async def _started(self) -> AsyncIterator[Progress]:
        """Have a worker that answers; tells progress while it loads."""
        async with self._starting:
            alive = self._worker is not None and self._worker.returncode is None
            if alive and self._ready:
                return
            if not alive:
                await self._stop()
                check(self._path, self._mend)
                self._folder = tempfile.mkdtemp(prefix="oros-llama-")
                self._worker = await self._launch()
            loop = asyncio.get_running_loop()
            begun = loop.time()
            while not await self._answers():
                if self._worker is None or self._worker.returncode is not None:
                    raise await self._died()
                passed = loop.time() - begun
                if passed > LOAD_SECONDS:
                    raise DeviceFailed(f"{self.info.name} did not load in {LOAD_SECONDS:g} seconds")
                yield Progress("loading the model", int(passed * 10), 0)
                await asyncio.sleep(0.05)
            self._ready = True

    async def _launch(self) -> asyncio.subprocess.Process:
        options = {
            "model": str(self._path),
            "socket": self._address,
            "window": self.info.window,
            "batch": BATCH,
            "threads": self._threads,
            "repack": self._repack,
            "gpu_layers": self._gpu_layers,
            "keep": str(self._keep or ""),
            "ram": RAM_MIB,
            "disk": DISK_MIB,
            "long": LONG,
        }
        keep = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LD_LIBRARY_PATH")}
        path = {"GOMP_SPINCOUNT": SPIN, "PYTHONPATH": ":".join(filter(None, sys.path))}
        log = os.open(f"{self._folder}/log", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            return await asyncio.create_subprocess_exec(
                sys.executable,
                *("-P", "-m", "oros.drivers.models.llamacpp.worker", json.dumps(options)),
                stdin=asyncio.subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=keep | path,
            )
        finally:
            os.close(log)

    async def _answers(self) -> bool:
        """Whether the worker has loaded; then its window is known, which memory may have cut."""
        try:
            async with asyncio.timeout(self._idle):
                reader, writer = await asyncio.open_unix_connection(self._address)
                writer.write(b'{"do": "state"}\n')
                line = await reader.readline()
        except (OSError, TimeoutError):
            return False
        writer.close()
        if line:
            self.info = replace(self.info, window=int(read(line)["window"]))
        return bool(line)

    @property
    def _address(self) -> str:
        return f"{self._folder}/llama.sock"

    async def _died(self) -> OrosError:
        """What became of the worker, as an error; the next request starts another."""
        worker = self._worker
        if worker is None:
            return DeviceFailed("the model's worker is gone")
        try:
            async with asyncio.timeout(1.0):
                code = await worker.wait()
        except TimeoutError:
            return DeviceFailed("the model's worker does not answer")
        how = f"signal {-code}" if code < 0 else f"status {code}"
        said = words_of(self._folder)
        if "No module named 'xllamacpp'" in said or "No module named 'cffi'" in said:
            return NoDevice("the engine is not installed", "pip install 'oros[local]'")
        return DeviceFailed(f"the model's worker ended ({how})", "it is started again")

    async def count(self, text: str) -> int:
        """Tokens of a text, by the model's own tokenizer. Raises: DeviceFailed, NoDevice."""
        return int((await self._answer({"do": "count", "text": text}))["tokens"])

    async def state(self) -> Mapping[str, Json]:
        """What the worker tells of itself: cells, sequences, snapshots, the machine's curve."""
        return await self._answer({"do": "state"})

    async def _answer(self, body: Mapping[str, Json]) -> Mapping[str, Json]:
        async for _ in self._started():
            pass
        found: Mapping[str, Json] = {}
        async with aclosing(self._asked(body)) as lines:
            async for said in lines:
                found = said
        if "error" in found:
            raise refusal(found)
        return found

    async def close(self) -> None:
        """End the worker."""
        async with self._starting:
            await self._stop()

    async def _stop(self) -> None:
        if self._worker is not None and self._worker.returncode is None:
            self._worker.kill()
            await self._worker.wait()
        self._worker, self._ready = None, False
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = ""


def words_of(folder: str) -> str:
    """What the worker said."""
    with suppress(OSError):
        return Path(folder, "log").read_text("utf-8", "replace")
    return ""


def check(path: Path, mend: str) -> None:
    """Look whether the file can be a model. Raises: NoDevice, Corrupt, with what helps."""
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except OSError as e:
        raise NoDevice(f"{path}: {e.strerror}", mend) from e
    if start != GGUF:
        raise Corrupt(f"{path} is no GGUF file", mend)


LAST = frozenset(("done", "error", "tokens", "cells"))
"""What the last line of an answer has."""


def asked(request: ModelRequest) -> dict[str, Json]:
    """A request as the worker reads it."""
    turns, partial = turns_of(request.messages)
    return {
        "do": "generate",
        "turns": turns,
        "partial": partial,
        "limit": request.max_tokens,
        "temperature": request.temperature,
        "seed": request.seed,
        "stop": [*request.stop, *STOPS],
        "schema": "" if request.schema is None else json.dumps(dict(request.schema)),
        "grammar": request.grammar,
        "nice": request.nice,
        "owner": request.affinity,
    }


def read(line: bytes) -> Mapping[str, Json]:
    """A line of the worker. Raises: BadReply."""
    try:
        said = json.loads(line)
    except ValueError as e:
        raise BadReply(f"the model's worker sent rubbish: {line[:60]!r}") from e
    return said if isinstance(said, dict) else {}


def deltas(said: Mapping[str, Json], info: ModelInfo) -> list[Delta]:
    """What a line of the worker tells. Raises: TooBig, Unsupported, BadReply."""
    match said:
        case {"text": str(text)}:
            return [TextDelta(text)]
        case {"reading": [int(done), int(total)]}:
            return [Progress("reading", done, total)]
        case {"waits": _}:
            return [Progress("waiting for its turn", 0, 0)]
        case {"done": "stop" | "length" as finish, "usage": [int(read), int(made), int(cached)]}:
            return [Finished(finish, priced(Usage(read, made, cached), info))]
        case _:
            raise refusal(said)


def refusal(said: Mapping[str, Json]) -> OrosError:
    """What the worker's error means."""
    why = str(said.get("why") or said)[:300]
    if said.get("error") == "context":
        return TooBig(why, "a smaller job, or a model with a larger window")
    if said.get("error") == "refused":
        return Unsupported(why, "the library can't do it; asked again it will say the same")
    return BadReply(f"the model's worker refused: {why}")
