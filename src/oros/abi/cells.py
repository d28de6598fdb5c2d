"""Cells: pieces of Python that one interpreter runs, one after another, and how they end."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from oros.abi.jobs import Job, Overlay

Stream = Literal["out", "err"]
OnOutput = Callable[[Stream, bytes], None]
Ended = Literal["self", "time", "flood", "interrupt", "death"]


@dataclass(frozen=True, slots=True)
class Death:
    """How the process inside went: a status or a signal."""

    exit: int | None
    signal: int | None


@dataclass(frozen=True, slots=True)
class Part:
    """A table or a figure. `about` has what else is known: rows, columns, rows held."""

    media: str
    name: str
    data: bytes
    about: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class CellError:
    """An exception: `text` is a traceback that shows the lines of cells; `line`: 0 if none."""

    kind: str
    message: str
    text: str
    line: int


@dataclass(frozen=True, slots=True)
class CellResult:
    """How a cell ended, and what it showed. All of it is the word of the program inside.

    `value` is the text of the last expression, `cut` characters are missing from it. `out`, `err`
    are head and tail, `cut_out`, `cut_err` count what is missing; `late` was printed after the cell
    before. `exit` is what `sys.exit` said, which ends only the cell. Of `death` there is no way
    back: the state is gone. `ended` says what ended the cell; also after "time", "flood" and
    "interrupt" it lives on unless there is a `death`.
    """

    ended: Ended
    value: str | None = None
    cut: int = 0
    error: CellError | None = None
    exit: int | None = None
    out: bytes = b""
    err: bytes = b""
    cut_out: int = 0
    cut_err: int = 0
    late: bytes = b""
    parts: tuple[Part, ...] = ()
    death: Death | None = None
    seconds: float = 0.0


class Interpreter(Protocol):
    """Cells in one namespace, one at a time, in a sandbox. Between two it stands still."""

    @property
    def alive(self) -> bool:
        """Whether cells can be run, as far as is known."""

    @property
    def init(self) -> int:
        """The first process of its sandbox, in whose namespaces it is."""

    async def lay(self, overlay: Overlay) -> int:
        """Lay a folder copy-on-write where its cells work, in place of the last one laid.

        What is open of the last one stays open, and what is written to it is in nobody's way.

        Returns:
            A descriptor of the upper folder, the caller's to close: it outlives the interpreter.

        Raises: DeviceFailed, NotEnforced.
        """

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

    def interrupt(self) -> bool:
        """Interrupt the cell that runs; the second time kill it. False: none runs."""

    async def close(self) -> None:
        """End it, with all that it started. Again is harmless."""


class Interpreters(Protocol):
    """Where interpreters come from."""

    loaded: Mapping[str, str]

    async def start(self) -> None:
        """Be ready to make some; again is harmless. Raises: DeviceFailed, NotEnforced."""

    async def spawn(self, job: Job, kit: str = "") -> Interpreter:
        """Make an interpreter and wait until it takes cells.

        Args:
            job: its folders, its environment and its bounds; `argv`, `stdin` and `seconds` are of
                no use here. `cpu` holds for the interpreter's whole life. Of its overlay only the
                place is made: `Interpreter.lay` lays it. Of its egress only the files and the
                variables are there: it is served by `Interpreter.init` while a cell runs.
            kit: the source of the module `kit`.

        Raises: NotEnforced, DeviceFailed, Invalid.
        """

    async def close(self) -> None:
        """End it, and with it all interpreters that live still. Again is harmless."""
