"""The inner half of a warm interpreter: cells in one namespace, told about in frames.

It travels as source, so it imports nothing of oros. A frame is four bytes (the size of its header,
big-endian), a header in JSON, and the bytes whose sizes the header lists under `sizes`:

    in    {"op": "kit", "sizes": [n]}            the source of the kit, first and once
          {"op": "run", "id": 7, "sizes": [n]}   a cell
    out   {"op": "ready"}; of each cell {"op": "begun"} once SIGINT is heard, and at its end
          {"op": "done", "id": 7, "value", "cut", "error", "exit", "interrupted", "parts", "sizes"}

What a cell prints goes by descriptors 1 and 2 as it is printed, whoever prints it; all of a cell's
own output is in the pipes before its `done`. SIGINT raises KeyboardInterrupt in a cell, never
between two. A cell may spoil what it shares with this loop: what can be is put right before the
next one, and the rest ends the process, which is seen outside.
"""

import ast
import builtins
import contextlib
import fcntl
import importlib
import io
import json
import linecache
import os
import signal
import struct
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from types import CodeType, FrameType, ModuleType
from typing import Any

OWN = dict(vars(builtins))
globals()["__builtins__"] = OWN  # for the functions below: a cell may redefine the shared ones

SOURCES = 2 << 20  # characters of old cells that tracebacks can still quote
FIGURES, FIGURE_BYTES = 16, 8 << 20
HIGH = 512  # descriptors of ours lie where nobody closes a range for tidiness

VERSION = "python{}.{}".format(*sys.version_info)

Header = dict[str, Any]


class Channel:
    """Frames over two descriptors; a child that a cell forks has none."""

    def __init__(self, come: int, go: int) -> None:
        self.come, self.go = come, go
        self.gone = False
        os.register_at_fork(after_in_child=self.drop)

    def drop(self) -> None:
        """Close it."""
        self.gone = True
        for number in {self.come, self.go}:
            with contextlib.suppress(OSError):
                os.close(number)

    def receive(self) -> tuple[Header, list[bytes]] | None:
        """The next frame; None at the end."""
        start = self._exactly(4)
        if start is None:
            return None
        text = self._exactly(struct.unpack(">I", start)[0])
        if text is None:
            return None
        header = json.loads(text)
        blobs = [self._exactly(size) for size in header.get("sizes", ())]
        return header, [b for b in blobs if b is not None]

    def send(self, header: Header, blobs: list[bytes]) -> None:
        """Send a frame whole."""
        text = json.dumps({**header, "sizes": [len(b) for b in blobs]}).encode()
        view = memoryview(b"".join((struct.pack(">I", len(text)), text, *blobs)))
        while view:
            view = view[os.write(self.go, view) :]

    def _exactly(self, size: int) -> bytes | None:
        pieces = []
        while size > 0:
            piece = os.read(self.come, min(size, 1 << 20))
            if not piece:
                return None
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)


class Loop:
    """Runs cells, one at a time, until its channel ends."""

    def __init__(
        self, channel: Channel, shown: dict[str, Any], library: dict[str, ModuleType]
    ) -> None:
        """`shown`: the names of show.py; `library`: the modules that there are."""
        self.channel, self.shown = channel, shown
        self.busy = False
        self.parts: list[tuple[Header, bytes]] = []
        self.value: str | None = None
        self.cut = 0
        self.main = ModuleType("__main__")
        self.main.__dict__["__builtins__"] = builtins
        self.sources: dict[str, int] = {}
        self.pipes = [_high(1), _high(2)]
        self.place = self.home = os.getcwd()  # noqa: PTH109 - as the starter
        self.own: dict[str, tuple[str, tuple[float, int] | None]] = {}
        self.open: dict[int, tuple[str, int, int]] = {}
        self.began = 0.0
        self.library, self.last = library, next(reversed(sys.modules))
        builtins.__dict__["display"] = self.display

    def serve(self) -> None:
        """Answer frames until there are no more."""
        while (frame := self.channel.receive()) is not None:
            header, (source, *_) = frame
            if header["op"] == "kit":
                self.prepare(source.decode())
                self.channel.send({"op": "ready", "pid": os.getpid()}, [])
                continue
            self.enter()
            answer = self.run(f"cell{header['id']}.py", source.decode("utf-8", "replace"))
            self.leave_off()
            if self.channel.gone:  # a child that the cell forked, at the cell's end
                self.leave(answer)
            blobs = [data for _, data in self.parts]
            self.channel.send({"op": "done", "id": header["id"], **answer}, blobs)
            self.parts.clear()

    def prepare(self, kit: str) -> None:
        """What a cell finds: the kit; the folder's modules, then what pip brought; no input."""
        brought = f"{os.environ.get('PYTHONUSERBASE')}/lib/{VERSION}/site-packages"
        sys.path[:] = [*(p for p in sys.path if p), os.getcwd(), brought]  # noqa: PTH109 - as the starter
        sys.modules["kit"] = ready = ModuleType("kit")
        ready.__dict__["__builtins__"] = builtins
        exec(compile(kit, "kit.py", "exec", dont_inherit=True), ready.__dict__)  # noqa: S102 - ours
        sys.argv[:] = ["cell.py"]
        os.environ.setdefault("MPLBACKEND", "Agg")
        warnings.filterwarnings("ignore", message=".*is non-interactive, and thus cannot be shown")

    def enter(self) -> None:
        """Go where the last cell was, by name: the folder may have been laid anew since.

        So are files of it opened that are open still, each at its place. A module of the folder
        whose file has changed is read anew when it is asked for again.
        """
        try:
            os.chdir(self.place)
        except OSError:
            os.chdir(self.home)
        for number, (path, flags, at) in self.open.items():
            with contextlib.suppress(OSError):  # it is gone: what was open stays open
                new = os.open(path, flags & ~(os.O_CREAT | os.O_EXCL | os.O_TRUNC))
                os.lseek(new, at, os.SEEK_SET)
                os.dup2(new, number, os.get_inheritable(number))
                os.close(new)
        for name, (path, stamp) in [*self.own.items()]:
            if name not in sys.modules or stamp is None or stamp != _stamp(path):
                sys.modules.pop(name, None)
                del self.own[name]
        self.last = next(reversed(sys.modules), "")  # it may have gone, and may come again
        importlib.invalidate_caches()
        self.began = time.time() - 0.02  # noqa: TID251 - as files' own clock, which is coarse

    def leave_off(self) -> None:
        """Note where the cell went, and the modules that it read; None: perhaps changed since."""
        with contextlib.suppress(OSError):
            self.place = os.getcwd()  # noqa: PTH109 - as the starter
        self.open = {}
        with contextlib.suppress(OSError):  # no descriptor is left
            self.open = dict(_open_in(self.home))
        for name in reversed([*self._imported()]):
            origin = getattr(getattr(sys.modules[name], "__spec__", None), "origin", None)
            if type(origin) is str and origin.startswith(self.home):
                stamp = _stamp(origin)
                self.own[name] = origin, stamp if stamp and stamp[0] < self.began else None
            self.last = name

    def _imported(self) -> Iterator[str]:
        """What was imported since, the newest first: to look at all would make copies of pages."""
        for name in reversed(sys.modules):
            if name == self.last:
                return
            yield name

    def run(self, name: str, source: str) -> Header:
        """Run a cell to its end, whatever that is; the answer without its parts."""
        self.value, self.cut = None, 0
        self.restore()
        error = self.guarded(lambda: self.execute(name, source))
        builtins.__dict__.update(OWN)  # the library below needs them as they were
        interrupted = isinstance(error, KeyboardInterrupt)
        late = self.guarded(lambda: self.figures(drawn=not interrupted))
        error = error or late
        told: Header = {"error": None, "exit": None}
        if isinstance(error, SystemExit):
            told["exit"] = _code(error)
        elif error is not None:
            failed = self.guarded(lambda: told.update(error=_told(error, self.shown["cut"])))
            if failed is not None:
                told["error"] = {"kind": type(error).__name__, "message": "", "text": "", "line": 0}
        for stream in ("stdout", "stderr"):
            self.guarded(lambda stream=stream: sys.__dict__[stream].flush())  # type: ignore[misc]
        told |= {"value": self.value, "cut": self.cut, "parts": [about for about, _ in self.parts]}
        return {**told, "interrupted": interrupted or isinstance(late, KeyboardInterrupt)}

    def guarded(self, work: Callable[[], object]) -> BaseException | None:
        """Do something that may be interrupted, once; what it raised."""
        try:
            try:
                self.busy = True
                work()
                self.busy = False
            except BaseException as e:  # noqa: BLE001 - a cell may raise anything, and lives on
                self.busy = False
                return e
        except KeyboardInterrupt as e:  # it came between two lines above
            return e
        return None

    def interrupt(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - a handler
        """End the cell that runs, if one does."""
        if self.busy:
            self.busy = False
            raise KeyboardInterrupt

    def restore(self) -> None:
        """Put right what the last cell may have spoilt: the handler, the streams, the module."""
        signal.signal(signal.SIGINT, self.interrupt)
        if "sys" not in sys.modules:
            sys.modules.update(self.library)
        sys.modules["__main__"] = self.main
        for number, pipe in enumerate(self.pipes, 1):
            os.dup2(pipe, number)
        if self.channel.gone:
            return
        for name, number in (("stdout", 1), ("stderr", 2)):
            ours = sys.__dict__[f"__{name}__"]
            if not isinstance(ours, io.TextIOWrapper) or ours.closed:
                ours = sys.__dict__[f"__{name}__"] = _stream(number)
            sys.__dict__[name] = ours

    def execute(self, name: str, source: str) -> None:
        """Run the statements; if the last one is an expression, show its value."""
        self.channel.send({"op": "begun"}, [])
        self.remember(name, source)
        tree = ast.parse(source, name)
        last = None
        if tree.body and isinstance(tree.body[-1], ast.Expr):
            last = ast.Expression(tree.body.pop().value)  # type: ignore[attr-defined]
        if tree.body:
            exec(_compiled(tree, name, "exec"), self.main.__dict__)  # noqa: S102 - its purpose
        if last is None:
            return
        value = eval(_compiled(last, name, "eval"), self.main.__dict__)  # noqa: S307 - its purpose
        if value is not None:
            builtins.__dict__["_"] = value
            self.value, self.cut = self.show(value)

    def remember(self, name: str, source: str) -> None:
        """Keep the lines for tracebacks; the oldest cells' go."""
        linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
        self.sources[name] = len(source)
        total = sum(self.sources.values()) if len(self.sources) > 100 else 0
        while total > SOURCES or len(self.sources) > 1000:
            oldest = next(iter(self.sources))
            total -= self.sources.pop(oldest)
            linecache.cache.pop(oldest, None)

    def display(self, *values: object) -> None:
        """Print values as the last one of a cell is shown; tables and figures as well."""
        for value in values:
            print(self.show(value)[0])  # noqa: T201 - the cell's own words

    def show(self, value: Any) -> tuple[str, int]:
        """The text of a value and how much of it was cut; a table is a part, too."""
        pandas = sys.modules.get("pandas")
        if pandas is not None and isinstance(value, (pandas.DataFrame, pandas.Series)):
            self.add(*self.shown["table"](pandas, value))
        figure = sys.modules.get("matplotlib.figure")
        if (
            figure is not None
            and isinstance(value, figure.Figure)
            and not self.shown["numbered"](value)
        ):
            self.add(*self.shown["drawn"](value))
        text, gone = self.shown["cut"](self.shown["text"](value))
        return text, gone

    def add(self, about: Header, data: bytes) -> None:
        """Take a part, if there is room."""
        if len(self.parts) >= 2 * FIGURES or sum(len(d) for _, d in self.parts) > FIGURE_BYTES:
            about, data = {**about, "left_out": len(data)}, b""
        self.parts.append((about, data))

    def figures(self, *, drawn: bool) -> None:
        """Take what was drawn as pictures, and close it."""
        pyplot = sys.modules.get("matplotlib.pyplot")
        if pyplot is None or not (numbers := pyplot.get_fignums()):
            return
        try:
            for number in numbers[:FIGURES] if drawn else ():
                self.add(*self.shown["drawn"](pyplot.figure(number)))
        finally:
            pyplot.close("all")

    def leave(self, answer: Header) -> None:
        """End a forked child as the end of a program does."""
        error = answer["error"]
        if error:
            os.write(2, error["text"].encode())
        os._exit(answer["exit"] or int(error is not None))


def _open_in(home: str) -> Iterator[tuple[int, tuple[str, int, int]]]:
    """What is open below a folder: descriptor, and path, flags, position."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - as the starter
        with contextlib.suppress(OSError):
            path, number = os.readlink(f"/proc/self/fd/{name}"), int(name)  # noqa: PTH115 - too
            if path.startswith(f"{home}/"):
                flags = fcntl.fcntl(number, fcntl.F_GETFL)
                yield number, (path, flags, os.lseek(number, 0, os.SEEK_CUR))


def _stamp(path: str) -> tuple[float, int] | None:
    """A file's time and size; None if it is gone."""
    try:
        about = os.stat(path)  # noqa: PTH116 - as the starter
    except OSError:
        return None
    return about.st_mtime, about.st_size


def _compiled(tree: Any, name: str, mode: str) -> CodeType:
    code: CodeType = compile(tree, name, mode, dont_inherit=True)
    return code


def _high(number: int) -> int:
    """A copy of a descriptor, out of the way."""
    try:
        return fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, HIGH)
    except OSError:  # few are allowed
        return fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, 3)


def _stream(number: int) -> io.TextIOWrapper:
    raw = io.BufferedWriter(io.FileIO(number, "w", closefd=False))
    return io.TextIOWrapper(raw, "utf-8", errors="backslashreplace", line_buffering=True)


def _code(error: SystemExit) -> int:
    """The status that `sys.exit` stands for; its text goes where a program's goes."""
    if error.code is None or isinstance(error.code, int):
        return int(error.code or 0) & 0xFF
    with contextlib.suppress(Exception):
        sys.stderr.write(f"{error.code}\n")
    return 1


def _told(error: BaseException, cut: Callable[[str], tuple[str, int]]) -> Header:
    """An exception in words: of its frames only the lines of cells."""
    whole = traceback.TracebackException.from_exception(error, compact=True)
    line, seen, left = 0, set[int](), [whole]
    while left:
        one = left.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        one.stack[:] = [f for f in one.stack if _is_cell(f.filename)]
        left += [x for x in (one.__cause__, one.__context__) if x is not None]
        left += getattr(one, "exceptions", None) or []
    if whole.stack:
        line = whole.stack[-1].lineno or 0
    elif isinstance(error, SyntaxError) and _is_cell(error.filename or ""):
        line = error.lineno or 0
    text = "".join(whole.format())
    message = "".join(whole.format_exception_only()).strip()
    kind = type(error).__name__
    return {"kind": kind, "message": cut(message)[0], "text": cut(text)[0], "line": line}


def _is_cell(name: str) -> bool:
    return name.startswith("cell") and name.endswith(".py") and "/" not in name


def main(come: int, go: int, shown: dict[str, Any], library: dict[str, ModuleType]) -> None:
    """Serve over two descriptors (they may be one) and end the process."""
    here = _high(come)
    there = here if come == go else _high(go)
    for number in {come, go}:
        os.close(number)
    loop = Loop(Channel(here, there), shown, library)
    signal.signal(signal.SIGINT, loop.interrupt)
    sys.__dict__["__stdout__"], sys.__dict__["__stderr__"] = _stream(1), _stream(2)
    loop.serve()
    os._exit(0)
