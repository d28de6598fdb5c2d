"""The step of a root daemon before bubblewrap: map the folders, give up root, exec.

A program of its own, since it changes its mount namespace and its user; it imports nothing of oros
(and little else: it starts with every job) and ends by becoming bubblewrap:

    python -ISB stage.py UID STAGE LIMITS PROGRAM COUNT FOLDER... ARGV...

A folder that only root may enter can't be reached by an unprivileged uid, and a sandbox of host
uid 0 is none (it reads /etc/shadow as its owner). So each folder is cloned, *idmapped* (its owner
is seen as UID, and what UID writes is stored as the owner's) and attached as STAGE/0, STAGE/1, ...
in a private tmpfs, before the uid is dropped. Needs Linux 5.12 and a filesystem that can idmap.
Source: mount_setattr(2), section "ID-mapped mounts".
"""

import ctypes
import os
import resource
import struct
import sys

OPEN_TREE, MOVE_MOUNT, MOUNT_SETATTR = 428, 429, 442  # the same on all architectures
CLONE, EMPTY_PATH, FROM_FD = 1, 0x1000, 0x4
NOSUID, NODEV, IDMAP = 2, 4, 0x100000
NEW_MOUNTS, NEW_USER = 0x20000, 0x10000000
RECURSIVE_PRIVATE = 0x4000 | 0x40000

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


def bound(limits: str) -> None:
    """Set resource limits, given as `KIND=VALUE,...`; none is ever raised."""
    for kind, value in (map(int, item.split("=")) for item in limits.split(",") if item):
        ceiling = resource.getrlimit(kind)[1]
        held = value if ceiling == resource.RLIM_INFINITY else min(value, ceiling)
        resource.setrlimit(kind, (held, held))


def main(words: list[str]) -> None:
    """Prepare and become PROGRAM, with no environment; a failure ends with a line on stderr."""
    uid, stage, limits, program, count = int(words[0]), words[1], words[2], words[3], int(words[4])
    try:
        attach(words[5 : 5 + count], os.fsencode(stage), uid)
        bound(limits)
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        os.chdir("/")
        os.execve(program, words[5 + count :], {})  # noqa: S606 - it becomes bubblewrap
    except OSError as e:
        sys.exit(f"stage: {e.strerror or e}")


if __name__ == "__main__":
    main(sys.argv[1:])
