"""Tries to get out, one way after another, and says which ways are open. Runs anywhere alone.

    python probes.py '{"canary": ..., "tcp": ..., ...}'   prints {"name": "open" | "ERRNO" | "shut"}

Each probe runs in a child of its own and does no harm where it succeeds.
"""

# What is probed are system calls, so they are written as such, not by pathlib:
# ruff: noqa: PTH101, PTH110, PTH115, PTH116, PTH118, PTH120, PTH123, PTH207, PTH208, PTH211

import contextlib
import ctypes
import errno
import fcntl
import glob
import json
import os
import platform
import pty
import signal
import socket
import struct
import sys
import termios

ARM = platform.machine() == "aarch64"
NR = {
    name: numbers[ARM]
    for name, numbers in {
        "mount": (165, 40), "chroot": (161, 51), "unshare": (272, 97), "setns": (308, 268),
        "fsopen": (430, 430), "ptrace": (101, 117), "process_vm_readv": (310, 270),
        "bpf": (321, 280), "perf": (298, 241), "io_uring": (425, 425), "uffd": (323, 282),
        "keyctl": (250, 219), "add_key": (248, 217), "init_module": (175, 105),
        "syslog": (103, 116), "name_to_handle": (303, 264), "open_by_handle": (304, 265),
        "swapon": (167, 224), "clone": (56, 220), "clone3": (435, 435), "kcmp": (312, 272),
        "pidfd_getfd": (438, 438), "fchmodat2": (452, 452), "openat2": (437, 437),
        "sethostname": (170, 161), "open_tree": (428, 428), "fanotify_init": (300, 262),
    }.items()
}  # fmt: skip
libc = ctypes.CDLL(None, use_errno=True)
NEW_USER, NEW_NS = 0x10000000, 0x20000
PROBES = {}


def probe(make):
    PROBES[make.__name__] = make
    return make


def call(name, *args):
    words = (ctypes.c_long(a) if isinstance(a, int) else a for a in args)
    result = libc.syscall(ctypes.c_long(NR[name]), *words)
    if result < 0:
        raise OSError(ctypes.get_errno(), name)
    return result


def read(path):
    with open(path, "rb") as file:
        return file.read(65536)


# Ways that are one call each: name -> system call and arguments.
CALLS = {
    "compare_kernel_pointers": ("kcmp", os.getpid(), os.getpid(), 0, 0, 1),
    "user_namespace": ("unshare", NEW_USER),
    "mount_api": ("fsopen", b"tmpfs", 0),
    "clone_mount": ("open_tree", -100, b"/", 1),
    "chroot": ("chroot", b"."),
    "hostname": ("sethostname", socket.gethostname().encode(), len(socket.gethostname())),
    "keyring": ("keyctl", 0, -3, 1),
    "add_key": ("add_key", b"user", b"oros-probe", b"x", 1, -2),
    "io_uring": ("io_uring", 8, ctypes.create_string_buffer(120)),
    "bpf": ("bpf", 0, struct.pack("5I", 2, 4, 4, 1, 0), 20),
    "perf": ("perf", struct.pack("IIQ24xQ64x", 1, 112, 0, 0x61), 0, -1, -1, 0),
    "userfaultfd": ("uffd", 1),
    "kernel_log": ("syslog", 10, None, 0),
    "watch_files": ("fanotify_init", 0, 0),
}
SOCKETS = {
    "vsock": (40, socket.SOCK_STREAM, 0),
    "packet_socket": (socket.AF_PACKET, socket.SOCK_RAW, 0),
    "raw_socket": (socket.AF_INET, socket.SOCK_RAW, 1),
    "netlink_audit": (socket.AF_NETLINK, socket.SOCK_RAW, 15),
    "kernel_crypto_socket": (38, socket.SOCK_SEQPACKET, 0),
}
READS = {
    "shadow": "/etc/shadow",
    "proc_keys": "/proc/key-users",
    "kernel_symbols": "/proc/kallsyms",
}
WRITES = {
    "core_pattern": "/proc/sys/kernel/core_pattern",
    "sysctl": "/proc/sys/kernel/hostname",
}


def simple():
    """Probes of the tables; a file that is opened for writing is not written."""
    for name, words in CALLS.items():
        yield name, lambda c, words=words: call(*words) >= 0
    for name, kind in SOCKETS.items():
        yield name, lambda c, kind=kind: socket.socket(*kind).close() is None
    for name, path in READS.items():
        yield name, lambda c, path=path: bool(read(path))
    for name, path in WRITES.items():
        yield name, lambda c, path=path: os.close(os.open(path, os.O_WRONLY)) is None


PROBES.update(
    simple(),
    canary=lambda c: read(c["canary"]) == b"CANARY",
    canary_by_dots=lambda c: read("../" * 20 + c["canary"].lstrip("/")) == b"CANARY",
    hardlink_out=lambda c: os.link(c["canary"], "hard") is None,
    root_home=lambda c: bool({".bashrc", ".profile"} & set(os.listdir("/root"))),
    host_etc=lambda c: any(map(os.path.exists, ("/etc/machine-id", "/etc/hostname", "/etc/fstab"))),
    sysfs=lambda c: bool(os.listdir("/sys")),
    cgroup_write=lambda c: any(os.access(p, os.W_OK) for p in glob.glob("/sys/fs/cgroup/*/*procs")),
    inherited_fds=lambda c: bool(c["fds"]),
    interfaces=lambda c: bool({name for _, name in socket.if_nameindex()} - {"lo"}),
    real_time=lambda c: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)) is None,
)


# ---- files


@probe
def canary_by_symlink(c):
    os.symlink(c["canary"], "link")
    return read("link") == b"CANARY"


@probe
def canary_by_proc_root(c):
    return any(os.path.exists(root + c["canary"]) for root in glob.glob("/proc/[0-9]*/root"))


@probe
def write_outside(c):
    with open(os.path.join(os.path.dirname(c["canary"]), "planted"), "w") as file:
        file.write("x")
    return True


@probe
def device_nodes(c):
    plain = {"null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm", "fd",
             "stdin", "stdout", "stderr", "core", "console", "mqueue"}  # fmt: skip
    return bool(set(os.listdir("/dev")) - plain)


@probe
def set_uid_programs_live(c):
    status = read("/proc/self/status").decode()
    return not os.statvfs("/usr").f_flag & os.ST_NOSUID and "NoNewPrivs:\t0" in status


@probe
def set_uid_bit(c):
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY))
    os.chmod("file", 0o4755)
    return bool(os.stat("file").st_mode & 0o4000)


@probe
def set_uid_at_birth(c):
    os.close(os.open("born", os.O_CREAT | os.O_WRONLY, 0o4755))
    return bool(os.stat("born").st_mode & 0o4000)


@probe
def set_uid_bit_2(c):
    os.close(os.open("file2", os.O_CREAT | os.O_WRONLY))
    call("fchmodat2", -100, b"file2", 0o4755, 0)
    return True


# ---- processes


@probe
def host_pid(c):
    return read(f"/proc/{c['pid']}/cmdline") == c["cmdline"].encode()


@probe
def signal_host(c):
    if read(f"/proc/{c['pid']}/cmdline") != c["cmdline"].encode():
        return False
    os.kill(c["pid"], 0)
    return True


@probe
def ptrace_child(c):
    child = os.fork()
    if child == 0:
        signal.pause()
    try:
        call("ptrace", 0x4206, child, None, None)  # PTRACE_SEIZE
    finally:
        os.kill(child, 9)
    return True


@probe
def read_memory(c):
    text, into = ctypes.create_string_buffer(b"own"), ctypes.create_string_buffer(3)
    here = struct.pack("QQ", ctypes.addressof(into), 3)
    there = struct.pack("QQ", ctypes.addressof(text), 3)
    call("process_vm_readv", os.getpid(), here, 1, there, 1, 0)
    return into.raw == b"own"


@probe
def steal_fd(c):
    me = os.pidfd_open(os.getpid())
    call("pidfd_getfd", me, 1, 0)
    return True


@probe
def secret_in_environment(c):
    def holds(path):
        try:
            return c["secret"].encode() in read(path)
        except OSError:
            return False

    return any(map(holds, glob.glob("/proc/*/environ")))


@probe
def shared_memory(c):
    libc.shmat.restype = ctypes.c_void_p
    at = libc.shmat(c["shm"], None, 0o10000)
    if at == ctypes.c_void_p(-1).value:
        raise OSError(ctypes.get_errno(), "shmat")
    return ctypes.string_at(at, 6) == b"CANARY"


@probe
def capabilities(c):
    status = read("/proc/self/status").decode()
    return int(status.partition("CapEff:\t")[2].split()[0], 16) != 0


@probe
def controlling_terminal(c):
    parent, child = pty.openpty()
    if os.fork() == 0:
        os.close(parent)
        os.setsid()
        fcntl.ioctl(child, termios.TIOCSCTTY, 0)
        try:
            fcntl.ioctl(child, termios.TIOCSTI, b"x")
            os._exit(7)
        except OSError as e:
            os._exit(e.errno)
    got = os.waitstatus_to_exitcode(os.wait()[1])
    if got != 7:
        raise OSError(got, "TIOCSTI")
    return True


# ---- network


@probe
def tcp_to_host(c):
    with socket.create_connection(("127.0.0.1", c["tcp"]), 2) as s:
        return s.recv(6) == b"CANARY"


@probe
def udp_to_host(c):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(1)
        s.connect(("127.0.0.1", c["udp"]))
        s.send(b"?")
        return s.recv(6) == b"CANARY"


@probe
def unix_socket(c):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(c["unix"])
    return True


@probe
def abstract_socket(c):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect("\0" + c["abstract"])
    return True


# ---- the kernel


@probe
def user_namespace_by_clone(c):
    child = call("clone", NEW_USER | 17, None, None, None, None)
    if child == 0:
        os._exit(0)
    return True


@probe
def user_namespace_by_clone3(c):
    args = struct.pack("8Q", NEW_USER, 0, 0, 0, 17, 0, 0, 0)
    child = call("clone3", args, len(args))
    if child == 0:
        os._exit(0)
    return True


@probe
def mount(c):
    call("unshare", NEW_NS)
    call("mount", None, b"/", None, 0x44000, None)
    return True


@probe
def enter_namespace(c):
    call("setns", os.open("/proc/self/ns/uts", os.O_RDONLY), 0)
    return True


@probe
def modules(c):
    try:
        call("init_module", None, 0, b"")
    except OSError as e:
        if e.errno in (errno.EPERM, errno.ENOSYS):
            raise
    return True


@probe
def file_handle(c):
    handle = ctypes.create_string_buffer(struct.pack("Ii", 128, 0), 200)
    call("name_to_handle", -100, b".", handle, ctypes.byref(ctypes.c_int()), 0)
    call("open_by_handle", os.open(".", os.O_RDONLY), handle, os.O_RDONLY)
    return True


@probe
def swap(c):
    try:
        call("swapon", b"/nonexistent", 0)
    except OSError as e:
        if e.errno != errno.ENOENT:
            raise
    return True


def attempt(make, config):
    """Run a probe in a child; what came of it."""
    here, there = os.pipe()
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        signal.alarm(5)
        os.chdir(config["work"])
        try:
            said = "open" if make(config) else "shut"
        except OSError as e:
            said = errno.errorcode.get(e.errno, str(e))
        os.write(there, said.encode())
        os._exit(0)
    os.close(there)
    said = os.read(here, 100).decode()
    os.close(here)
    os.waitpid(child, 0)
    with contextlib.suppress(OSError):
        os.killpg(child, 9)
    return said or "died"


def inherited():
    return [n for n in map(int, os.listdir("/proc/self/fd")) if 2 < n < 200 and _open(n)]


def _open(number):
    try:
        os.fstat(number)
        return "/fd" not in os.readlink(f"/proc/self/fd/{number}")
    except OSError:
        return False


if __name__ == "__main__":
    told = json.loads(sys.argv[1])
    told["fds"] = inherited()
    print(json.dumps({name: attempt(make, told) for name, make in PROBES.items()}))
