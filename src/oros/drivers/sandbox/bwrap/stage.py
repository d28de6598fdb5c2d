"""The step before bubblewrap: map the folders and give up root, lay folders over each other, exec.

A program of its own, since it changes its mount namespace and its user; it imports nothing of oros
(and little else: it starts with every job) and ends by becoming bubblewrap:

    python -ISB stage.py UID STAGE LIMITS OVERLAY PROGRAM COUNT FOLDER... ARGV...

UID is that of a root daemon's programs, "" for an ordinary user, who needs this step for an overlay
only. OVERLAY is "" or `SOCKET,LAYERS,BYTES,INODES`: the first LAYERS folders are laid over each
other, topmost first, under an empty one in memory that takes what is changed; it is seen at
STAGE/over/seen, and a descriptor of what was changed goes out through SOCKET.

A folder that only root may enter can't be reached by an unprivileged uid, and a sandbox of host
uid 0 is none (it reads /etc/shadow as its owner). So each folder is cloned, *idmapped* (its owner
is seen as UID, and what UID writes is stored as the owner's) and attached as STAGE/0, STAGE/1, ...
in a private tmpfs, before the uid is dropped. Needs Linux 5.12 and a filesystem that can idmap.
Sources: mount_setattr(2), section "ID-mapped mounts"; the kernel's overlayfs.rst, "userxattr".
"""

import _socket
import ctypes
import os
import resource
import struct
import sys

OPEN_TREE, MOVE_MOUNT, MOUNT_SETATTR = 428, 429, 442  # the same on all architectures
CLONE, EMPTY_PATH, FROM_FD = 1, 0x1000, 0x4
NOSUID, NODEV, IDMAP = 2, 4, 0x100000
NEW_MOUNTS, NEW_USER = 0x20000, 0x10000000
SET_DUMPABLE = 4
RECURSIVE_PRIVATE = 0x4000 | 0x40000
PAGE, E2BIG = 4096, 7

libc = ctypes.CDLL(None, use_errno=True)


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
    space = user_namespace((about.st_uid, about.st_gid), uid)
    attributes = struct.pack("QQQQ", NOSUID | NODEV | IDMAP, 0, 0, space)
    size = ctypes.c_size_t(len(attributes))
    done = libc.syscall(MOUNT_SETATTR, tree, b"", EMPTY_PATH, attributes, size)
    call(f"idmap of {folder}", done)
    os.close(place)
    os.close(space)
    return int(tree)


def attach(folders: list[str], stage: bytes, uid: int) -> None:
    """Show the folders, mapped, below `stage`, in a mount namespace of this process alone."""
    call("unshare mounts", libc.unshare(NEW_MOUNTS))
    call("private mounts", libc.mount(None, b"/", None, RECURSIVE_PRIVATE, None))
    trees = [mapped(folder, uid) for folder in folders]
    call("stage", libc.mount(b"tmpfs", stage, b"tmpfs", NOSUID | NODEV, b"size=64k,mode=755"))
    for at, tree in enumerate(trees):
        place = stage + b"/%d" % at
        os.mkdir(place, 0o755)  # noqa: PTH102 - pathlib takes 3 ms to import
        moved = libc.syscall(MOVE_MOUNT, tree, b"", -100, place, FROM_FD)
        call("move_mount", moved)
        os.close(tree)
    os.mkdir(stage + b"/over", 0o755)  # noqa: PTH102 - the same


def lay(layers: list[str], place: bytes, size: int, inodes: int) -> int:
    """Show the layers at `place`/seen, in namespaces of this process; the upper folder, open.

    Its descriptor keeps the memory alive. The layers are named by descriptors, as their paths may
    hold what a mount option can't, and may lie under `place`.
    """
    uid, gid = os.getuid(), os.getgid()
    call("dumpable", libc.prctl(SET_DUMPABLE, 1, 0, 0, 0))  # else its own map can't be written
    call("unshare user and mounts", libc.unshare(NEW_USER | NEW_MOUNTS))
    same = (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1"))
    for name, line in same:
        lines = os.open(f"/proc/self/{name}", os.O_WRONLY)
        os.write(lines, line.encode())
        os.close(lines)
    call("private mounts", libc.mount(None, b"/", None, RECURSIVE_PRIVATE, None))
    opened = [os.open(layer, os.O_PATH | os.O_DIRECTORY) for layer in layers]
    mode = os.fstat(opened[-1]).st_mode & 0o1777
    bounds = b"size=%d,nr_inodes=%d,mode=755" % (size, inodes + 8)
    call("memory", libc.mount(b"tmpfs", place, b"tmpfs", NOSUID | NODEV, bounds))
    for folder in (b"upper", b"work", b"seen"):
        os.mkdir(place + b"/" + folder, 0o755)  # noqa: PTH102 - the same
    os.chmod(place + b"/upper", mode)  # noqa: PTH101 - the same
    lower = b":".join(b"/proc/self/fd/%d" % number for number in opened)
    options = b"lowerdir=%s,upperdir=%s/upper,workdir=%s/work,userxattr" % (lower, place, place)
    if len(options) >= PAGE:
        raise OSError(E2BIG, f"{len(layers)} layers are too many for one mount")
    seen = place + b"/seen"
    call("overlay", libc.mount(b"overlay", seen, b"overlay", NOSUID | NODEV, options))
    for number in opened:
        os.close(number)
    return os.open(place + b"/upper", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


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
            attach(folders, stage, int(uid))
            bound(limits)
            os.setgroups([])
            os.setresgid(int(uid), int(uid), int(uid))
            os.setresuid(int(uid), int(uid), int(uid))
            folders = [f"{place}/{at}" for at in range(count)]
            stage += b"/over"
        if overlay:
            through, layers, size, inodes = map(int, overlay.split(","))
            hand_over(lay(folders[:layers], stage, size, inodes), through)
        os.chdir("/")
        os.execve(program, argv, {})  # noqa: S606 - it becomes bubblewrap
    except OSError as e:
        sys.exit(f"stage: {e.strerror or e}")


if __name__ == "__main__":
    main(sys.argv[1:])
