"""A process's own view of the machine: what is not mounted can't be named (Plan 9).

Pure: paths in, mount points out. Paths are absolute; one without a slash is under /work.
"""

import posixpath
from dataclasses import replace

from oros.abi.errors import AccessDenied, Invalid, NotFound
from oros.abi.grants import HOLDS, MountPoint
from oros.abi.message import Json

Mounts = tuple[MountPoint, ...]

HOME, WEB = "/work", "/web"
SYSTEM = (
    MountPoint("/proc", "proc:", "r"),
    MountPoint("/mem", "mem:", "rw"),
    MountPoint("/home", "home:", "rw"),
    MountPoint("/apps", "apps:", "r"),
)
"""What every process sees besides its folder."""
REVIEW = {"work": "review", "home": "home-review"}
"""Schemes of sources, and of the same ones for processes whose changes wait."""


def clean(path: str) -> str:
    """The path in its one form. Raises: Invalid, AccessDenied for a way out by `..`."""
    if "\0" in path or len(path) > 4096:
        raise Invalid("a path holds no NUL and at most 4096 characters")
    whole = path if path.startswith("/") else f"{HOME}/{path}"
    parts = [p for p in whole.split("/") if p not in ("", ".")]
    if ".." in parts:
        raise AccessDenied(f"{path}: a path can't go up with ..", "name it from /")
    return "/" + "/".join(parts)


def resolve(mounts: Mounts, path: str) -> tuple[MountPoint, str]:
    """The mount that holds a path, and the rest of the path in it. Raises: NotFound, as clean."""
    whole = clean(path)
    best: MountPoint | None = None
    for point in mounts:
        inside = whole == point.path or whole.startswith(point.path.rstrip("/") + "/")
        if inside and (best is None or len(point.path) >= len(best.path)):
            best = point
    if best is None:
        there = " ".join(sorted({p.path for p in mounts})) or "nothing"
        raise NotFound(f"{path}: nothing is mounted there", f"mounted: {there}")
    return best, whole[len(best.path) :].strip("/")


def join(point: MountPoint, rest: str) -> str:
    """The path of something in a mount, as the process names it."""
    return f"{point.path.rstrip('/')}/{rest}" if rest else point.path


def absolute(point: MountPoint, value: Json) -> Json:
    """A value of a mount's server with its relative paths as the process names them."""
    if isinstance(value, list):
        return [absolute(point, v) for v in value]
    if not isinstance(value, dict):
        return value
    found = dict(value)
    if list in map(type, found.values()):
        found |= {k: absolute(point, v) for k, v in value.items() if type(v) is list}
    if isinstance(found.get("path"), str):
        found["path"] = join(point, found["path"])
    return found


def narrow(mounts: Mounts, source: str, path: str, right: str) -> MountPoint:
    """A mount of this namespace shown at another path, with its rights or fewer."""
    point, rest = resolve(mounts, source)
    if right == "rw" and point.right == "r":
        raise AccessDenied(f"{source} is mounted to read", "mount it with right r")
    inner = posixpath.join(point.source, rest) if rest else point.source
    return MountPoint(clean(path), inner, "rw" if right == "rw" else "r", point.needs)


def reviewed(mounts: Mounts) -> Mounts:
    """The folders of a namespace, as those whose changes wait."""
    cut = [(p, p.source.partition(":")) for p in mounts]
    return tuple(replace(p, source=f"{REVIEW[s]}:{r}") for p, (s, _, r) in cut if s in REVIEW)


def over(mounts: Mounts, others: Mounts) -> Mounts:
    """Mounts, with others in the place of those of the same path."""
    paths = {p.path for p in others}
    return (*(p for p in mounts if p.path not in paths), *others)


def readable(mounts: Mounts) -> Mounts:
    """Mounts as a reader has them: none to write, and no way out."""
    return tuple(replace(p, right="r") for p in mounts if p.path != WEB)


def needing(mounts: Mounts, parents: Mounts, needs: tuple[str, ...]) -> Mounts:
    """Mounts over which a sandbox must hold these properties, and what a parent's need. Invalid."""
    if unknown := {*needs} - HOLDS.keys():
        raise Invalid(f"no property of a sandbox: {' '.join(sorted(unknown))}", " ".join(HOLDS))
    both = tuple(sorted({*needs, *(n for p in parents for n in p.needs)}))
    return tuple(replace(p, needs=both) if p.path == HOME else p for p in mounts)
