"""The way of a forked child into its sandbox: seven namespaces, a new root, no rights, a filter.

It travels as source with the zygote and imports nothing of oros; what is shown and bounded comes in
a request, so that nothing is chosen here. Two processes are needed: the first maps the folders (as
root, where the daemon is root), gives up its uid and makes the namespaces; its child is pid 1 of
the new ones, builds the root and locks itself in. A failure is told by OSError and ends the child.

A folder that is seen copy-on-write is laid from outside, and anew as often as it changes: by a
further process that enters the sandbox's outer user namespace, which it owns, and its mounts.

Needs Linux 5.12 (mount_setattr). Sources: user_namespaces(7), mount_setattr(2), pivot_root(2),
capabilities(7); the order of the steps is that of bubblewrap's main().
"""

import contextlib
import ctypes
import fcntl
import os
import resource
import socket
import struct
from typing import Any

OPEN_TREE, MOVE_MOUNT, MOUNT_SETATTR = 428, 429, 442  # the same on all architectures
PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
CLONE, RECURSIVE, EMPTY_PATH, FROM_FD = 1, 0x8000, 0x1000, 0x4
READ_ONLY, NOSUID, NODEV, NOEXEC, IDMAP = 1, 2, 4, 8, 0x100000
DETACH, SLAVE, PRIVATE = 2, 0x80000 | 0x4000, 0x40000 | 0x4000
NEW_MOUNTS, NEW_USER = 0x20000, 0x10000000
NEW_REST = 0x02000000 | 0x04000000 | 0x08000000 | 0x20000000 | 0x40000000  # cgroup uts ipc pid net
CAPBSET_DROP, SET_SECCOMP, NO_NEW_PRIVS, AMBIENT, DUMPABLE = 24, 22, 38, 47, 4
LAST_CAPABILITY = 63
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
LINKS = {"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1",
         "stderr": "/proc/self/fd/2", "core": "/proc/kcore", "ptmx": "pts/ptmx"}  # fmt: skip
COVERED = ("sys", "sysrq-trigger", "irq", "bus")  # of /proc: seen, never written
BASE = "/tmp"  # noqa: S108 - where the new root is built; any folder that is there will do
SIOCSIFFLAGS, UP = 0x8914, 0x41

Request = dict[str, Any]
Spaces = dict[tuple[int, int], int]
"""Owner (uid, gid) -> a user namespace that maps it."""
libc = ctypes.CDLL(None, use_errno=True)


def call(what: str, result: int) -> int:
    """Pass a result on. Raises: OSError that says what failed."""
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")
    return result


def mount(kind: str, at: str, flags: int, data: str = "") -> None:
    """Mount a new filesystem; its folder is made. Raises: OSError."""
    os.makedirs(at, exist_ok=True)  # noqa: PTH103 - plain os throughout, as it is sent in
    done = libc.mount(kind.encode(), at.encode(), kind.encode(), flags, data.encode())
    call(f"mount {kind} at {at}", done)


def taken(path: str) -> int:
    """A copy of what is mounted at a path and below; not attached yet."""
    tree = libc.syscall(OPEN_TREE, -100, os.fsencode(path), CLONE | RECURSIVE | os.O_CLOEXEC)
    return call(f"open_tree of {path}", tree)


def restrict(what: str, number: int, flags: int, *, below: bool = True, space: int = 0) -> None:
    """Set flags of a mount (and of all below it), or map its owners by a user namespace."""
    attributes = struct.pack("QQQQ", flags, 0, 0, space)
    how = EMPTY_PATH | (RECURSIVE if below else 0)
    size = ctypes.c_size_t(len(attributes))
    call(what, libc.syscall(MOUNT_SETATTR, number, b"", how, attributes, size))


def attach(tree: int, at: str) -> None:
    """Put a copy at a place, and let go of it. Raises: OSError."""
    call(f"move_mount to {at}", libc.syscall(MOVE_MOUNT, tree, b"", -100, os.fsencode(at), FROM_FD))
    os.close(tree)


def place(path: str, *, folder: bool) -> str:
    """Make the folder or the empty file that something is to be attached at, if it is not there."""
    if os.path.exists(path):  # noqa: PTH110 - plain os, as it is sent in
        return path
    os.makedirs(path if folder else os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120 - plain os, as it is sent in
    if not folder:
        os.close(os.open(path, os.O_CREAT | os.O_RDONLY, 0o444))
    return path


def show(path: str, at: str, flags: int) -> None:
    """Show a file or a folder, with all that is mounted below it, at another place."""
    tree = taken(path)
    restrict(f"flags of {path}", tree, flags)
    attach(tree, place(at, folder=os.path.isdir(path)))  # noqa: PTH112 - plain os, as it is sent in


# ---- the zygote, once ----------------------------------------------------------------------


def gather(packages: list[str], at: str) -> list[str]:
    """Show folders of packages below `at`, to this process and its children; where they are.

    So they have a place inside that no folder of a job can cover, and that tells nothing of where
    they are on the host.
    """
    uid, gid = os.getuid(), os.getgid()
    call("unshare mounts", libc.unshare(NEW_MOUNTS | (NEW_USER if uid else 0)))
    if uid:
        own(uid, gid, (uid, gid))
    call("slave mounts", libc.mount(None, b"/", None, SLAVE, None))
    trees = [taken(path) for path in packages]
    mount("tmpfs", at, NOSUID | NODEV, "size=1m,mode=755")
    for n, tree in enumerate(trees):
        attach(tree, place(f"{at}/{n}", folder=True))
    place(f"{at}/stage", folder=True)
    return [f"{at}/{n}" for n in range(len(packages))]


# ---- the first process: folders, uid, namespaces ---------------------------------------------


def user_namespace(who: tuple[int, int], uid: int) -> int:
    """Make a user namespace that maps one owner to `uid`; a descriptor of it."""
    made, say_made = os.pipe()
    opened, hold = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(hold)
        if libc.unshare(NEW_USER) == 0:
            os.write(say_made, b".")
            os.read(opened, 1)  # the namespace lives until the parent has opened it
        os._exit(0)
    os.close(say_made)
    if os.read(made, 1) != b".":
        raise OSError(1, "a user namespace for the idmap was refused")
    for kind, inside in zip(("uid", "gid"), who, strict=True):
        write(f"/proc/{child}/{kind}_map", f"{inside} {uid} 1")
    space = os.open(f"/proc/{child}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    for end in (made, opened, hold):
        os.close(end)
    os.waitpid(child, 0)
    return space


def owner(folder: str) -> tuple[int, int]:
    """Who owns it."""
    about = os.stat(folder)  # noqa: PTH116 - plain os, as it is sent in
    return about.st_uid, about.st_gid


def map_owners(asked: Request, spaces: Spaces) -> None:
    """Have a user namespace for each owner of the folders; the zygote keeps them. Raises: OSError.

    There is one uid that a zygote's children get.
    """
    binds, layers = asked.get("binds", ()), asked.get("layers", ())
    for folder in (*(host for host, _, _ in binds), *layers):
        if (found := owner(folder)) not in spaces:
            spaces[found] = user_namespace(found, asked["uid"])


def mapped(folder: str, spaces: Spaces) -> int:
    """A copy of a folder of any owner, seen as our uid's; not attached yet."""
    how = CLONE | os.O_CLOEXEC
    tree = libc.syscall(OPEN_TREE, -100, os.fsencode(folder), how)
    call(f"open_tree of {folder}", tree)
    space = spaces[owner(folder)]
    restrict(f"idmap of {folder}", tree, NOSUID | NODEV | IDMAP, below=False, space=space)
    return int(tree)


def stage(folders: list[str], at: str, spaces: Spaces) -> list[str]:
    """Show folders of any owner as our uid's, in a mount namespace of our own; where they are."""
    call("unshare mounts", libc.unshare(NEW_MOUNTS))
    call("private mounts", libc.mount(None, b"/", None, PRIVATE, None))
    trees = [mapped(folder, spaces) for folder in folders]
    mount("tmpfs", at, NOSUID | NODEV, "size=1m,mode=755")
    for n, tree in enumerate(trees):
        attach(tree, place(f"{at}/{n}", folder=True))
    return [f"{at}/{n}" for n in range(len(folders))]


def leave(asked: Request, spaces: Spaces) -> None:
    """Give up what the daemon is: its folders, its uid, its namespaces. Raises: OSError.

    What the request names as folders of the host is, for a root daemon, replaced by its stage.
    """
    write("/proc/self/oom_score_adj", "800")
    if asked["uid"] is not None:
        seen = stage([host for host, _, _ in asked["binds"]], asked["stage"], spaces)
        named = zip(seen, asked["binds"], strict=True)
        asked["binds"] = [[host, path, right] for host, (_, path, right) in named]
    uid, gid = drop(asked["uid"])
    call("unshare", libc.unshare(NEW_USER | NEW_MOUNTS | NEW_REST))
    own(uid, gid, (asked["inside"], asked["inside"]))


def drop(uid: int | None) -> tuple[int, int]:
    """Be `uid`, where the daemon is root; who one is then. Raises: OSError."""
    if uid is not None:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        call("dumpable", libc.prctl(DUMPABLE, 1, 0, 0, 0))
    if os.getuid() == 0:
        raise PermissionError(1, "a sandbox of host uid 0 holds nothing")
    return os.getuid(), os.getgid()


def own(uid: int, gid: int, inside: tuple[int, int]) -> None:
    """Be `inside` in the user namespace just made."""
    with contextlib.suppress(PermissionError):  # a nested one inherits it
        write("/proc/self/setgroups", "deny")
    write("/proc/self/uid_map", f"{inside[0]} {uid} 1")
    write("/proc/self/gid_map", f"{inside[1]} {gid} 1")


# ---- pid 1: the new root -------------------------------------------------------------------


def build(asked: Request) -> None:
    """Make the new root and go into it."""
    call("slave mounts", libc.mount(None, b"/", None, SLAVE, None))
    read_only = READ_ONLY | NOSUID
    # Copies first: what lies below BASE on the host is out of reach once it is covered.
    binds = [(taken(h), os.path.isdir(h), p, r) for h, p, r in asked["binds"]]  # noqa: PTH112 - plain os, as it is sent in
    mount("tmpfs", BASE, NOSUID | NODEV, "size=4m,nr_inodes=2000,mode=755")
    for path in asked["system"]:
        show(path, BASE + path, read_only | NODEV)
    for path, target in asked["links"].items():
        os.symlink(target, BASE + path)  # noqa: PTH211 - plain os, as it is sent in
    devices()
    processes(asked["masked"])
    for path, size in asked["memory"].items():
        mount("tmpfs", BASE + path, NOSUID | NODEV, f"size={size},mode=1777")
    for path, text in asked["files"].items():
        write(place(BASE + path, folder=False), text)
    for tree, folder, path, right in binds:
        restrict(f"flags of {path}", tree, NOSUID | NODEV | (READ_ONLY if right == "r" else 0))
        attach(tree, place(BASE + path, folder=folder))
    for path in asked["places"]:
        place(BASE + path, folder=True)
    call("dumpable", libc.prctl(DUMPABLE, 1, 0, 0, 0))
    os.chdir(BASE)
    number = PIVOT_ROOT[os.uname().machine]
    call("pivot_root", libc.syscall(number, b".", b"."))
    call("umount of the old root", libc.umount2(b".", DETACH))
    for path in ("/dev", "/"):
        top = os.open(path, os.O_PATH | os.O_CLOEXEC)
        restrict(f"seal of {path}", top, READ_ONLY | NOSUID, below=False)
        os.close(top)
    os.chdir(asked["cwd"])


def devices() -> None:
    """/dev: what every program needs, and nothing that is a device of the machine."""
    dev = BASE + "/dev"
    mount("tmpfs", dev, NOSUID | NOEXEC, "size=64k,mode=755")
    for name in DEVICES:
        show(f"/dev/{name}", f"{dev}/{name}", NOSUID | NOEXEC)
    mount("devpts", f"{dev}/pts", NOSUID | NOEXEC, "newinstance,ptmxmode=0666,mode=620")
    for name, target in LINKS.items():
        os.symlink(target, f"{dev}/{name}")  # noqa: PTH211 - plain os, as it is sent in


def processes(masked: list[str]) -> None:
    """/proc of the new namespace; its switches can't be moved and its secrets are empty."""
    proc = BASE + "/proc"
    mount("proc", proc, NOSUID | NODEV | NOEXEC)
    write(f"{proc}/sys/user/max_user_namespaces", "1")  # the one that is made next
    for name in COVERED:
        if os.path.exists(f"{proc}/{name}"):  # noqa: PTH110 - plain os, as it is sent in
            show(f"{proc}/{name}", f"{proc}/{name}", READ_ONLY | NOSUID | NODEV | NOEXEC)
    for path in masked:
        if os.path.exists(BASE + path):  # noqa: PTH110 - plain os, as it is sent in
            show("/dev/null", BASE + path, READ_ONLY | NOSUID | NOEXEC)


# ---- from outside: a folder copy-on-write ----------------------------------------------------


def lay(asked: Request, spaces: Spaces, user: int, mounts: int) -> int:
    """Lay an empty folder in memory over the layers where the sandbox sees it, not the last one.

    `user`, `mounts`: the sandbox's outer user namespace and its mounts. A descriptor of the upper
    folder, which keeps its memory alive. Raises: OSError; then nothing may be seen there.
    """
    over, at = asked["overlay"], asked["overlay"]["path"]
    if asked["uid"] is None:
        trees = [taken(path) for path in asked["layers"]]
    else:
        trees = [mapped(path, spaces) for path in asked["layers"]]
    base = os.stat(asked["layers"][-1])  # noqa: PTH116 - plain os, as it is sent in
    drop(asked["uid"])
    call("setns to the users", libc.setns(user, NEW_USER))
    call("setns to the mounts", libc.setns(mounts, NEW_MOUNTS))
    while os.stat(at).st_dev != os.stat("/").st_dev:  # noqa: PTH116 - plain os, as it is sent in
        call(f"umount of {at}", libc.umount2(os.fsencode(at), DETACH))
    mount("tmpfs", at, NOSUID | NODEV, f"size={over['size']},nr_inodes={over['inodes']},mode=755")
    for name in ("up", "wk", "l", "seen"):
        os.mkdir(f"{at}/{name}", 0o755)  # noqa: PTH102 - plain os, as it is sent in
    os.chmod(f"{at}/up", base.st_mode & 0o1777)  # noqa: PTH101 - plain os, as it is sent in
    os.utime(f"{at}/up", ns=(base.st_atime_ns, base.st_mtime_ns))
    mount("tmpfs", f"{at}/l", NOSUID | NODEV, "size=1m,mode=755")
    for n, tree in enumerate(trees):
        attach(tree, place(f"{at}/l/{n}", folder=True))
    os.chdir(f"{at}/l")
    lower = ":".join(str(n) for n in range(len(trees)))
    data = f"lowerdir={lower},upperdir=../up,workdir=../wk,userxattr,index=off"
    mount("overlay", f"{at}/seen", NOSUID | NODEV, data)
    upper = os.open(f"{at}/up", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    seen = taken(f"{at}/seen")
    if over["right"] == "r":
        restrict(f"flags of {at}", seen, NOSUID | NODEV | READ_ONLY)
    os.chdir("/")
    call("umount of the layers", libc.umount2(os.fsencode(at), DETACH))
    attach(seen, at)
    return upper


# ---- pid 1: the lock -------------------------------------------------------------------------


def lock(asked: Request, program: bytes) -> None:
    """Give up all rights for good, last of all; the filter is in the kernel's form."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        fcntl.ioctl(s, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", UP))
    socket.sethostname("sandbox")
    # A second user namespace: the mounts belong to the first, where nobody is left.
    call("unshare", libc.unshare(NEW_USER))
    own(asked["inside"], asked["inside"], (asked["inside"], asked["inside"]))
    for kind, value in asked["limits"]:
        ceiling = resource.getrlimit(kind)[1]
        held = value if ceiling == resource.RLIM_INFINITY else min(value, ceiling)
        resource.setrlimit(kind, (held, held))
    for n in range(LAST_CAPABILITY + 1):
        libc.prctl(CAPBSET_DROP, n, 0, 0, 0)  # those that this kernel does not know are refused
    call("ambient", libc.prctl(AMBIENT, 4, 0, 0, 0))
    call("capset", libc.capset(struct.pack("Ii", 0x20080522, 0), bytes(24)))
    call("no_new_privs", libc.prctl(NO_NEW_PRIVS, 1, 0, 0, 0))
    buffer = ctypes.create_string_buffer(program, len(program))
    where = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
    call("seccomp", libc.prctl(SET_SECCOMP, 2, where, 0, 0))


def write(path: str, text: str) -> None:
    """Write in one call: a buffered file would hide a refusal."""
    number = os.open(path, os.O_WRONLY | os.O_TRUNC)
    try:
        os.write(number, text.encode())
    finally:
        os.close(number)
