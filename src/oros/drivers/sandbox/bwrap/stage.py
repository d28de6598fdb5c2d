"""The step before bubblewrap: map the folders and give up root, lay folders over each other, exec.

A program of its own, since it changes its mount namespace and its user; it imports nothing of oros
(and little else: it starts with every job) and ends by becoming bubblewrap:

    python -ISB stage.py UID STAGE LIMITS OVERLAY PROGRAM COUNT FOLDER... ARGV...

UID is that of a root daemon's programs, "" for an ordinary user, who needs this step for an overlay
only. OVERLAY is "" or `SOCKET,LAYERS,BYTES,INODES`: the first LAYERS folders are laid over each
other, topmost first, under an empty one in memory that takes what is changed; it is seen at
STAGE/over/seen, and a descriptor of what was changed goes out through SOCKET.

All folders are attached as STAGE/0, STAGE/1, ... in a private tmpfs: so they may lie under STAGE,
and an overlay names them by number (a path may hold what a mount option can't, and all options
have one page). An ordinary user's are shown with what is mounted below them.

A folder that only root may enter can't be reached by an unprivileged uid, and a sandbox of host
uid 0 is none (it reads /etc/shadow as its owner). So each folder is cloned, *idmapped* (its owner
is seen as UID, and what UID writes is stored as the owner's) before it is attached, and the uid is
dropped. Needs Linux 5.12 and a filesystem that can idmap.
Sources: mount_setattr(2), section "ID-mapped mounts"; the kernel's overlayfs.rst, "userxattr".
"""

import _socket
import ctypes
import os
import resource
import struct
import sys

OPEN_TREE, MOVE_MOUNT, MOUNT_SETATTR = 428, 429, 442  # the same on all architectures
CLONE, EMPTY_PATH, RECURSIVE, FROM_FD = 1, 0x1000, 0x8000, 0x4
NOSUID, NODEV, IDMAP = 2, 4, 0x100000
NEW_MOUNTS, NEW_USER = 0x20000, 0x10000000
SET_DUMPABLE = 4
RECURSIVE_PRIVATE = 0x4000 | 0x40000
EINVAL = 22
OWN_INODES = 8  # of the tmpfs and the overlay themselves

libc = ctypes.CDLL(None, use_errno=True)
spaces: dict[tuple[int, int], int] = {}  # a user namespace for each owner of folders


def call(what: str, result: int) -> int:
    """Pass a result on. Raises: OSError that says what failed."""
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")
    return result


def user_namespace(owner: tuple[int, int], uid: int) -> int:
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
    for kind, inside in zip(("uid", "gid"), owner, strict=True):
        lines = os.open(f"/proc/{child}/{kind}_map", os.O_WRONLY)
        os.write(lines, f"{inside} {uid} 1".encode())
        os.close(lines)
    space = os.open(f"/proc/{child}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    for end in (made, opened, hold):
        os.close(end)
    os.waitpid(child, 0)
    return space


def mapped(folder: str, uid: int) -> int:
    """Clone the mount of a folder and idmap the clone; a descriptor of it.

    What is mounted below the folder is not shown.
    """
    place = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    about = os.fstat(place)
    tree = libc.syscall(OPEN_TREE, place, b"", CLONE | EMPTY_PATH | os.O_CLOEXEC)
    call(f"open_tree of {folder}", tree)
    owner = about.st_uid, about.st_gid
    if owner not in spaces:
        spaces[owner] = user_namespace(owner, uid)
    attributes = struct.pack("QQQQ", NOSUID | NODEV | IDMAP, 0, 0, spaces[owner])
    size = ctypes.c_size_t(len(attributes))
    done = libc.syscall(MOUNT_SETATTR, tree, b"", EMPTY_PATH, attributes, size)
    call(f"idmap of {folder}", done)
    os.close(place)
    return int(tree)


def plain(folder: str) -> int:
    """Clone the mount of a folder, with what is mounted below it; a descriptor of it."""
    place = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    how = CLONE | RECURSIVE | EMPTY_PATH | os.O_CLOEXEC  # a user may not look under a mount
    tree = libc.syscall(OPEN_TREE, place, b"", how)
    call(f"open_tree of {folder}", tree)
    os.close(place)
    return int(tree)


def attach(trees: list[int], stage: bytes) -> None:
    """Show the trees below `stage`."""
    call("stage", libc.mount(b"tmpfs", stage, b"tmpfs", NOSUID | NODEV, b"size=64k,mode=755"))
    for at, tree in enumerate(trees):
        place = stage + b"/%d" % at
        os.mkdir(place, 0o755)  # noqa: PTH102 - pathlib takes 3 ms to import
        moved = libc.syscall(MOVE_MOUNT, tree, b"", -100, place, FROM_FD)
        call("move_mount", moved)
        os.close(tree)
    os.mkdir(stage + b"/over", 0o755)  # noqa: PTH102 - pathlib takes 3 ms to import


def own_users() -> None:
    """Enter a user namespace, as who one is, and a mount namespace that belongs to it."""
    uid, gid = os.getuid(), os.getgid()
    call("dumpable", libc.prctl(SET_DUMPABLE, 1, 0, 0, 0))  # else its own map can't be written
    call("unshare user and mounts", libc.unshare(NEW_USER | NEW_MOUNTS))
    same = (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1"))
    for name, line in same:
        lines = os.open(f"/proc/self/{name}", os.O_WRONLY)
        os.write(lines, line.encode())
        os.close(lines)
    own_mounts()


def own_mounts() -> None:
    """Keep what is mounted from now on in this mount namespace."""
    call("private mounts", libc.mount(None, b"/", None, RECURSIVE_PRIVATE, None))


def lay(layers: int, stage: bytes, size: int, inodes: int) -> int:
    """Show the first attached folders over each other; the upper folder, open.

    Its descriptor keeps the memory alive.
    """
    os.chdir(stage)
    bounds = b"size=%d,nr_inodes=%d,mode=755" % (size, inodes + OWN_INODES)
    call("memory", libc.mount(b"tmpfs", b"over", b"tmpfs", NOSUID | NODEV, bounds))
    for folder in ("over/upper", "over/work", "over/seen"):
        os.mkdir(folder, 0o755)  # noqa: PTH102 - pathlib takes 3 ms to import
    base = os.stat(str(layers - 1))  # noqa: PTH116 - pathlib takes 3 ms to import
    os.chmod("over/upper", base.st_mode & 0o1777)  # noqa: PTH101 - pathlib takes 3 ms to import
    os.utime("over/upper", ns=(base.st_atime_ns, base.st_mtime_ns))
    lower = b":".join(b"%d" % at for at in range(layers))
    options = b"lowerdir=%s,upperdir=over/upper,workdir=over/work,userxattr,index=off" % lower
    done = libc.mount(b"overlay", b"over/seen", b"overlay", NOSUID | NODEV, options)
    if done < 0 and ctypes.get_errno() == EINVAL:
        why = "overlay: its folders hold a mount, or lie on what can't be under an overlay"
        raise OSError(EINVAL, why)
    call("overlay", done)
    return os.open("over/upper", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def hand_over(number: int, through: int) -> None:
    """Send a descriptor through a socket, and let go of both."""
    link = _socket.socket(fileno=through)  # the module without the import of 8 ms
    link.sendmsg([b"u"], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, struct.pack("i", number))])
    link.close()
    os.close(number)


def bound(limits: str) -> None:
    """Set resource limits, given as `KIND=VALUE,...`; none is ever raised."""
    for kind, value in (map(int, item.split("=")) for item in limits.split(",") if item):
        ceiling = resource.getrlimit(kind)[1]
        held = value if ceiling == resource.RLIM_INFINITY else min(value, ceiling)
        resource.setrlimit(kind, (held, held))


def main(words: list[str]) -> None:
    """Prepare and become PROGRAM, with no environment; a failure ends with a line on stderr."""
    uid, place, limits, overlay, program, count = *words[:5], int(words[5])
    folders, argv, stage = words[6 : 6 + count], words[6 + count :], os.fsencode(place)
    try:
        if uid:
            call("unshare mounts", libc.unshare(NEW_MOUNTS))
            own_mounts()
            attach([mapped(folder, int(uid)) for folder in folders], stage)
            bound(limits)
            os.setgroups([])
            os.setresgid(int(uid), int(uid), int(uid))
            os.setresuid(int(uid), int(uid), int(uid))
        if overlay:
            own_users()
        if not uid:
            attach([plain(folder) for folder in folders], stage)
        if overlay:
            through, layers, size, inodes = map(int, overlay.split(","))
            hand_over(lay(layers, stage, size, inodes), through)
        os.chdir("/")
        os.execve(program, argv, {})  # noqa: S606 - it becomes bubblewrap
    except OSError as e:
        sys.exit(f"stage: {e.strerror or e}")


if __name__ == "__main__":
    main(sys.argv[1:])
