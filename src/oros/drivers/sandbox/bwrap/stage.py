"""The step before bubblewrap: map the folders and give up root, lay folders over each other, exec.

A program of its own, since it changes its mount namespace and its user; it imports nothing of oros
(and little else: it starts with every job) and ends by becoming bubblewrap:

    python -ISB stage.py UID STAGE LIMITS OVERLAY PROGRAM COUNT FOLDER... ARGV...

UID is that of a root daemon's programs, "" for an ordinary user, who needs this step for an
overlay only. OVERLAY is "" or `BACKEND,SOCKET,FILTER,LAYERS,BYTES,INODES`: the first LAYERS folders
are laid over each other, topmost first, and what is changed goes to bounded memory; they are seen
at STAGE/over/seen. What goes out through SOCKET is, by BACKEND:

    overlayfs       the upper folder
    fuse-overlayfs  the upper folder, and a pidfd of its server, which has no rights, runs behind
                    the call filter that is in the file FILTER, and dies with this process
    copy            the copy, and a file that tells what was copied (see copied.py)

A root daemon's folders are laid before root is given up, as container engines do it, so that
files of all owners can be changed; an ordinary user's in a user namespace, which knows one owner.

All folders are attached as STAGE/0, STAGE/1, ... in a private tmpfs: so they may lie under STAGE,
and an overlay names them by number (a path may hold what a mount option can't, and all options
have one page). An ordinary user's are shown with what is mounted below them.

A folder that only root may enter can't be reached by an unprivileged uid, and a sandbox of host
uid 0 is none (it reads /etc/shadow as its owner). So each folder is cloned, *idmapped* (its owner
and UID change places, all others are who they are) before it is attached, and the uid is dropped:
UID may there what the owner may. Needs Linux 5.12 and a filesystem that can idmap.
Sources: mount_setattr(2), section "ID-mapped mounts"; the kernel's overlayfs.rst, "userxattr", and
fuse.rst; fuse-overlayfs(1).
"""

import _socket
import ctypes
import os
import resource
import struct
import sys

OPEN_TREE, MOVE_MOUNT, MOUNT_SETATTR = 428, 429, 442  # the same on all architectures
CLONE, EMPTY_PATH, RECURSIVE, FROM_FD = 1, 0x1000, 0x8000, 0x4
NOSUID, NODEV, REMOUNT, IDMAP = 2, 4, 32, 0x100000
NEW_MOUNTS, NEW_USER = 0x20000, 0x10000000
DEATH_SIGNAL, SET_DUMPABLE, SET_SECCOMP, NO_NEW_PRIVS = 1, 4, 22, 38
RECURSIVE_PRIVATE = 0x4000 | 0x40000
ALL_IDS = 2**32 - 1
OWN_INODES = 8  # of the tmpfs and the overlay themselves
SERVER = "/usr/bin/fuse-overlayfs"
MOST_CODE = 1 << 16

libc = ctypes.CDLL(None, use_errno=True)
spaces: dict[tuple[int, int], int] = {}  # a user namespace for each owner of folders


def call(what: str, result: int) -> int:
    """Pass a result on. Raises: OSError that says what failed."""
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")
    return result


def write(path: str, text: str) -> None:
    """Write to a file of the kernel, in one piece. Raises: OSError."""
    lines = os.open(path, os.O_WRONLY)
    os.write(lines, text.encode())
    os.close(lines)


# ---- folders of the host ---------------------------------------------------------------------


def swap(one: int, other: int) -> str:
    """The map of all ids to themselves, but for two that change places."""
    lines, start = [], 0
    for inside, outside in sorted({one: other, other: one}.items()):
        lines += [(start, start, inside - start), (inside, outside, 1)]
        start = inside + 1
    lines.append((start, start, ALL_IDS - start))
    return "".join(f"{inside} {outside} {count}\n" for inside, outside, count in lines if count)


def user_namespace(owner: tuple[int, int], uid: int) -> int:
    """Make a user namespace in which an owner is `uid`, and `uid` the owner; a descriptor of it."""
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
        write(f"/proc/{child}/{kind}_map", swap(inside, uid))
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
    write("/proc/self/setgroups", "deny")
    write("/proc/self/uid_map", f"{uid} {uid} 1")
    write("/proc/self/gid_map", f"{gid} {gid} 1")
    own_mounts()


def own_mounts() -> None:
    """Keep what is mounted from now on in this mount namespace."""
    call("private mounts", libc.mount(None, b"/", None, RECURSIVE_PRIVATE, None))


# ---- a folder copy-on-write; all of it in STAGE ------------------------------------------------


def lay(backend: str, who: tuple[int, int], layers: int, size: int, inodes: int) -> list[int]:
    """Show the first attached folders over each other at over/seen, all of it `who`'s.

    Returns descriptors: see the module; in place of a server's its channel.
    """
    base = os.stat(str(layers - 1))  # noqa: PTH116 - pathlib takes 3 ms to import
    memory(base, who, size, inodes + OWN_INODES)
    if backend == "copy":
        return [opened("over/seen"), copy(layers, who[0], size, inodes)]
    if backend == "fuse-overlayfs":
        return [opened("over/upper"), fuse(*who)]
    lower = b":".join(b"%d" % at for at in range(layers))
    options = b"lowerdir=%s,upperdir=over/upper,workdir=over/work,userxattr,index=off" % lower
    call("overlay", libc.mount(b"overlay", b"over/seen", b"overlay", NOSUID | NODEV, options))
    return [opened("over/upper")]


def memory(base: os.stat_result, who: tuple[int, int], size: int, inodes: int) -> None:
    """Have bounded memory at `over`, and folders in it that are as `base`."""
    bounds = b"size=%d,nr_inodes=%d,mode=755" % (size, inodes)
    call("memory", libc.mount(b"tmpfs", b"over", b"tmpfs", NOSUID | NODEV, bounds))
    for folder in ("over/upper", "over/work", "over/seen"):
        os.mkdir(folder, 0o755)  # noqa: PTH102 - pathlib takes 3 ms to import
        os.chown(folder, *who)
        os.chmod(folder, base.st_mode & 0o3777)  # noqa: PTH101 - pathlib takes 3 ms to import
        os.utime(folder, ns=(base.st_atime_ns, base.st_mtime_ns))


def opened(folder: str) -> int:
    """A descriptor of a folder, which keeps its memory alive."""
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def copy(layers: int, uid: int, size: int, inodes: int) -> int:
    """Copy the first attached folders to over/seen; a file that tells what was copied."""
    from runpy import run_path  # takes 3 ms, and a copy is rare

    program = run_path(__file__.replace("stage.py", "copied.py"))
    resize(program["BYTES"], program["INODES"])
    was = os.memfd_create("was")
    os.write(was, program["copied"](layers, uid))
    used = os.statvfs("over")
    held = (used.f_blocks - used.f_bfree) * used.f_frsize
    resize(held + size, used.f_files - used.f_ffree + inodes)
    return was


def resize(size: int, inodes: int) -> None:
    """Set the bounds of the memory anew."""
    data = b"size=%d,nr_inodes=%d" % (size, inodes)
    call("bounds", libc.mount(None, b"over", None, REMOUNT | NOSUID | NODEV, data))


def fuse(uid: int, gid: int) -> int:
    """Mount at over/seen what a server fills; its channel."""
    try:
        channel = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    except OSError as e:
        raise OSError(e.errno, f"/dev/fuse: {e.strerror}") from e
    data = b"fd=%d,rootmode=40000,user_id=%d,group_id=%d" % (channel, uid, gid)
    data += b",default_permissions,allow_other"
    call("fuse", libc.mount(b"oros", b"over/seen", b"fuse", NOSUID | NODEV, data))
    return channel


def serve(channel: int, layers: int, limits: str, program: bytes) -> int:
    """Start the server behind a channel, as who one is; a pidfd of it.

    It is given the channel in place of a folder, so it need not mount: it has no right to.
    """
    parent = os.getpid()
    child = os.fork()
    if child:
        os.close(channel)
        return os.pidfd_open(child)
    try:
        libc.prctl(DEATH_SIGNAL, 9, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)
        null = os.open("/dev/null", os.O_RDWR)
        for number, at in ((channel, 3), (null, 0), (null, 1), (null, 2)):
            os.dup2(number, at)
        os.closerange(4, os.sysconf("SC_OPEN_MAX"))
        bound(limits)
        call("no new privileges", libc.prctl(NO_NEW_PRIVS, 1, 0, 0, 0))
        code = ctypes.create_string_buffer(program, len(program))
        form = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(code))
        call("filter", libc.prctl(SET_SECCOMP, 2, form, 0, 0))
        lower = ":".join(map(str, range(layers)))
        how = f"lowerdir={lower},upperdir=over/upper,workdir=over/work,writeback=0,timeout=0"
        os.execve(SERVER, [SERVER, "-f", "-o", how, "/dev/fd/3"], {})  # noqa: S606 - it becomes it
    finally:
        os._exit(1)


# ---- the program -----------------------------------------------------------------------------


def hand_over(numbers: list[int], through: int) -> None:
    """Send descriptors through a socket, and let go of all."""
    link = _socket.socket(fileno=through)  # the module without the import of 8 ms
    data = struct.pack(f"{len(numbers)}i", *numbers)
    link.sendmsg([b"u"], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, data)])
    link.close()
    for number in numbers:
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
    backend, _, bounds = overlay.partition(",")
    through, code, *sizes = map(int, bounds.split(",")) if bounds else (-1, -1)
    try:
        if uid:
            call("unshare mounts", libc.unshare(NEW_MOUNTS))
            own_mounts()
            attach([mapped(folder, int(uid)) for folder in folders], stage)
        else:
            if overlay:
                own_users()
            attach([plain(folder) for folder in folders], stage)
        os.chdir(stage)
        who = (int(uid), int(uid)) if uid else (os.getuid(), os.getgid())
        made = lay(backend, who, *sizes) if overlay else []
        if uid:
            bound(limits)
            os.setgroups([])
            os.setresgid(*who[1:] * 3)
            os.setresuid(*who[:1] * 3)
        if backend == "fuse-overlayfs":
            made[1] = serve(made[1], sizes[0], limits, os.pread(code, MOST_CODE, 0))
        if overlay:
            os.close(code)
            hand_over(made, through)
        os.chdir("/")
        os.execve(program, argv, {})  # noqa: S606 - it becomes bubblewrap
    except OSError as e:
        sys.exit(f"stage: {e.strerror or e}")


if __name__ == "__main__":
    main(sys.argv[1:])
