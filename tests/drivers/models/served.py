"""A local server that speaks a vendor's dialect: says a turn, or does what a broken server does.

What it says is neutral (`Turn`, `Fault`); a `Dialect`, written from the vendor's documentation,
puts it into bytes and reads what a driver sent. Standard library only.
"""

import asyncio
import contextlib
import re
from collections import Counter
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any, Literal, Protocol

from tests.waits import until

HOUR = 3600.0


@dataclass(frozen=True)
class Call:
    """A tool call; `args` is the text that a model wrote, JSON or not."""

    id: str
    name: str
    args: str


@dataclass(frozen=True)
class Counts:
    """What a server counted, as the port means it: `read` holds `cached` and `written`,
    `wrote` holds `reasoning`. A dialect turns them into the vendor's own fields."""

    read: int = 0
    wrote: int = 0
    cached: int = 0
    written: int = 0
    reasoning: int = 0


@dataclass(frozen=True)
class Turn:
    """What a model says. The arguments of parallel calls come in pieces, interleaved if the
    dialect can. `opaque`: a signature or a sealed item. Without `end` the stream stops short, and
    the last frame is the last piece of what is said.
    `hold`: after the first piece of text, wait until the test calls `server.go.set()`."""

    pieces: tuple[str, ...] = ()
    calls: tuple[Call, ...] = ()
    thought: tuple[str, ...] = ()
    opaque: str = ""
    finish: Literal["stop", "length", "calls"] = "stop"
    counts: Counts | None = Counts(10, 5)
    end: bool = True
    hold: bool = False


Kind = Literal[
    "status",  # an error of this dialect with `status`
    "html",  # a proxy's page with `status`
    "inside",  # 200, and a JSON body that is an error
    "amid",  # an error in the midst of a stream
    "half",  # an event is cut off
    "rubbish",  # an event that is no JSON
    "list",  # an event that is JSON and no object
    "line",  # 10 MB without an end of line
    "stall",  # a piece, then silence
    "flood",  # the same piece for ever
    "hang",  # no answer at all
    "drop",  # the connection is cut at once
]


@dataclass(frozen=True)
class Fault:
    """What a broken server does. `why` is the kind of a `status`: "", window, model, key, rate."""

    kind: Kind
    status: int = 200
    why: str = ""
    headers: tuple[str, ...] = ()


@dataclass
class Spoken:
    """A message that a driver sent. `images`: (mime, bytes); `thoughts`: (text, opaque)."""

    role: str
    text: str = ""
    images: list[tuple[str, bytes]] = field(default_factory=list)
    sounds: list[tuple[str, bytes]] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    answers: str = ""
    thoughts: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class Heard:
    """A request that a driver sent, read back. System text is a `Spoken` of role "system"."""

    model: str
    messages: list[Spoken]
    tools: dict[str, Any] = field(default_factory=dict)
    schema: Any = None
    most: int = 0


@dataclass
class Request:
    """A request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes


class Dialect(Protocol):
    """How a vendor's server writes and reads.

    `can` of: tools, schema, image, audio, thoughts (are shown), sealed (an `opaque` goes back),
    resume, cached, written, reasoning (are counted), uncounted (a server may count nothing),
    raw (arguments are text, JSON or not), named (calls have ids of their own). `heard.model` must
    be "there", the name that `make` gives to the driver.
    """

    platform: str
    can: frozenset[str]
    kind: str  # Content-Type of a stream

    def make(self, url: str, info: Any, key: Any, idle: float) -> Any:
        """A driver for the server at `url` (http://127.0.0.1:PORT)."""

    def frames(self, turn: Turn) -> list[bytes]:
        """A turn as whole events, each ready to be sent."""

    def frame(self, data: bytes) -> bytes:
        """Any bytes as the data of one event."""

    def error(self, status: int, why: str) -> bytes:
        """The JSON body of an error."""

    def amid(self) -> bytes:
        """An error as an event in a stream."""

    def heard(self, request: Request) -> Heard:
        """Read a request. Raises: AssertionError if the vendor's server would refuse it."""


class Server:
    """`async with Server(dialect) as server`; says `server.turn`, or what is first in `queue`.

    `cut`: bytes a chunk, and of the first piece of an error; not `keeps`: a connection is closed
    when a second request comes on it.
    """

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self.turn: Turn | Fault = Turn(("hello ", "there"))
        self.queue: list[Turn | Fault] = []
        self.cut = 0
        self.keeps = True
        self.go = asyncio.Event()
        self.requests: list[Request] = []
        self.stats: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "Server":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 26)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        """As of a process that ends: nothing is listened to and no connection is left open."""
        self._server.close()
        for _ in range(10):  # who was let in just now has its task by then
            await asyncio.sleep(0)
        for task in [*self._tasks]:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def make(self, info: Any, key: Any, idle: float) -> Any:
        """A driver that talks to this server."""
        return self.dialect.make(self.url, info, key, idle)

    @property
    def counts(self) -> tuple[int, int]:
        """Tokens that were read and written, as this server counts them."""
        return self.turn.counts.read, self.turn.counts.wrote

    @property
    def heard(self) -> Heard:
        """The last request."""
        return self.dialect.heard(self.requests[-1])

    async def until(self, what: str, count: int = 1) -> None:
        """Wait until something was counted: `held`, `cancelled`, `done`, `requests`."""
        await until(lambda: self.stats[what] >= count)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while await self._one(reader, writer) and self.keeps:
                pass
            if not self.keeps:
                await reader.read(1)
                writer.transport.abort()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
            self._tasks.discard(task)

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin1")
        lines = head.strip().split("\r\n")
        headers = {k.lower(): v for k, v in (x.split(": ", 1) for x in lines[1:])}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        self.requests.append(Request(lines[0].split(" ")[1], headers, body))
        self.stats["requests"] += 1
        turn = self.queue.pop(0) if self.queue else self.turn
        if isinstance(turn, Fault):
            return await self._fault(turn, reader, writer)
        frames = self.dialect.frames(turn)
        stream(writer, self.dialect.kind)
        if turn.hold:
            said = turn.pieces[0].encode()
            at = 1 + next(i for i, frame in enumerate(frames) if said in frame)
            chunks(writer, frames[:at], self.cut)
            await writer.drain()
            self.stats["held"] += 1
            await self.go.wait()
            frames = frames[at:]
        chunks(writer, frames, self.cut)
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        self.stats["done"] += 1
        return True

    async def _fault(self, fault: Fault, reader, writer) -> bool:
        begun = self.dialect.frames(Turn(("again ",), end=False))
        match fault.kind:
            case "status":
                data = self.dialect.error(fault.status, fault.why)
                answer(writer, fault, "application/json", data, self.cut)
                if self.cut:
                    await writer.drain()
                    await asyncio.sleep(0.05)
                    writer.write(data[self.cut :])
            case "html":
                answer(writer, fault, "text/html", b"<!doctype html><html>a\nproxy</html>")
            case "inside":
                answer(writer, fault, "application/json", self.dialect.error(500, ""))
            case "drop":
                writer.transport.abort()
                return False
            case "hang":
                await self._gone(reader)
                return False
            case "stall" | "flood":
                stream(writer, self.dialect.kind)
                await self._endless(fault.kind, begun, reader, writer)
                return False
            case _:
                stream(writer, self.dialect.kind)
                chunks(writer, [*begun, *self._broken(fault.kind)], 0)
                writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True

    def _broken(self, kind: str) -> list[bytes]:
        """How a stream goes wrong."""
        dialect = self.dialect
        last = dialect.frames(Turn(("more ",), end=False))[-1]
        events = {
            "amid": dialect.amid(),
            "half": last[: len(last) // 2],
            "rubbish": dialect.frame(b"{]"),
            "list": dialect.frame(b"[1]"),
            "line": dialect.frame(b'"' + b"x" * (10 << 20)).rstrip(),
        }
        return [events[kind]]

    async def _endless(self, kind: str, begun: list[bytes], reader, writer) -> None:
        """A stream that begins well, then says nothing more, or the same again and again."""
        chunks(writer, begun, 0)
        try:
            while kind == "flood" and not reader.at_eof():
                chunks(writer, begun[-1:] * 100, 0)
                await writer.drain()
        except ConnectionError:
            pass
        await self._gone(reader)

    async def _gone(self, reader: asyncio.StreamReader) -> None:
        """The client went away: its connection is closed."""
        with contextlib.suppress(ConnectionError):
            assert await reader.read(1) == b""
        self.stats["cancelled"] += 1


def stream(writer: asyncio.StreamWriter, kind: str) -> None:
    """The head of a stream."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n"
    writer.write(head.encode())


def chunks(writer: asyncio.StreamWriter, frames: list[bytes], cut: int) -> None:
    """Frames as HTTP chunks: one each, or anew every `cut` bytes."""
    data = b"".join(frames)
    pieces = [data[i : i + cut] for i in range(0, len(data), cut)] if cut else frames
    for piece in pieces:
        if piece:
            writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))


def answer(
    writer: asyncio.StreamWriter, fault: Fault, kind: str, data: bytes, cut: int = 0
) -> None:
    """A whole answer, or only `cut` bytes of its body.

    The server's clock is an hour fast: `{+N}` in a header is its time + N s.
    """
    now = HOUR + asyncio.get_running_loop().time() + 1_700_000_000

    def dated(found: re.Match[str]) -> str:
        return formatdate(now + float(found.group(1)), usegmt=True)

    lines = [re.sub(r"\{([+-]\d+)\}", dated, h) for h in ("Date: {+0}", *fault.headers)]
    more = "".join(f"{line}\r\n" for line in lines)
    head = f"HTTP/1.1 {fault.status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(data)}\r\n"
    writer.write(f"{head}{more}\r\n".encode() + data[: cut or None])


def halves(calls: tuple[Call, ...]) -> list[tuple[int, str, bool]]:
    """Pieces of the arguments of parallel calls, alternating: (which, piece, is the first)."""
    found = []
    for first in (True, False):
        for index, call in enumerate(calls):
            half = len(call.args) // 2
            found.append((index, call.args[:half] if first else call.args[half:], first))
    return found
