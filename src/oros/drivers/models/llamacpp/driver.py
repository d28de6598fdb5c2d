"""The model in the box as a `Model`: requests to a worker that runs llama.cpp's server.

One slot: on a CPU two sequences side by side are slower in total than in turns (measured). The
prefix of a turn is kept in the worker, those of other processes in its RAM cache, so a preempted
answer goes on at the price of a copy.
"""

import asyncio
import json
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from oros.abi.errors import BadReply, Corrupt, DeviceFailed, NoDevice, OrosError, TimedOut, TooBig
from oros.abi.events import Finish
from oros.abi.grants import Usage
from oros.abi.message import Json
from oros.abi.ports import Delta, Finished, ModelInfo, ModelRequest, Progress, TextDelta
from oros.drivers.models.llamacpp.snapshot import Snapshot
from oros.drivers.models.llamacpp.template import STOPS, render

if TYPE_CHECKING:
    import aiohttp

LOAD_SECONDS = 120.0
IDLE = 300.0
"""Seconds without a byte after which the worker counts as hung; it tells of each batch it reads."""

CACHE_MIB = 1024
"""RAM for the prefixes of processes that are not in the slot now."""

SPIN = "1000"
"""GOMP_SPINCOUNT: with libgomp's default a busy machine makes llama.cpp ten times slower."""

BATCH = 64
"""Tokens of a prompt read at a time: the slot is free for another after one of them. 256 read no
faster (1.5B, 2 cores: 56 and 65 tokens/s, noise 10 %), and kept the next one waiting for 3.7 s."""

FINISHES: dict[str, Finish] = {"eos": "stop", "word": "stop", "limit": "length"}
GGUF = b"GGUF"


class LlamaCppModel:
    """A GGUF file served by a worker process, which is started at the first use."""

    def __init__(
        self,
        path: Path,
        info: ModelInfo,
        *,
        repack: bool = True,
        threads: int | None = None,
        idle: float = IDLE,
        keep: Path | None = None,
    ) -> None:
        """`keep`: a folder for what was read, so that the next worker need not read it anew."""
        self.info = info
        self._path = path
        self._repack = repack
        self._idle = idle
        self._threads = threads or len(os.sched_getaffinity(0))
        self._worker: asyncio.subprocess.Process | None = None
        self._session: aiohttp.ClientSession | None = None
        self._folder = ""
        self._ready = False
        self._starting = asyncio.Lock()
        self._snapshot = Snapshot(keep, path, info.window)

    async def generate(self, request: ModelRequest) -> AsyncIterator[Sequence[Delta]]:
        """Stream an answer. Raises: DeviceFailed, TimedOut, TooBig, BadReply, Corrupt, NoDevice."""
        import aiohttp

        async for progress in self._started():
            yield [progress]
        try:
            session = self._connected()
            async with session.post("http://worker/completion", json=self._body(request)) as reply:
                if reply.status != 200:
                    raise refusal(await reply.text())
                async for line in reply.content:
                    if line.startswith(b"data: ") and (batch := deltas(line[6:])):
                        if isinstance(batch[-1], Finished):
                            await self._snapshot.keep(session, batch[-1].usage)
                        yield batch
                    elif line.startswith(b"error: "):
                        raise refusal(line[7:].decode("utf-8", "replace"))
        except TimeoutError as e:
            await self.close()
            why = f"the model's worker was silent for {self._idle:g} seconds"
            raise TimedOut(why, "it is started again") from e
        except aiohttp.ClientError as e:
            raise await self._died() from e

    def _body(self, request: ModelRequest) -> dict[str, Json]:
        """The request in the worker's dialect."""
        body: dict[str, Json] = {
            "prompt": render(request.messages),
            "n_predict": request.max_tokens,
            "temperature": request.temperature,
            "seed": request.seed,
            "stop": [*request.stop, *STOPS],
            "stream": True,
            "return_progress": True,
            "cache_prompt": True,
        }
        if request.schema is not None:
            body["json_schema"] = dict(request.schema)
        if request.grammar:
            body["grammar"] = request.grammar
        return body

    async def _started(self) -> AsyncIterator[Progress]:
        """Have a worker that answers; tells progress while it loads."""
        async with self._starting:
            alive = self._worker is not None and self._worker.returncode is None
            if alive and self._ready:
                return
            if not alive:
                await self._stop()
                check(self._path)
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
            await self._snapshot.recall(self._connected())
            self._ready = True

    async def _launch(self) -> asyncio.subprocess.Process:
        options = {
            "model": str(self._path),
            "socket": f"{self._folder}/llama.sock",
            "window": self.info.window,
            "batch": BATCH,
            "threads": self._threads,
            "repack": self._repack,
            "cache_mib": CACHE_MIB,
            "keep": str(self._snapshot.folder or ""),
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
        import aiohttp

        try:
            async with self._connected().get("http://worker/health") as reply:
                return reply.status == 200
        except aiohttp.ClientError:
            return False

    def _connected(self) -> "aiohttp.ClientSession":
        import aiohttp

        if self._session is None:
            connector = aiohttp.UnixConnector(f"{self._folder}/llama.sock", force_close=True)
            timeout = aiohttp.ClientTimeout(None, sock_read=self._idle)
            self._session = aiohttp.ClientSession(
                connector=connector, timeout=timeout, read_bufsize=1 << 18
            )
        return self._session

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
        if "No module named 'xllamacpp'" in words_of(self._folder):
            return NoDevice("the engine is not installed", "pip install 'oros[local]'")
        return DeviceFailed(f"the model's worker ended ({how})", "it is started again")

    async def count(self, text: str) -> int:
        """Tokens of a text, by the model's own tokenizer. Raises: DeviceFailed, NoDevice."""
        import aiohttp

        async for _ in self._started():
            pass
        body = {"content": text}
        try:
            async with self._connected().post("http://worker/tokenize", json=body) as reply:
                return len((await reply.json())["tokens"])
        except (aiohttp.ClientError, TimeoutError, ValueError, KeyError) as e:
            raise await self._died() from e

    async def close(self) -> None:
        """End the worker."""
        async with self._starting:
            await self._stop()

    async def _stop(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None
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


def check(path: Path) -> None:
    """Look whether the file can be a model. Raises: NoDevice, Corrupt."""
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except OSError as e:
        raise NoDevice(f"{path}: {e.strerror}", "oros models pull") from e
    if start != GGUF:
        raise Corrupt(f"{path} is no GGUF file", "oros models pull")


def deltas(data: bytes) -> list[Delta]:
    """The deltas of one event of the worker. Raises: BadReply."""
    try:
        event = json.loads(data)
    except ValueError as e:
        raise BadReply(f"the model's worker sent rubbish: {data[:60]!r}") from e
    if "error" in event:
        raise refusal(json.dumps(event))
    reading = event.get("prompt_progress")
    if reading:
        done, total = reading["processed"] - reading["cache"], reading["total"] - reading["cache"]
        return [Progress("reading", max(0, done), total)] if total > BATCH else []
    found: list[Delta] = [TextDelta(event["content"])] if event.get("content") else []
    if event.get("stop"):
        timings = event.get("timings") or {}
        read, cached = event.get("tokens_evaluated", 0), timings.get("cache_n", 0)
        usage = Usage(read, event.get("tokens_predicted", 0), cached, 0)
        found.append(Finished(FINISHES.get(event.get("stop_type", ""), "stop"), usage))
    return found


def refusal(text: str) -> OrosError:
    """What the worker's error means."""
    try:
        error = json.loads(text).get("error", {})
    except (ValueError, AttributeError):
        error = {}
    why = str(error.get("message") or text)[:300] if isinstance(error, dict) else str(error)
    if "context" in why and ("exceed" in why or "larger" in why):
        return TooBig(why, "a smaller job, or a model with a larger window")
    return BadReply(f"the model's worker refused: {why}")
