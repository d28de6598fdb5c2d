"""Performs `run`: a program in the sandbox over one folder, and what it said and changed.

The sandbox itself is behind a port; here is what surrounds it: the job, the layer that its changes
become, the shown output, the label, and the answer to "did it happen?" after a crash. It judges no
program.
"""

import os
import signal as signals
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from oros.abi import wire
from oros.abi.cells import CellResult
from oros.abi.errors import AccessDenied, Busy, DeviceFailed, Invalid, NotEnforced
from oros.abi.grants import HOLDS, Right
from oros.abi.ids import BlobId
from oros.abi.jobs import Bind, Egress, Flow, Job, JobResult, Overlay, Report
from oros.abi.labels import Label
from oros.abi.message import FilePart, Json
from oros.abi.ports import Caller, Sandbox, Store
from oros.abi.syscalls import Failure, Outcome
from oros.services.files import marks
from oros.services.files.faults import explained
from oros.services.files.names import show
from oros.services.files.resolve import Root
from oros.services.layers.capture import capture
from oros.services.layers.change import Change
from oros.services.layers.stack import Stack
from oros.services.layers.tree import Layer, spelled
from oros.services.layers.workspace import (
    Taken,
    Workspace,
    reviewed,
    told,
)
from oros.services.run.cells import CPU_SECONDS as CELL_CPU_SECONDS
from oros.services.run.cells import Cells
from oros.services.run.changes import Changed, changes_of
from oros.services.run.earlier import celled, parts_of
from oros.services.run.output import SHOWN, cut, last_words, python_error, readable, wants_network
from oros.services.run.starter import CODE
from oros.services.threads import threaded

HOME = "/work"
PACKAGES = "/packages"
MAX_SECONDS = 3600.0
MAX_CHANGES = 100
MAX_FLOWS = 50
CPU_SECONDS = 60.0
"""Of one process; more when more time was asked for: it may use some cores."""
ENV = {
    "PYTHONDONTWRITEBYTECODE": "1",  # no `__pycache__` in the user's folder
    "PYTHONUNBUFFERED": "1",  # what was printed before a kill is not lost
    "PYTHONUSERBASE": f"{HOME}/.python",  # where pip installs to; a change of the folder
    "PIP_BREAK_SYSTEM_PACKAGES": "1",  # those can't be written to
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_NO_CACHE_DIR": "1",
    "PIP_NO_INPUT": "1",
    "PIP_NO_WARN_SCRIPT_LOCATION": "1",
    "PIP_PROGRESS_BAR": "off",
    "PIP_ROOT_USER_ACTION": "ignore",
}
CLOSED = {"PIP_RETRIES": "0"}
"""Without a way out: no second try."""
NO_WAY = "this process has no way out to the network: its user can start one with --net HOST"


@dataclass(frozen=True, slots=True)
class Request:
    """The arguments of `run`, checked."""

    python: str
    argv: tuple[str, ...]
    stdin: bytes
    seconds: float
    fresh: bool = False

    @property
    def cell(self) -> bool:
        """Whether it goes into the process's own interpreter, which remembers."""
        return bool(self.python) and not self.fresh and not self.stdin

    @classmethod
    def of(cls, args: Mapping[str, Json]) -> "Request":
        """Raises: Invalid."""
        python, argv = str(args.get("python") or ""), tuple(args.get("argv") or ())
        if bool(python.strip()) == bool(argv):
            raise Invalid("run needs either `python` or `argv`", "give one of them")
        seconds = float(args.get("timeout", 30.0))
        if not 0 < seconds <= MAX_SECONDS:
            raise Invalid(f"timeout must be above 0 and at most {MAX_SECONDS:g} seconds")
        stdin = str(args.get("stdin") or "").encode("utf-8", "replace")
        return cls(python, argv, stdin, seconds, bool(args.get("fresh")))


@dataclass(frozen=True, slots=True)
class Ran:
    """How a program ended, and what it had of the network; a cell, and which it was."""

    result: JobResult
    flows: Sequence[Flow] = ()
    cell: CellResult | None = None
    number: int = 0
    note: str = ""


@dataclass(frozen=True, slots=True)
class Means:
    """What runs programs on this machine.

    `python` tells how the interpreter is called in the sandbox, once that has been probed; `cells`
    are interpreters that remember: without them each run is a program of its own. `packages` are
    folders of the host whose modules can be imported.
    """

    sandbox: Sandbox
    python: Callable[[], Sequence[str]] = lambda: ("python3",)
    cells: Cells | None = None
    packages: Sequence[str] = ()


Way = Callable[[Callable[[Flow], None]], Egress]
"""Makes the way out of one run; its argument is told each flow."""


class RunDevice:
    """The `run` of processes whose /work is a folder of the host, each over its own changes.

    What a program changes in the folder becomes a layer; the rest that it can write is gone with
    it, and it has no network. So a run can be done again, until its layer is there: then its
    outcome is, too.
    """

    def __init__(
        self,
        means: Means,
        space: Workspace,
        store: Store,
        right: Right = "rw",
        *,
        review: bool = False,
        way: Way | None = None,
        needs: Sequence[str] = (),
    ) -> None:
        """Make it.

        Args:
            means: what runs programs.
            space: the folder.
            store: where output is kept.
            right: on the folder.
            review: all changes wait for the person.
            way: the way out, if there is one.
            needs: what the sandbox must hold, else nothing runs.
        """
        self._means = means
        self._space = space
        self._store = store
        self._right = right
        self._review = review
        self._way = way
        self._needs = needs

    async def perform(self, who: Caller, args: Mapping[str, Json]) -> Outcome:
        """Run to the end. A program that fails or runs out of time is an outcome, not an error.

        Raises: Invalid, NotFound (the folder is gone); what the sandbox raises.
        """
        request = Request.of(args)
        report = await self._means.sandbox.probe()
        space, root = self._space, str(self._space.base.path)
        if space.base.hidden:  # an overlay can't hide it: its layers are kept there
            why = f"the machine's own folder lies in {show(root)}: no program may see it"
            raise AccessDenied(why, "work in a folder below, or set OROS_HOME to one elsewhere")
        with explained(root, root=True):
            async with space.lock:
                stack = await threaded(lambda: space.stack(who.pid))
                if (made := stack.find(who.key)) is not None and made.outcome:
                    return await self._again(who, made)
                demand(report, self._needs)
                trees, view = await threaded(lambda: (stack.trees(), stack.view()))
            label = who.label | space.labels.within() | space.scoped(who.pid).within()
            overlay = Overlay(HOME, str(space.base.live), tuple(trees), right=self._right)
            ran = await self._ran(who, request, overlay)
            heard = frozenset(f"web:{f.host}" for f in ran.flows if f.down)
            label = label | Label(origins=heard) if heard else label
            return await self._taken(who, request, ran, view, label)

    async def _ran(self, who: Caller, request: Request, overlay: Overlay) -> Ran:
        """Run it: Python in the interpreter that the process has, if there is one to be had."""
        job, flows, note = self._job(who, request, overlay), list[Flow](), ""
        if self._way is not None:
            job = replace(job, egress=self._way(flows.append))
        if self._means.cells is not None and request.cell:
            key = who.pid, str(self._space.base.path)
            own = replace(job, cpu=CELL_CPU_SECONDS, overlay=overlay, binds=(), env=self._env())
            try:
                done = await self._means.cells.run(key, own, request.python, overlay)
            except (NotEnforced, DeviceFailed) as e:
                note = f"run as a program of its own, which remembers nothing: {e.why}"
            else:
                return Ran(done.result, flows, done.cell, done.number, done.note)
        return Ran(await self._means.sandbox.run(job), flows, note=note)

    async def reconcile(self, who: Caller, args: Mapping[str, Json]) -> Outcome | None:  # noqa: ARG002 - the port's
        """EAGAIN: it can be done again; None for a run of old, which wrote into the folder."""
        if self._store.get_setting(f"run:{who.key}") is not None:
            return None
        return Outcome(error=Failure.of(Busy("the run left no trace", "it can be done again")))

    def _env(self) -> dict[str, str]:
        return ENV if self._way is not None else ENV | CLOSED

    def _job(self, who: Caller, request: Request, overlay: Overlay) -> Job:
        argv, stdin = request.argv, request.stdin
        if request.python:
            source = request.python.encode("utf-8", "replace")
            argv, stdin = (*self._means.python(), "-c", CODE, str(len(source))), source + stdin
        limit = who.limits.seconds
        seconds = request.seconds if limit is None else max(0.1, min(request.seconds, limit))
        cpu = max(CPU_SECONDS, 4 * seconds)
        own = {f"{PACKAGES}/{n}": path for n, path in enumerate(self._means.packages)}
        binds = [Bind(host, path, "r") for path, host in own.items()]
        env = self._env() | ({"PYTHONPATH": ":".join(own)} if own else {})
        return Job(argv, tuple(binds), HOME, stdin, env, seconds=seconds, cpu=cpu, overlay=overlay)

    async def _taken(
        self, who: Caller, request: Request, ran: Ran, view: Root, label: Label
    ) -> Outcome:
        """Make a layer of what was changed; what is shown of the run is kept with it."""
        result = ran.result
        if result.upper is None:
            return self._outcome(request, ran, [], label)
        upper = Root.held(result.upper, self._space.base.path)
        if self._right == "r":
            return self._outcome(request, ran, [], label)
        shown: list[Outcome] = []

        def fill(place: Path) -> list[str]:
            left = capture(upper, place, owner_of(self._space.base))
            if label.readers is not None or reviewed(label):
                over, layer = self._space.scoped(who.pid), Layer(place)
                for path, entry in layer.entries.items():
                    if entry.what == "file":
                        marks.put(place / path, label)
                        over.keep(path, layer.root.lstat(path), label)
                    elif entry.what != "dir":
                        over.expect(path, label)
            return left

        def note(stack: Stack, change: Change) -> str:
            changed = changes_of(stack.layer(change), change.same, view)
            shown.append(self._outcome(request, ran, changed, label, change.left))
            return self._store.put_blob(wire.encode(shown[0]))

        taken = await self._space.take(
            who, lambda _: fill, review=self._review or reviewed(label), note=note
        )
        if not shown:
            return self._outcome(request, ran, [], label)
        return with_layer(shown[0], taken)

    async def _again(self, who: Caller, made: Change) -> Outcome:
        """The machine stopped after the layer was made: go on from there."""
        found: Outcome = wire.decode(Outcome, self._store.get_blob(BlobId(made.outcome)))
        if made.waits and not self._review and not reviewed(who.label):
            return with_layer(found, await threaded(lambda: self._space.brought(who, made)))
        return with_layer(found, Taken(made, made.pending or {}))

    def _outcome(
        self,
        request: Request,
        ran: Ran,
        changed: Sequence[Changed],
        label: Label,
        left: Sequence[str] = (),
    ) -> Outcome:
        result = ran.result
        out, err = readable(result.out), readable(result.err)
        value: dict[str, Any] = {
            "exit": result.exit,
            "signal": result.signal,
            "out": cut(out, result.cut_out),
            "err": cut(err, result.cut_err),
            "changed": [_plain(c) for c in changed[:MAX_CHANGES]],
            "seconds": round(result.seconds, 3),
            "ended": result.ended,
        }
        if len(changed) > MAX_CHANGES:
            value["changes"] = len(changed)
        if ran.flows:
            value["flows"] = [told_flow(f) for f in ran.flows[:MAX_FLOWS]]
        lost = f"not kept, as they are no files: {spelled([*left])}" if left else ""
        shut = (
            NO_WAY if self._way is None and wants_network(f"{out[-SHOWN:]}{err[-SHOWN:]}") else ""
        )
        if notes := [note for note in (ran.note, lost, shut) if note]:
            value["note"] = "; ".join(notes)
        if ran.cell is not None:
            value |= celled(ran.cell, ran.number)
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
        shown = () if ran.cell is None else parts_of(ran.cell, self._store.put_blob)
        return Outcome(value, (*parts, *shown), label=label)


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


def demand(report: Report, needs: Sequence[str]) -> None:
    """See that the sandbox holds what a process's policy names. Raises: NotEnforced."""
    missing = [name for name in needs if name not in report.held]
    if missing:
        whys = "; ".join(f"{name} ({HOLDS[name]}): {report.not_held.get(name, 'it is not tried')}"
                         for name in missing)  # fmt: skip
        raise NotEnforced(f"this process needs what is not held here: {whys}", report.fix)


def told_flow(flow: Flow) -> dict[str, Json]:
    """A connection as a model and a trace see it: where to, what came of it, how much."""
    value: dict[str, Json] = {"host": flow.host, "port": flow.port, "decision": flow.decision}
    value |= {"up": flow.up, "down": flow.down}
    more = (("why", flow.why), ("url", flow.url), ("secrets", list(flow.secrets)))
    return value | {k: v for k, v in more if v}


def with_layer(outcome: Outcome, taken: Taken) -> Outcome:
    """What a run came to, with the layer that it made."""
    return replace(outcome, value={**outcome.value, **told(taken)})


def owner_of(base: Root) -> tuple[int, int] | None:
    """To whom a layer's files are given: a machine of root gives them to the folder's owner."""
    about = os.fstat(base.fd)
    return (about.st_uid, about.st_gid) if os.geteuid() == 0 else None
