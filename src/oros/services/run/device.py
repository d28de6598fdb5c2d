"""Performs `run`: a program in the sandbox over one folder, and what it said and changed.

The sandbox itself is behind a port; here is what surrounds it: the job, the manifests, the shown
output, the label, and the answer to "did it happen?" after a crash. It judges no program.
"""

import asyncio
import signal as signals
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oros.abi.errors import Busy, Invalid
from oros.abi.grants import Right
from oros.abi.labels import Label
from oros.abi.message import FilePart, Json
from oros.abi.ports import Bind, Caller, Job, JobResult, Sandbox, Store
from oros.abi.syscalls import Failure, Outcome
from oros.services.files.faults import explained
from oros.services.files.labels import Labels
from oros.services.files.names import show
from oros.services.files.resolve import Root
from oros.services.run.changes import (
    MAX_ENTRIES,
    Changed,
    Manifest,
    difference,
    digest,
    manifest,
    written,
)
from oros.services.run.output import SHOWN, cut, last_words, python_error, readable
from oros.services.run.starter import CODE

HOME = "/work"
MAX_SECONDS = 3600.0
MAX_CHANGES = 100
CPU_SECONDS = 60.0
"""Of one process; more when more time was asked for: it may use some cores."""
ENV = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}
"""No `__pycache__` in the user's folder; what was printed before a kill is not lost."""


@dataclass(frozen=True, slots=True)
class Request:
    """The arguments of `run`, checked."""

    python: str
    argv: tuple[str, ...]
    stdin: bytes
    seconds: float

    @classmethod
    def of(cls, args: Mapping[str, Json]) -> "Request":
        """Raises: Invalid."""
        python, argv = str(args.get("python") or ""), tuple(args.get("argv") or ())
        if bool(python.strip()) == bool(argv):
            raise Invalid("run needs either `python` or `argv`", "give one of them")
        seconds = float(args.get("timeout", 30.0))
        if not 0 < seconds <= MAX_SECONDS:
            raise Invalid(f"timeout must be above 0 and at most {MAX_SECONDS:g} seconds")
        return cls(python, argv, str(args.get("stdin") or "").encode("utf-8", "replace"), seconds)


class RunDevice:
    """The `run` of processes whose /work is `root`, a folder of the host.

    `python` tells how the interpreter is called in the sandbox, once that has been probed.

    Only a program's changes to the folder outlive it: the rest it can write is gone with it, and
    it has no network. So a run that left the folder as it was may be done again.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        root: Path,
        store: Store,
        python: Callable[[], Sequence[str]] = lambda: ("python3",),
        right: Right = "rw",
    ) -> None:
        """Raises: NotFound, AccessDenied for the folder."""
        self._sandbox = sandbox
        self._root = Root(root)
        self._store = store
        self._python = python
        self._right = right
        self._labels = Labels(store, self._root.path)

    async def perform(self, who: Caller, args: Mapping[str, Json]) -> Outcome:
        """Run to the end. A program that fails or runs out of time is an outcome, not an error.

        Raises: Invalid, NotFound (the folder is gone); what the sandbox raises.
        """
        request = Request.of(args)
        label = who.label | self._labels.within()
        await self._sandbox.probe()
        job = self._job(who, request)
        before = await self._look(label)
        self._store.put_setting(_setting(who.key), digest(before))
        try:
            result = await self._sandbox.run(job)
        finally:
            if label.readers is not None:
                self._keep_private(before, label)
        after = await self._look(label)
        changed = None if before is None or after is None else difference(before, after)
        return self._outcome(request, result, changed, label)

    async def reconcile(self, who: Caller, args: Mapping[str, Json]) -> Outcome | None:  # noqa: ARG002 - the port's
        """EAGAIN if the run was not begun, or left the folder as it was; else None."""
        label = who.label | self._labels.within()
        known = self._store.get_setting(_setting(who.key))
        untouched = known is None or self._right == "r"
        if not untouched and known:
            untouched = known == digest(await self._look(label))
        if not untouched:
            if label.readers is not None:
                self._keep_private({}, label)
            return None
        return Outcome(error=Failure.of(Busy("the run left no trace", "it can be done again")))

    def _job(self, who: Caller, request: Request) -> Job:
        argv, stdin = request.argv, request.stdin
        if request.python:
            source = request.python.encode("utf-8", "replace")
            argv, stdin = (*self._python(), "-c", CODE, str(len(source))), source + stdin
        limit = who.limits.seconds
        seconds = request.seconds if limit is None else max(0.1, min(request.seconds, limit))
        bind = Bind(str(self._root.path), HOME, self._right)
        cpu = max(CPU_SECONDS, 4 * seconds)
        return Job(argv, (bind,), HOME, stdin, ENV, seconds=seconds, cpu=cpu)

    async def _look(self, label: Label) -> Manifest | None:
        """The folder as it is; where the program's words are private, whatever its size."""
        if self._right == "r":
            return {}  # nothing can change
        limit = MAX_ENTRIES if label.readers is None else None
        with explained(str(self._root.path)):
            return await asyncio.to_thread(manifest, self._root, limit)

    def _keep_private(self, before: Manifest | None, label: Label) -> None:
        """What a program wrote is as private as what it may have read.

        Its trust needs no record: a file that changed is others' text. At once, even if cancelled.
        """
        if self._right == "rw":
            for path in written(before or {}, manifest(self._root, None) or {}):
                self._labels.expect(path, label)

    def _outcome(
        self,
        request: Request,
        result: JobResult,
        changed: Sequence[Changed] | None,
        label: Label,
    ) -> Outcome:
        out, err = readable(result.out), readable(result.err)
        value: dict[str, Any] = {
            "exit": result.exit,
            "signal": result.signal,
            "out": cut(out, result.cut_out),
            "err": cut(err, result.cut_err),
            "changed": None if changed is None else [_plain(c) for c in changed[:MAX_CHANGES]],
            "seconds": round(result.seconds, 3),
            "ended": result.ended,
        }
        if changed is None:
            value["note"] = f"over {MAX_ENTRIES} entries: changes were not looked for"
        elif len(changed) > MAX_CHANGES:
            value["changes"] = len(changed)
        if result.exit != 0 and (error := _error(request, result, err)):
            value["error"] = error
        parts = [
            FilePart(self._store.put_blob(raw), "text/plain", name, len(raw))
            for name, raw, text, gone in (
                ("out.txt", result.out, out, result.cut_out),
                ("err.txt", result.err, err, result.cut_err),
            )
            if len(text) > SHOWN or gone
        ]
        return Outcome(value, tuple(parts), label=label)


def _plain(item: Changed) -> dict[str, Json]:
    value: dict[str, Json] = {"path": _shown(item.path), "change": item.change, "size": item.size}
    return {**value, "from": _shown(item.source)} if item.source else value


def _shown(path: str) -> str:
    return f"{HOME}/{show(path)}"


def _error(request: Request, result: JobResult, err: str) -> str:
    if result.ended == "time":
        return f"stopped after {result.seconds:.0f} s: it took too long"
    if result.ended == "flood":
        return "stopped: it wrote far too much output"
    said = (python_error(err) if request.python else "") or last_words(err)
    if result.signal is not None:
        name = signals.strsignal(result.signal) or "unknown"
        guess = ", perhaps out of memory" if result.signal == signals.SIGKILL else ""
        return f"killed by signal {result.signal} ({name}{guess})\n{said}".strip()
    return said


def _setting(key: str) -> str:
    return f"run:{key}"
