"""The worker: the decode loop behind a Unix socket; it dies with the process that started it.

    python -m oros.drivers.models.llamacpp.worker '{"model": ..., "socket": ..., ...}'

A connection carries one request, a line of JSON, and its answer, lines of JSON; closing it ends the
answer. Between two steps all connections are looked at, so nothing waits for longer than a step. A
crash in native code ends this process, not the kernel's.
"""

import ctypes
import json
import os
import selectors
import signal
import socket
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from oros.drivers.models.llamacpp.binding import BUILD
from oros.drivers.models.llamacpp.curve import Curve
from oros.drivers.models.llamacpp.engine import Engine, Refused, Sampler, Settings, free_memory
from oros.drivers.models.llamacpp.kept import Kept
from oros.drivers.models.llamacpp.loop import Ended, Job, Loop
from oros.drivers.models.llamacpp.prompts import Prompts
from oros.drivers.models.llamacpp.sequences import Cache
from oros.drivers.models.llamacpp.speaker import Speaker

PR_SET_PDEATHSIG = 1
LINE = 64 << 20
"""The longest request, in bytes."""

SHARE = 4
"""What part of the free memory the cache may take, beyond one window."""

BACKLOG = 4096
"""Connections that may wait for a step to end; one too many would not be told, but fail."""

LONGEST = 256
"""Bytes of a token, at most: so much text does not fit, and need not be cut into tokens first."""

BEAT = 5.0
"""Seconds after which an answer that waits for its turn says so."""

Json = dict[str, Any]


@dataclass(eq=False, slots=True)
class Client:
    """One connection."""

    sock: socket.socket
    came: bytearray = field(default_factory=bytearray)
    goes: bytearray = field(default_factory=bytearray)
    job: Job[Sampler] | None = None
    base: int = 0
    told: float = 0.0
    speaker: Speaker = field(default_factory=lambda: Speaker(()))
    ending: bool = False


class Worker:
    """Serves one model."""

    def __init__(self, options: Json, engine: Engine) -> None:
        self._engine = engine
        folder = Path(options["keep"]) if options["keep"] else None
        stamp = f"{Path(options['model']).stem[:16]}-{BUILD}"
        self._kept = Kept(folder, stamp, options["ram"] << 20, options["disk"] << 20)
        cache = Cache(engine, engine.cells, engine.sequences, self._kept)
        curve = Curve(options["threads"])
        self._loop: Loop[Sampler] = Loop(engine, cache, curve, engine.window, options["long"])
        self._prompts = Prompts(engine)
        self._selector = selectors.DefaultSelector()
        self._clients: dict[Job[Sampler], Client] = {}

    def serve(self, listener: socket.socket) -> None:
        """Answer until the parent's pipe ends."""
        listener.settimeout(0)
        self._selector.register(listener, selectors.EVENT_READ)
        self._selector.register(sys.stdin, selectors.EVENT_READ)  # says something when it ends
        while True:
            busy = bool(self._loop.jobs)
            for key, _ in self._selector.select(0 if busy else None):
                if key.fileobj is sys.stdin:
                    return
                if key.fileobj is listener:
                    self._accept(listener)
                else:
                    self._attend(key.data)
            for ended in self._loop.step():
                self._end(ended)
            self._beat()

    # ---- connections -----------------------------------------------------------------------------

    def _accept(self, listener: socket.socket) -> None:
        """Take all that came during a step."""
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            sock.settimeout(0)
            self._selector.register(sock, selectors.EVENT_READ, Client(sock))

    def _attend(self, client: Client) -> None:
        """Read what came and write what is left to write."""
        try:
            if client.goes:
                del client.goes[: client.sock.send(client.goes)]
            data = client.sock.recv(1 << 20)
        except BlockingIOError:
            return self._watch(client)
        except OSError:
            return self._leave(client)
        if not data:
            return self._leave(client)
        client.came += data
        if b"\n" in data and client.job is None:
            line, _, _ = client.came.partition(b"\n")
            client.came.clear()
            return self._asked(client, bytes(line))
        if len(client.came) > LINE:
            return self._leave(client)
        return None

    def _watch(self, client: Client) -> None:
        """Be told when it can be written to, if there is something; leave if all is said."""
        if client.ending and not client.goes:
            return self._leave(client)
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if client.goes else 0)
        self._selector.modify(client.sock, events, client)
        return None

    def _leave(self, client: Client) -> None:
        if client.job is not None:
            self._forget(client.job)
        self._selector.unregister(client.sock)
        client.sock.close()

    def _tell(self, client: Client, *, last: bool = False, **said: Any) -> None:
        """Say something; `last`: and then close."""
        client.told = self._engine.now()
        client.goes += json.dumps(said).encode() + b"\n"
        client.ending = last
        try:
            del client.goes[: client.sock.send(client.goes)]
        except BlockingIOError:
            pass
        except OSError:
            client.goes.clear()  # it is gone: the selector will tell
        self._watch(client)

    # ---- requests --------------------------------------------------------------------------------

    def _asked(self, client: Client, line: bytes) -> None:
        try:
            asked = json.loads(line)
            if asked["do"] == "count":
                return self._tell(client, tokens=len(self._engine.tokens(asked["text"])), last=True)
            if asked["do"] == "state":
                return self._tell(client, last=True, **self._state())
            return self._generate(client, asked)
        except Refused as e:
            return self._tell(client, error="refused", why=str(e), last=True)
        except (ValueError, KeyError, TypeError) as e:
            return self._tell(client, error="request", why=repr(e)[:300], last=True)

    def _generate(self, client: Client, asked: Json) -> None:
        turns = [(str(role), str(text)) for role, text in asked["turns"]]
        window, size = self._loop.window, sum(len(text) for _, text in turns)
        if size + len(asked["partial"] or "") > window * LONGEST:
            why = f"{size} characters exceed the context of {window} tokens"
            return self._tell(client, error="context", why=why, last=True)
        prompt = self._prompts.of(turns, asked["partial"], asked["owner"])
        if len(prompt.tokens) >= window:
            why = f"{len(prompt.tokens)} tokens exceed the context of {window}"
            return self._tell(client, error="context", why=why, last=True)
        sampler = self._sampler(asked)
        if not all(map(sampler.follow, prompt.tokens[prompt.base :])):
            sampler.free()  # the part is none of this grammar: the answer begins anew behind it
            sampler = self._sampler(asked)
        speaker = client.speaker = Speaker(asked["stop"])

        def take(token: int) -> bool:
            ends = self._engine.ends(token)
            said = "" if ends else speaker.take(self._engine.piece(token))
            if said:
                self._tell(client, text=said)
            return ends or speaker.ended

        def read(done: int, total: int) -> None:
            if total > self._engine.batch:
                self._tell(client, reading=[done, total])

        owner, nice, limit = str(asked["owner"]), int(asked["nice"]), max(1, int(asked["limit"]))
        job = Job(prompt.tokens, owner, nice, sampler, take, limit, read)
        client.job, client.base, client.told = job, prompt.base, self._engine.now()
        self._clients[job] = client
        self._loop.add(job)
        return None

    def _sampler(self, asked: Json) -> Sampler:
        how = asked["temperature"], asked["seed"], asked["schema"], asked["grammar"]
        return self._engine.sampler(*how)

    def _end(self, ended: Ended[Sampler]) -> None:
        """An answer is whole."""
        job, client = ended.job, self._clients[ended.job]
        self._forget(job)
        client.job = None
        if ended.full:
            return self._tell(client, error="context", why="no room in the context", last=True)
        if rest := client.speaker.rest():
            self._tell(client, text=rest)
        usage = [job.prompt, job.made, job.cached or 0]
        return self._tell(client, done="length" if ended.cut else "stop", usage=usage, last=True)

    def _forget(self, job: Job[Sampler]) -> None:
        client = self._clients.pop(job, None)
        self._loop.remove(job)
        if client is not None:
            self._prompts.answered(job.owner, job.tokens, client.base)
            job.sampler.free()

    def _beat(self) -> None:
        """Let those that wait know that nobody hangs."""
        now = self._engine.now()
        for client in list(self._clients.values()):
            if now - client.told > BEAT:
                self._tell(client, waits=True)

    def _state(self) -> Json:
        loop = self._loop
        ram, disk = self._kept.weight()
        return {
            "cells": self._engine.cells,
            "window": loop.window,
            "free": loop.cache.cells.free,
            "held": len(loop.cache.held),
            "jobs": len(loop.jobs),
            "steps": loop.steps,
            "ram": ram,
            "disk": disk,
            "curve": loop.curve.shown(),
        }


def tie_to_parent() -> None:
    """Die when the parent does (prctl(2)), also if it died before this call."""
    parent = os.getppid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(1)


def main(options: Json) -> None:
    """Load the model, listen, and serve until the parent ends it."""
    settings = Settings(
        path=Path(options["model"]),
        window=options["window"],
        memory=free_memory() // SHARE,
        batch=options["batch"],
        threads=options["threads"],
        repack=options["repack"],
        gpu_layers=options["gpu_layers"],
    )
    worker = Worker(options, Engine(settings))
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(options["socket"])
    listener.listen(BACKLOG)
    worker.serve(listener)
    os._exit(0)


if __name__ == "__main__":
    tie_to_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    main(json.loads(sys.argv[1]))
