"""A warm interpreter from outside: cells go in one after another, and it remembers.

It knows the channel, the pipes and the clock, not how the process behind them is confined: that is
its `Body`. What is inside may die, lie or never answer; each of these ends in a `CellResult`.
Between two cells it stands still.
"""

import asyncio
import contextlib
import socket
from collections.abc import Sequence
from typing import Any, Protocol

from oros.abi.cells import CellError, CellResult, Death, Ended, OnOutput, Part
from oros.abi.errors import BadReply, Busy, DeviceFailed
from oros.abi.jobs import Overlay
from oros.drivers.sandbox.zygote.frames import Frames, Header
from oros.drivers.sandbox.zygote.said import Ears, Said

GRACE = 2.0
"""Seconds that a cell has to end after it was interrupted."""
START_SECONDS = 20.0
OUTPUT = 1 << 20
FLOOD = 64 << 20


class Body(Protocol):
    """The process behind an interpreter. `control` speaks frames; `out`, `err` are read."""

    control: socket.socket
    out: int
    err: int
    init: int

    @property
    def alive(self) -> bool:
        """Whether the process is there still."""

    async def lay(self, overlay: Overlay) -> int:
        """Lay a folder copy-on-write where it works. Raises: DeviceFailed, NotEnforced."""

    def hold(self) -> None:
        """Have the interpreter stand still; what it started goes on."""

    def go(self) -> None:
        """Let it go on."""

    def interrupt(self) -> None:
        """Send SIGINT to the interpreter; to a dead one, too."""

    def kill(self) -> None:
        """Kill all of it; returns before it is dead."""

    async def end(self, *, dying: bool = False) -> Death:
        """Kill it; when this returns, even cancelled, all of it is dead. Again is harmless.

        `dying`: it seems to end by itself, so it has a moment to do so.
        """


class Interpreter:
    """Cells in one namespace; one at a time."""

    def __init__(
        self, body: Body, kit: str = "", *, output: int = OUTPUT, flood: int = FLOOD
    ) -> None:
        """Take over a process that runs the loop.

        Args:
            body: it is ended by `close`.
            kit: the source of the module `kit`.
            output: bytes of each stream that a result holds.
            flood: bytes of both streams after which a cell is stopped.
        """
        self.pid = 0
        self._body, self._kit = body, kit
        self._output, self._flood = output, flood
        self._ears = Ears(body.out, body.err)
        self._frames: Frames | None = None
        self._death: Death | None = None
        self._count = 0
        self._watch: _Watch | None = None

    @property
    def init(self) -> int:
        """The first process of its sandbox, in whose namespaces it is."""
        return self._body.init

    @property
    def alive(self) -> bool:
        """Whether cells can be run, as far as is known."""
        return self._frames is not None and self._death is None and self._body.alive

    async def start(self) -> None:
        """Wait until it is ready. Raises: DeviceFailed; then it is dead."""
        try:
            async with asyncio.timeout(START_SECONDS):
                self._frames = await Frames.over(self._body.control)
                await self._frames.send({"op": "kit"}, self._kit.encode())
                answer = await self._frames.receive()
        except (TimeoutError, BadReply):
            answer = None
        except asyncio.CancelledError:
            await self.close()
            raise
        if answer is None or answer[0].get("op") != "ready":
            said = self._ears.late().decode(errors="replace").strip()
            await self.close()
            why = said.splitlines()[-1] if said else "it gave no sign"
            raise DeviceFailed(f"the interpreter did not start: {why}")
        self._body.hold()

    async def lay(self, overlay: Overlay) -> int:
        """Lay a folder copy-on-write where its cells work, in place of the last one laid.

        What is open of the last one stays open, and what is written to it is in nobody's way.

        Returns:
            A descriptor of the upper folder, the caller's to close: it outlives the interpreter.

        Raises: DeviceFailed, NotEnforced.
        """
        return await self._body.lay(overlay)

    async def run_cell(
        self,
        source: str,
        timeout: float = 30.0,  # noqa: ASYNC109 - it interrupts the cell, not this task
        on_output: OnOutput | None = None,
    ) -> CellResult:
        """Run a cell to its end; when cancelled, the interpreter is dead before this returns.

        Args:
            source: Python.
            timeout: seconds; then it is interrupted, and killed if that does not help.
            on_output: gets each piece as it is printed, with "out" or "err".

        Raises:
            Busy: a cell is running. DeviceFailed: the interpreter is dead already.
        """
        if self._watch is not None:
            raise Busy("a cell is running already", "wait for it or interrupt it")
        if self._frames is None or self._death is not None:
            raise DeviceFailed("the interpreter is dead", "start another one")
        loop, watch = asyncio.get_running_loop(), _Watch(self._body)
        self._count, self._watch = self._count + 1, watch
        late = self._ears.late()
        said = Said(self._output, self._flood, lambda: watch.stop("flood"), on_output)
        began = loop.time()
        timer = loop.call_later(timeout, watch.stop, "time")
        self._ears.listen(said)
        self._body.go()
        try:
            blob = source.encode("utf-8", "replace")
            await self._frames.send({"op": "run", "id": self._count}, blob)
            answer = await self._answer(watch)
            if answer is None:
                self._death = await self._body.end(dying=True)
            self._ears.finish(said)
        except asyncio.CancelledError:
            await self.close()
            raise
        finally:
            timer.cancel()
            watch.over()
            self._watch = None
            self._ears.ignore()
            self._body.hold()
        return self._result(answer, watch.why, said, late, loop.time() - began)

    def interrupt(self) -> bool:
        """Interrupt the cell that runs; the second time kill it. False: none runs."""
        if self._watch is None:
            return False
        self._watch.stop("interrupt")
        return True

    async def close(self) -> None:
        """End it, with all that it started. Again is harmless."""
        self._death = await self._body.end()
        self._ears.close()
        if self._frames is not None:
            self._frames.close()
        else:
            self._body.control.close()

    async def _answer(self, watch: "_Watch") -> tuple[Header, Sequence[bytes]] | None:
        """The frame that ends this cell; None: there won't be one."""
        assert self._frames is not None  # noqa: S101 - for the type checker
        with contextlib.suppress(BadReply):
            answer = await self._frames.receive()
            if answer and answer[0].get("op") == "begun":
                watch.begun()
                answer = await self._frames.receive()
            if answer and (answer[0].get("op"), answer[0].get("id")) == ("done", self._count):
                return answer
        return None

    def _result(
        self,
        answer: tuple[Header, Sequence[bytes]] | None,
        why: Ended,
        said: Said,
        late: bytes,
        seconds: float,
    ) -> CellResult:
        (out, cut_out), (err, cut_err) = said.kept["out"].taken(), said.kept["err"].taken()
        told: dict[str, Any] = {}
        if answer is None:
            why = "death" if why == "self" else why
        else:
            told = _believed(*answer)
        return CellResult(
            why, **told, out=out, err=err, cut_out=cut_out, cut_err=cut_err, late=late,
            death=self._death, seconds=seconds,
        )  # fmt: skip


class _Watch:
    """Stops a cell: first an interrupt, then after a while, or when asked again, death.

    The interrupt waits until the cell has begun: one that came before it would be of no cell.
    """

    def __init__(self, body: Body) -> None:
        self.why: Ended = "self"
        self._body = body
        self._begun = False
        self._timer: asyncio.TimerHandle | None = None

    def begun(self) -> None:
        self._begun = True
        if self.why != "self":
            self._body.interrupt()

    def stop(self, why: Ended) -> None:
        if self.why == "self":
            self.why = why
            if self._begun:
                self._body.interrupt()
            self._timer = asyncio.get_running_loop().call_later(GRACE, self._body.kill)
        elif why == "interrupt":
            self._body.kill()

    def over(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


def _believed(header: Header, blobs: Sequence[bytes]) -> dict[str, Any]:
    """The fields of a result, each of its type, whatever was sent."""
    error, about = header.get("error"), header.get("parts")
    abouts = [a for a in about if isinstance(a, dict)] if isinstance(about, list) else []
    return {
        "value": _text(header["value"]) if header.get("value") is not None else None,
        "cut": _whole(header.get("cut")),
        "error": _error(error) if isinstance(error, dict) else None,
        "exit": _whole(header["exit"]) if header.get("exit") is not None else None,
        "parts": tuple(_part(a, b) for a, b in zip(abouts, blobs, strict=False)),
    }


def _error(told: Header) -> CellError:
    kind, message, text = (_text(told.get(name, "")) for name in ("kind", "message", "text"))
    return CellError(kind, message, text, _whole(told.get("line")))


def _part(about: Header, data: bytes) -> Part:
    known = {k: n for k in ("rows", "columns", "held", "left_out") if (n := _whole(about.get(k)))}
    media = "image/png" if about.get("media") == "image/png" else "text/csv"
    return Part(media, "figure.png" if media == "image/png" else "table.csv", data, known)


def _text(said: object) -> str:
    return str(said).encode("utf-8", "backslashreplace").decode()


def _whole(said: object) -> int:
    return said if type(said) is int and said >= 0 else 0
