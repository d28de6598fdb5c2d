"""The command line of bubblewrap for a job: a whitelist of mounts and nothing else.

Pure but for looking at how the host lays out /bin and /lib. It starts nothing and holds no
descriptor: the caller says which numbers carry the filter and the small files.
Order matters: later mounts lie over earlier ones, and / and /dev are sealed last.
"""

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from oros.abi.errors import Invalid
from oros.abi.jobs import Bind, Job, Overlay

INSIDE_UID = 1000
HOME = "/tmp"  # noqa: S108 - the sandbox's own tmpfs, gone with it
SHM_SIZE = 64 << 20
MOST_LAYERS = 500  # of the kernel (OVL_MAX_STACK), the base among them
PROGRAMS = "/usr/local/bin:/usr/bin:/bin"
ENVIRONMENT = {
    "HOME": HOME,
    "TMPDIR": HOME,
    "LANG": "C.UTF-8",
    "PYTHONDONTWRITEBYTECODE": "1",
    "OPENBLAS_NUM_THREADS": "2",
}
SYSTEM = ("/usr", "/nix/store")
ROOTS = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
SETTINGS = (
    "/etc/ld.so.cache",
    "/etc/alternatives",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/localtime",
)
MASKED = ("/proc/keys", "/proc/key-users", "/proc/kcore", "/proc/sysrq-trigger",
          "/proc/timer_list", "/proc/kallsyms", "/proc/kmsg")  # fmt: skip
RESERVED = {"", "bin", "dev", "etc", "lib", "lib32", "lib64", "nix", "proc", "sbin", "sys", "usr"}
FILES = {
    "/etc/passwd": f"user:x:{INSIDE_UID}:{INSIDE_UID}::{HOME}:/bin/sh\n",
    "/etc/group": f"user:x:{INSIDE_UID}:\n",
    "/etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
}


@dataclass(frozen=True, slots=True)
class Numbers:
    """Descriptors that bubblewrap reads or writes; `files`: path inside -> descriptor."""

    status: int
    block: int
    filter: int
    files: Mapping[str, int]


def check(job: Job) -> None:
    """Refuse a job that can't be put on a command line. Raises: Invalid, saying which part."""
    if not job.argv or not job.argv[0]:
        raise Invalid("a job needs a program", "argv[0] is its name or path")
    words = (*job.argv, job.cwd, *job.env, *job.env.values(), *(b.host + b.path for b in job.binds))
    over = () if job.overlay is None else (job.overlay.path, *layers(job.overlay))
    if any("\0" in w for w in (*words, *over)):
        raise Invalid("an argument, path or variable of the job holds a NUL byte")
    if any(not name or "=" in name for name in job.env):
        raise Invalid("a variable of the job has no name, or '=' in it")
    if min(job.seconds, job.cpu) <= 0 or min(job.memory, job.processes, job.output) <= 0:
        raise Invalid("a limit of the job is not above zero")
    for bind in job.binds:
        _check_bind(bind)
    if job.overlay is not None:
        _check_overlay(job.overlay, job.binds)


def layers(overlay: Overlay) -> tuple[str, ...]:
    """The folders of the host that lie over each other, the topmost first."""
    return (*overlay.lowers, overlay.base)


def _check_bind(bind: Bind) -> None:
    normal = posixpath.normpath(bind.path)
    if not bind.path.startswith("/") or normal != bind.path or bind.path == HOME:
        raise Invalid(f"a folder can't be shown at {bind.path}", "take a path such as /work")
    if normal.split("/")[1] in RESERVED:
        raise Invalid(f"{bind.path} belongs to the system inside", "take a path such as /work")
    if not bind.host.startswith("/") or not Path(bind.host).is_dir():
        raise Invalid(f"{bind.host} is no folder on this machine")


def _check_overlay(overlay: Overlay, binds: Sequence[Bind]) -> None:
    for folder in layers(overlay):
        _check_bind(Bind(folder, overlay.path, "rw"))
    if len(layers(overlay)) > MOST_LAYERS:
        why = f"{len(overlay.lowers)} trees over {overlay.base}: {MOST_LAYERS - 1} at most"
        raise Invalid(why, "squash some of them into one")
    if min(overlay.size, overlay.inodes) <= 0:  # zero would be no bound at all
        raise Invalid("a bound of the overlay is not above zero")
    for bind in binds:  # below the overlay a folder may be shown, but not over it
        if f"{overlay.path}/".startswith(f"{bind.path}/"):
            raise Invalid(f"{bind.path} and the overlay at {overlay.path} are in each other's way")


def environment(job: Job, python: str) -> dict[str, str]:
    """The variables of a job.

    `python` and `pip` are those of its interpreter, in whatever folder that is; the programs that
    packages bring (site.USER_BASE of Python's documentation) are found last.
    """
    way = job.egress.env if job.egress is not None else {}
    found = {**ENVIRONMENT, **way, **job.env}
    own, base = posixpath.dirname(python), found.get("PYTHONUSERBASE")
    first = "" if own in PROGRAMS.split(":") else f"{own}:"
    return {"PATH": first + PROGRAMS + (f":{base}/bin" if base else ""), **found}


def options(job: Job, binds: Sequence[Bind], numbers: Numbers, python: str) -> list[str]:
    """What bubblewrap is to do before it runs the job's program.

    Args:
        job: its `tmp_size`, `cwd`, `env` and `egress` are used.
        binds: its folders and the interpreter's, `host` as bubblewrap can reach them.
        numbers: open descriptors.
        python: the interpreter's path.
    """
    made = [*_namespaces(numbers), *_system(), "--proc", "/proc", "--dev", "/dev"]
    for place, size in ((HOME, job.tmp_size), ("/dev/shm", SHM_SIZE)):  # noqa: S108 - inside
        made += ["--size", str(max(size, 4096)), "--perms", "1777", "--tmpfs", place]
    made += [w for path in MASKED if Path(path).exists() for w in _bind("/dev/null", path)]
    for path, number in numbers.files.items():
        made += ["--perms", "0444", "--file", str(number), path]
    for bind in binds:
        made += ["--bind" if bind.right == "rw" else "--ro-bind", bind.host, bind.path]
    made += ["--chdir", job.cwd, "--remount-ro", "/dev", "--remount-ro", "/"]
    for name, value in environment(job, python).items():
        made += ["--setenv", name, value]
    return made


def _namespaces(numbers: Numbers) -> list[str]:
    return [
        *("--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-net"),
        *("--unshare-cgroup-try", "--disable-userns", "--cap-drop", "ALL"),
        *("--uid", str(INSIDE_UID), "--gid", str(INSIDE_UID), "--hostname", "sandbox"),
        *("--new-session", "--die-with-parent", "--seccomp", str(numbers.filter)),
        *("--json-status-fd", str(numbers.status), "--block-fd", str(numbers.block)),
    ]


def _bind(host: str, path: str) -> list[str]:
    return ["--ro-bind", host, path]


def _system() -> list[str]:
    made = [w for path in SYSTEM if Path(path).exists() for w in _bind(path, path)]
    for root in map(Path, ROOTS):
        if root.is_symlink():
            made += ["--symlink", str(root.readlink()), str(root)]
        elif root.exists():
            made += _bind(str(root), str(root))
    for path in SETTINGS:
        if Path(path).exists():
            made += _bind(path, path)
    return made
