"""Memory and process limits for a whole sandbox by control groups, v2 or v1.

Only a cgroup bounds the *sum* of memory: RLIMIT_AS is per process (measured: four children took
four times the limit). A place is found by making a group and setting its limits for real. On v2 the
daemon must sit alone in a group that is its own (`systemd-run --user --scope -p Delegate=yes ...`),
since a v2 group that holds processes can't hand controllers down; it then moves into a leaf.
Sources: Documentation/admin-guide/cgroup-v1/memory.rst, cgroup-v2.rst.
"""

import contextlib
import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from oros.abi.errors import NotEnforced

V1 = {"memory": ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes"), "pids": ("pids.max",)}
V2 = {"memory": ("memory.max",), "pids": ("pids.max",)}
OPTIONAL = {"memory.memsw.limit_in_bytes"}  # absent without swap accounting
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Groups:
    """Where groups can be made: folders, and the files of each kind of limit in them."""

    folders: Mapping[str, Path]
    files: Mapping[str, tuple[str, ...]]
    version: int

    @contextlib.contextmanager
    def cell(self, memory: int, processes: int) -> Iterator["Cell"]:
        """Make a group with limits in bytes and processes; it goes when it is empty again.

        Raises:
            NotEnforced: the group or a limit could not be made.
        """
        name = f"oros-{os.getpid()}-{next(_numbers)}"
        made = [f / name for f in dict.fromkeys(self.folders.values())]
        values = {"memory": memory, "pids": processes}
        try:
            try:
                for folder in made:
                    folder.mkdir()
                for kind, parent in self.folders.items():
                    for file in self.files[kind]:
                        _limit(parent / name / file, values[kind])
                if self.version == 2:
                    _write(made[0] / "memory.oom.group", "1")
                    with contextlib.suppress(FileNotFoundError):  # no swap on this kernel
                        _write(made[0] / "memory.swap.max", "0")
            except OSError as e:
                raise NotEnforced(f"a control group was refused: {e}") from e
            yield Cell(made)
        finally:
            for folder in made:
                with contextlib.suppress(OSError):  # swept by the next daemon
                    folder.rmdir()


@dataclass(frozen=True, slots=True)
class Cell:
    """The group of one sandbox."""

    folders: Sequence[Path]

    def join(self, pid: int) -> None:
        """Put a process, and all that it will start, into it.

        Raises:
            NotEnforced: it was refused. ProcessLookupError: the process is dead.
        """
        try:
            for folder in self.folders:
                _write(folder / "cgroup.procs", str(pid))
        except ProcessLookupError:
            raise
        except OSError as e:
            raise NotEnforced(f"a control group was refused: {e}") from e


def find(proc: Path = Path("/proc/self"), probe: int = 64 << 20) -> Groups | None:
    """Find where this process may make groups that bound memory and processes; None: nowhere."""
    try:
        mounts = (proc / "mountinfo").read_text().splitlines()
        mine = [line.split(":", 2) for line in (proc / "cgroup").read_text().splitlines()]
    except OSError:
        return None
    for groups in filter(None, (_version2(mounts, mine), _version1(mounts, mine))):
        try:
            with groups.cell(probe, 16):
                _sweep(groups)
                return groups
        except NotEnforced:
            continue
    return None


def _version1(mounts: Sequence[str], mine: Sequence[Sequence[str]]) -> Groups | None:
    paths = {c: path for _, names, path in mine for c in names.split(",")}
    found = {c: _folder(mounts, "cgroup", c, paths.get(c, "/")) for c in V1}
    folders = {c: f for c, f in found.items() if f is not None}
    return Groups(folders, V1, 1) if len(folders) == len(V1) else None


def _version2(mounts: Sequence[str], mine: Sequence[Sequence[str]]) -> Groups | None:
    path = next((p for number, _, p in mine if number == "0"), None)
    folder = None if path is None else _folder(mounts, "cgroup2", "", path)
    if folder is None:
        return None
    if folder.name == "daemon":  # moved there by an earlier call
        folder = folder.parent
    try:
        if not {*V2} <= {*(folder / "cgroup.controllers").read_text().split()}:
            return None
        if not {*V2} <= {*(folder / "cgroup.subtree_control").read_text().split()}:
            _hand_down(folder)
    except OSError:
        return None
    return Groups(dict.fromkeys(V2, folder), V2, 2)


def _hand_down(folder: Path) -> None:
    """Move this process out of its group into a leaf, so that the group may have children.

    Raises:
        OSError: it is not ours, or others sit in it.
    """
    inside = {int(p) for p in (folder / "cgroup.procs").read_text().split()}
    if inside - {os.getpid()}:
        raise PermissionError(f"{folder} holds other processes")
    leaf = folder / "daemon"
    leaf.mkdir(exist_ok=True)
    _write(leaf / "cgroup.procs", str(os.getpid()))
    _write(folder / "cgroup.subtree_control", "+memory +pids")


def _folder(mounts: Sequence[str], kind: str, controller: str, path: str) -> Path | None:
    """The folder of a group: `path` of the hierarchy, below where that is mounted."""
    for line in mounts:
        left, _, right = line.partition(" - ")
        fields, (found, _, options) = left.split(), right.split(" ", 2)
        if found != kind or (controller and controller not in options.split(",")):
            continue
        root, at = fields[3], Path(fields[4])
        inner = path.removeprefix(root) if root != "/" else path
        return at / inner.lstrip("/")
    return None


def _sweep(groups: Groups) -> None:
    """Remove the empty groups of daemons that were killed."""
    for folder in {*groups.folders.values()}:
        for old in folder.glob("oros-*-*"):
            if not Path("/proc", old.name.split("-")[1]).exists():
                with contextlib.suppress(OSError):
                    old.rmdir()


def _limit(file: Path, value: int) -> None:
    if file.name in OPTIONAL and not file.exists():
        return
    _write(file, str(value))
    held = int(file.read_text())
    if held > value:
        raise OSError(f"{file.name} is {held} after {value} was written")


def _write(file: Path, text: str) -> None:
    """Write in one call: a buffered file would hide a refusal when it is collected."""
    number = os.open(file, os.O_WRONLY)
    try:
        os.write(number, text.encode())
    finally:
        os.close(number)
