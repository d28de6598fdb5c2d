"""What confines a program, as one sandbox has found it to hold and another one uses it.

Drivers know no other, so this is handed over: the same filter, the same whitelist, the same bounds.
"""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from oros.abi.jobs import Bind, Job, Overlay


class Group(Protocol):
    """The control group of one sandbox."""

    def join(self, pid: int) -> None:
        """Put a process, and all that it will start, into it."""


class Groups(Protocol):
    """Where control groups can be made."""

    def cell(self, memory: int, processes: int) -> contextlib.AbstractContextManager[Group]:
        """Make one with limits; it goes when it is empty again."""


@dataclass(frozen=True, slots=True)
class Walls:
    """All that the two sandboxes share.

    Args:
        filter: the call filter, in the kernel's form.
        python: the interpreter's path, `binds` the folders that it needs to be seen.
        check: refuses a job that can't be shown.
        bounds: the limits of each process of a job, kind -> value; `grouped`: a group holds the
            sum of memory and processes.
        inside: the uid inside.
        uid: what a root daemon drops to.
        stage: a folder of the host that can be covered; packages are seen there.
        system, roots, settings: paths of the host that are shown where they are.
        masked: files of /proc that are shown empty.
        files: path inside -> text.
        environment: the variables of a job.
        home, shm: sizes are those of the job, and bytes.
    """

    filter: bytes
    python: str
    binds: tuple[Bind, ...]
    check: Callable[[Job], None]
    bounds: Callable[[Job, bool], Mapping[int, int]]
    inside: int
    uid: int | None
    stage: str
    system: Sequence[str]
    roots: Sequence[str]
    settings: Sequence[str]
    masked: Sequence[str]
    files: Mapping[str, str]
    environment: Callable[[Job], Mapping[str, str]]
    home: str
    shm: int
    groups: Groups | None = None
    own: int = 2
    """Processes inside that are ours."""

    def request(self, job: Job, packages: Sequence[Bind]) -> dict[str, Any]:
        """What a child is told, in full."""
        roots = [Path(r) for r in self.roots]
        plain = [p for p in (*self.system, *self.settings) if Path(p).exists()]
        plain += [str(r) for r in roots if r.exists() and not r.is_symlink()]
        shown = (*self.binds, *packages, *job.binds)
        way = job.egress
        bounds = self.bounds(job, self.groups is not None)
        return {
            "uid": self.uid,
            "stage": f"{self.stage}/stage",
            "inside": self.inside,
            "system": plain,
            "links": {str(r): str(r.readlink()) for r in roots if r.is_symlink()},
            "masked": list(self.masked),
            "memory": {self.home: max(job.tmp_size, 4096), "/dev/shm": self.shm},  # noqa: S108 - inside
            "files": {**self.files, **(way.files if way is not None else {})},
            "binds": [[b.host, b.path, b.right] for b in shown],
            "places": [] if job.overlay is None else [job.overlay.path],
            "cwd": job.cwd,
            "limits": [[kind, value] for kind, value in bounds.items()],
            "environment": dict(self.environment(job)),
        }

    def laying(self, over: Overlay) -> dict[str, Any]:
        """What is told to lay a folder copy-on-write."""
        return {
            "uid": self.uid,
            "layers": [*over.lowers, over.base],
            "overlay": {n: getattr(over, n) for n in ("path", "size", "inodes", "right")},
        }
