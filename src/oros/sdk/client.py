"""The machine's client: a person's calls down, facts up, over its Unix socket.

Standard library only, synchronous, quick to import: a shell command starts with it. It speaks
HTTP/1.0, so a body ends where the connection does. It knows no kernel object and no wire types:
what goes in and comes out are plain JSON values.
"""

import json
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from io import BufferedReader
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from oros.abi.errors import BadReply, OrosError, Unreachable, revive
from oros.abi.rows import columns
from oros.sdk.address import address, home_of, socket_path

Json = Any
CHUNK = 1 << 20
"""Bytes that are read at once: `read` alone would take 8 KiB at a time."""

START = "`oros boot` starts it; processes go on from their journal"


class Client:
    """A machine, as the person sees it.

    Every method raises Unreachable if no machine runs at `home`, NotAuthorized or AccessDenied if
    it won't talk to us, and the call's own error, as `oros.abi.errors` has them. One connection a
    call: the methods may be used from a signal handler, or from several threads.
    """

    def __init__(self, home: Path | str | None = None) -> None:
        """The machine that lives in a folder; without one, this user's."""
        self.home = Path(home) if home is not None else home_of()
        self.path = socket_path(self.home)

    def call(self, name: str, /, **args: Json) -> dict[str, Json]:
        """Make a system call as the person; waits as long as the call does.

        Returns `{"value", "parts", "label", "usage"}`; `value` has the shape that
        docs/syscalls.md gives.
        """
        body = json.dumps(args).encode()
        return self._ask("POST", f"/v1/calls/{quote(name, safe='')}", body)

    def table(self, name: str, only: Iterable[str] = (), /, **args: Json) -> dict[str, list[Json]]:
        """The `entries` that a call lists, by columns: quicker to read than its rows, if many.

        `only` some of the columns, else all. Raises: KeyError if not all have the same fields.
        """
        body = json.dumps(args).encode()
        words = urlencode({"columns": "entries", "only": ",".join(only)}, safe=",")
        found = self._ask("POST", f"/v1/calls/{quote(name, safe='')}?{words}", body)
        listed = found["value"]["entries"]
        return listed if isinstance(listed, dict) else columns(listed, tuple(only))

    def text(self, name: str, /, **args: Json) -> str:
        """The `entries` that a call lists as JSON text in ASCII, for who only passes it on."""
        body = json.dumps(args).encode()
        with self._open("POST", f"/v1/calls/{quote(name, safe='')}?text=entries", body) as reply:
            return self._whole(reply).decode("ascii")

    def query(self, name: str, /, **args: Json) -> Json:
        """Ask what is no system call: status, models, slots, doctor, replay, explain, programs."""
        path = f"/v1/query/{quote(name, safe='')}?{urlencode(args)}"
        return self._ask("GET", path)["value"]

    def status(self) -> dict[str, Json]:
        """How the machine stands; answers within five seconds or is Unreachable."""
        return dict(self._ask("GET", "/v1/status", timeout=5.0)["value"])

    def halt(self) -> None:
        """Stop the machine, in order; returns when it has been told."""
        self._ask("POST", "/v1/halt", b"")

    def progress(self, name: str, /, **args: Json) -> Iterator[dict[str, Json]]:
        """Do something long: yields `{"what", "done", "total"}`, at last `{"result"}`."""
        body = json.dumps(args).encode()
        with self._open("POST", f"/v1/progress/{quote(name, safe='')}", body) as reply:
            for kind, data in _frames(reply):
                if kind == "end" and data["why"] == "done":
                    return
                if kind == "end":
                    raise _ended(data)
                if data.get("error"):
                    raise _error(data["error"])
                yield data
        raise _gone()

    def history(self, pid: int, after: int = 0) -> list[dict[str, Json]]:
        """The committed facts of a process after one of its events.

        Each is `{"pid", "seq", "time", "kind", "event"}`, as `oros.abi.events` has them.
        """
        with self._open("GET", f"/v1/events?pid={pid}&after={after}&follow=0") as reply:
            found: list[dict[str, Json]] = []
            for kind, data in _frames(reply):
                if kind == "end" and data["why"] == "done":
                    return found
                if kind == "end":
                    raise _ended(data)
                found.append(data)
        raise _gone()

    def events(self, pid: int | None = None, after: int = 0) -> Iterator[dict[str, Json]]:
        """The facts of a process after an event, then live ones, with its tokens, without an end.

        Facts as in `history`; tokens are `{"pid", "token", "what", "done", "total"}`. Without a
        pid: those of all processes, from now on. A reader that fell behind goes on where it was:
        no fact is missed, but tokens may be. Raises: Unreachable when the machine stops, and what
        made it stop if that was a failure.
        """
        while True:
            where = f"pid={pid}&after={after}" if pid is not None else ""
            with self._open("GET", f"/v1/events?{where}") as reply:
                for kind, data in _frames(reply):
                    if kind == "end" and data["why"] == "behind":
                        break
                    if kind == "end":
                        raise _ended(data)
                    if data.get("pid") == pid:
                        after = data.get("seq", after)
                    yield data
                else:
                    raise _gone()

    def _ask(
        self, method: str, path: str, body: bytes | None = None, timeout: float | None = None
    ) -> dict[str, Json]:
        """A request whose answer is one JSON object `{"value", "error", ...}`."""
        with self._open(method, path, body, timeout) as reply:
            return _answer(self._whole(reply))

    def _whole(self, reply: BufferedReader) -> bytes:
        """All of an answer. Raises: Unreachable."""
        try:
            data = b"".join(iter(partial(reply.read1, CHUNK), b""))
        except OSError as e:
            raise Unreachable(f"the machine at {self.home} does not answer", START) from e
        if not data:
            raise _gone()
        return data

    @contextmanager
    def _open(
        self, method: str, path: str, body: bytes | None = None, timeout: float | None = None
    ) -> Iterator[BufferedReader]:
        """Send a request; the answer's body. Raises: Unreachable, and what the gate says."""
        length = f"Content-Length: {len(body)}\r\n" if body is not None else ""
        kind = "Content-Type: application/json\r\n" if body else ""
        head = f"{method} {path} HTTP/1.0\r\nHost: oros\r\n{kind}{length}\r\n"
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
            link.settimeout(timeout if timeout is not None else 5.0)
            try:
                with address(self.path) as where:
                    link.connect(where)
                link.settimeout(timeout)
                link.sendall(head.encode() + (body or b""))
                reply = link.makefile("rb")
                status = _status(reply)
            except OSError as e:
                raise Unreachable(f"no machine runs at {self.home}", START) from e
            with reply:
                if status != 200:
                    _answer(reply.read())
                    raise BadReply(f"the machine answered {method} {path} with status {status}")
                yield reply


def _status(reply: BufferedReader) -> int:
    """The status of an answer; reads up to its body. Raises: Unreachable, BadReply."""
    line = reply.readline()
    if not line:
        raise _gone()
    words = line.split(None, 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        hint = "end the program that does, or set OROS_HOME to another folder"
        raise BadReply("what listens at the machine's socket speaks no HTTP", hint)
    while reply.readline().strip():
        pass
    return int(words[1])


def _answer(data: bytes) -> dict[str, Json]:
    """An outcome. Raises: the error in it; BadReply if it is none."""
    try:
        found = json.loads(data)
    except ValueError as e:
        raise BadReply("the machine's answer is no JSON") from e
    if not isinstance(found, dict):
        raise BadReply("the machine's answer is no JSON object")
    if found.get("error"):
        raise _error(found["error"])
    return found


def _frames(reply: BufferedReader) -> Iterator[tuple[str, dict[str, Json]]]:
    """Server-sent events as (event, data); ends where the connection does."""
    kind = "message"
    try:
        for line in reply:
            name, _, value = line.rstrip(b"\r\n").partition(b": ")
            if name == b"event":
                kind = value.decode()
            elif name == b"data":
                yield kind, json.loads(value)
                kind = "message"
    except ConnectionError:
        return


def _error(data: dict[str, Json]) -> OrosError:
    return revive(data.get("code", "EIO"), data.get("why", "unknown"), data.get("hint", ""))


def _ended(data: dict[str, Json]) -> OrosError:
    """Why the machine ended a stream that was not done."""
    if data.get("error"):
        return _error(data["error"])
    return Unreachable("the machine was halted", START)


def _gone() -> Unreachable:
    return Unreachable("the machine went away", START)
