"""The warm interpreters of processes: each remembers from one `run` to the next.

One is made when a process first runs Python, and closed when it was idle long, when its process has
ended or when there are too many. What it knew is then built again, if that is safe: from the cells
that the journal has (see `earlier`), in a folder that is thrown away, each compared with what it
came to before. If it is not, the process starts with nothing and is told so.
"""

import asyncio
import contextlib
import inspect
import os
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field

from oros.abi.cells import CellResult, Interpreter, Interpreters
from oros.abi.errors import DeviceFailed, OrosError
from oros.abi.ids import Pid
from oros.abi.jobs import Job, JobResult, Overlay
from oros.services import kit
from oros.services.run.earlier import Earlier, same

IDLE_SECONDS = 600.0
MOST = 32
"""Interpreters at once; the one that was idle longest gives way."""
LOOK_SECONDS = 10.0
CPU_SECONDS = 3600.0
"""Of an interpreter's whole life; a cell is bounded by its time-out."""
AGAIN_SECONDS, AGAIN_CELLS = 20.0, 200
"""What is run again at most, by the seconds that it took before."""
LEAST = 1.0
PATIENCE = 5.0
"""Seconds that an interrupted cell has to end; it is killed within them."""

Key = tuple[Pid, str]
"""A process, and the folder that it sees."""


@dataclass(frozen=True, slots=True)
class Celled:
    """A cell that was run: how it ended, as a program and as a cell; which one of its interpreter.

    `note`: what the caller should know of what the interpreter remembers; "" if all is as it was.
    """

    result: JobResult
    cell: CellResult
    number: int
    note: str


@dataclass(slots=True)
class Kept:
    """An interpreter, how many cells it ran, and when the last one ended."""

    interpreter: Interpreter
    cells: int = 0
    used: float = 0.0


@dataclass(slots=True)
class Cells:
    """The interpreters of all processes.

    Args:
        make: what they come from; called once.
        past: the cells that a process ran, by its journal, since its interpreter knew nothing.
        alive: whether a process has not ended.
    """

    make: Callable[[], Awaitable[Interpreters]]
    past: Callable[[Pid], Sequence[Earlier]]
    alive: Callable[[Pid], bool]
    broken: str = ""
    _source: Interpreters | None = None
    _kept: dict[Key, Kept] = field(default_factory=dict)
    _some: asyncio.Event = field(default_factory=asyncio.Event)
    _making: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def source(self) -> Interpreters:
        """What interpreters come from, ready. Raises: OrosError; `broken` says why, then."""
        async with self._making:
            try:
                if self._source is None:
                    self._source = await self.make()
                await self._source.start()
            except OrosError as e:
                self.broken = e.why
                raise
            self.broken = ""
            return self._source

    async def run(self, key: Key, job: Job, source: str, overlay: Overlay) -> Celled:
        """Run a cell in the interpreter of a process; interrupted when cancelled.

        Args:
            key: whose interpreter.
            job: `seconds` bounds all of it, with what must be run again before.
            source: Python.
            overlay: the folder, as it is laid now.

        Raises: OrosError: there is no interpreter to be had, and nothing was run.
        """
        began = now()
        kept, upper, note = await self._laid(key, job, overlay)
        kept.cells += 1
        try:
            left = max(LEAST, job.seconds - (now() - began))
            way = nullcontext() if job.egress is None else job.egress.serving(kept.interpreter.init)
            async with way:  # after it no flow is left: what came in is told with this cell
                cell = await interrupted_if_cancelled(kept.interpreter, source, left)
        except BaseException:
            os.close(upper)
            raise
        finally:
            await self._put(key, kept)
        return Celled(as_program(cell, upper), cell, kept.cells, note)

    async def keep(self) -> None:
        """Close those that nobody needs any more, until cancelled; then all."""
        try:
            while True:
                await self._some.wait()
                await asyncio.sleep(LOOK_SECONDS)
                await self.sweep(now() - IDLE_SECONDS)
        finally:
            await self.close()

    async def sweep(self, before: float) -> None:
        """Close those of ended processes, and those not used since a time of the loop's clock."""
        for key, kept in [*self._kept.items()]:
            if kept.used < before or not self.alive(key[0]):
                del self._kept[key]
                await kept.interpreter.close()
        if not self._kept:
            self._some.clear()

    async def close(self) -> None:
        """Close all. Again is harmless."""
        while self._kept:
            _, kept = self._kept.popitem()
            await kept.interpreter.close()
        if self._source is not None:
            await self._source.close()

    async def _laid(self, key: Key, job: Job, overlay: Overlay) -> tuple[Kept, int, str]:
        """The interpreter of a process, over its folder: the one it has, if that lives."""
        kept, note = self._kept.pop(key, None), ""
        if kept is not None:
            try:
                if kept.interpreter.alive:
                    return kept, await kept.interpreter.lay(overlay), note
            except DeviceFailed:  # it died just now
                pass
            except BaseException:
                await kept.interpreter.close()
                raise
            await kept.interpreter.close()
        kept, note = await self._made(key, job, overlay)
        try:
            return kept, await kept.interpreter.lay(overlay), note
        except BaseException:
            await kept.interpreter.close()
            raise

    async def _put(self, key: Key, kept: Kept) -> None:
        if not kept.interpreter.alive:
            await kept.interpreter.close()
            return
        kept.used = now()
        self._some.set()
        while len(self._kept) >= MOST:
            oldest = min(self._kept, key=lambda k: self._kept[k].used)
            await self._kept.pop(oldest).interpreter.close()
        self._kept[key] = kept

    async def _made(self, key: Key, job: Job, overlay: Overlay) -> tuple[Kept, str]:
        """A new interpreter that knows what the last one knew, or a word on why it does not."""
        source = await self.source()
        past = self.past(key[0])
        made = Kept(await source.spawn(job, inspect.getsource(kit)))
        if not past:
            return made, ""
        why = refused(past, job.seconds / 2)
        if not why:
            try:
                why = await again(made, past, overlay)
            except BaseException:
                await made.interpreter.close()
                raise
            if not why:
                return made, f"a new interpreter: your {len(past)} earlier cells were run again"
            await made.interpreter.close()
            made = Kept(await source.spawn(job, inspect.getsource(kit)))
        return made, f"a new interpreter: what earlier cells defined is gone ({why})"


def now() -> float:
    """Seconds of the event loop's clock."""
    return asyncio.get_running_loop().time()


def refused(past: Sequence[Earlier], seconds: float) -> str:
    """Why cells must not be run again; "" if they may."""
    if len(past) > AGAIN_CELLS or sum(e.seconds for e in past) > min(seconds, AGAIN_SECONDS):
        return "they took too long to be run again"
    return next((e.once for e in past if e.once), "")


async def again(made: Kept, past: Sequence[Earlier], overlay: Overlay) -> str:
    """Run cells again, in a folder that is thrown away; why it went another way, or ""."""
    upper = await made.interpreter.lay(overlay)
    try:
        for one in past:
            cell = await made.interpreter.run_cell(one.source, 2 * one.seconds + LEAST)
            made.cells += 1
            if not same(one, as_program(cell, None), cell):
                return "run again, they came to something else"
    finally:
        os.close(upper)
    return ""


async def interrupted_if_cancelled(
    interpreter: Interpreter, source: str, seconds: float
) -> CellResult:
    """Run a cell; cancelled, it is interrupted, so that the interpreter lives on."""
    cell = asyncio.ensure_future(interpreter.run_cell(source, seconds))
    try:
        return await asyncio.shield(cell)
    except asyncio.CancelledError:
        interpreter.interrupt()
        await asyncio.wait([cell], timeout=PATIENCE)
        cell.cancel()  # of one that did not end: it is killed
        with contextlib.suppress(asyncio.CancelledError, OrosError):
            await cell
        raise


def as_program(cell: CellResult, upper: int | None) -> JobResult:
    """How a cell ended, as a program would have: what it raised is the end of its errors."""
    exit_code, signal = cell.exit or 0, None
    err = cell.err
    if cell.error is not None:
        exit_code, err = 1, err + cell.error.text.encode()
    if cell.death is not None:
        exit_code, signal = cell.death.exit or 0, cell.death.signal
    lived = cell.death is None and cell.ended in ("time", "flood", "interrupt")
    return JobResult(
        None if signal is not None or lived else exit_code,
        signal,
        cell.late + cell.out,
        err,
        cell.cut_out,
        cell.cut_err,
        cell.seconds,
        cell.ended if cell.ended in ("time", "flood") else "self",
        upper,
    )
