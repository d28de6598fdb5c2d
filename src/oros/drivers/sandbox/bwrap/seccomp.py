"""The system-call filter: classic BPF written by hand, without libseccomp.

It knows call numbers and arguments, not jobs. The filter is a list of blocks; a block is entered
when its test holds and always ends by returning, so no jump is counted by hand. What it refuses:

    wrong architecture, x32            the process is killed
    calls newer than NEWEST            ENOSYS: a call that nobody has judged fails closed
    DENIED                             EPERM: mounts, namespaces, tracing, bpf, keys, clocks, ...
    clone3, openat2                    ENOSYS: their arguments are behind a pointer; libc falls back
    clone of a new namespace           EPERM
    ioctl TIOCSTI, TIOCLINUX           EPERM: typing into the terminal of the person
    sockets                            only UNIX, INET, INET6 and NETLINK_ROUTE (vsock is not
                                       bound to a network namespace), else EAFNOSUPPORT
    set-id bits                        EPERM: in a folder that maps to root a set-uid file would
                                       be a door on the host (systemd: RestrictSUIDSGID)

Sources: linux/seccomp.h, linux/bpf_common.h, asm/unistd_64.h and asm-generic/unistd.h of 6.1.
"""

import errno
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from oros.abi.errors import NotEnforced

KILL, ERRNO, ALLOW = 0x8000_0000, 0x0005_0000, 0x7FFF_0000
LOAD, EQUAL, GREATER, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x25, 0x35, 0x45, 0x06
NR, ARCH, ARGS = 0, 4, 16
X32 = 0x4000_0000
NEWEST = 462  # mseal, Linux 6.10; from 424 on both architectures share their numbers
NEW_NAMESPACE = 0x7E02_0000
SET_ID = 0o6000
CREATES = 0o100 | 0o20000000  # O_CREAT, O_TMPFILE: only then is open's mode an argument
TIOCSTI, TIOCLINUX = 0x5412, 0x541C
UNIX, INET, INET6, NETLINK = 1, 2, 10, 16

Instruction = tuple[int, int, int, int]
Block = list[Instruction]

# name: (x86_64, aarch64); None: that architecture has no such call
DENIED: dict[str, tuple[int | None, int | None]] = {
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51),
    "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433),
    "open_tree": (428, 428), "move_mount": (429, 429), "mount_setattr": (442, 442),
    "setns": (308, 268), "unshare": (272, 97), "sethostname": (170, 161),
    "setdomainname": (171, 162), "ptrace": (101, 117), "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271), "process_madvise": (440, 440), "pidfd_getfd": (438, 438),
    "kcmp": (312, 272), "bpf": (321, 280), "perf_event_open": (298, 241),
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "userfaultfd": (323, 282), "keyctl": (250, 219), "add_key": (248, 217),
    "request_key": (249, 218), "init_module": (175, 105), "finit_module": (313, 273),
    "delete_module": (176, 106), "kexec_load": (246, 104), "kexec_file_load": (320, 294),
    "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265), "swapon": (167, 224),
    "swapoff": (168, 225), "reboot": (169, 142), "acct": (163, 89), "quotactl": (179, 60),
    "quotactl_fd": (443, 443), "settimeofday": (164, 170), "clock_settime": (227, 112),
    "clock_adjtime": (305, 266), "adjtimex": (159, 171), "syslog": (103, 116),
    "vhangup": (153, 58), "lookup_dcookie": (212, 18), "fanotify_init": (300, 262),
    "fanotify_mark": (301, 263), "move_pages": (279, 239), "migrate_pages": (256, 238),
    "iopl": (172, None), "ioperm": (173, None), "modify_ldt": (154, None),
    "uselib": (134, None), "_sysctl": (156, None), "ustat": (136, None), "sysfs": (139, None),
}  # fmt: skip
NUMBERS: dict[str, tuple[int | None, int | None]] = {
    "clone": (56, 220), "clone3": (435, 435), "openat2": (437, 437), "ioctl": (16, 29),
    "socket": (41, 198), "socketpair": (53, 199), "open": (2, None), "openat": (257, 56),
    "creat": (85, None), "mkdir": (83, None), "mkdirat": (258, 34), "mknod": (133, None),
    "mknodat": (259, 33), "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
}  # fmt: skip
MODE_AT = {
    "chmod": 1, "fchmod": 1, "creat": 1, "mkdir": 1, "mknod": 1,
    "fchmodat": 2, "fchmodat2": 2, "mkdirat": 2, "mknodat": 2,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Machine:
    """An architecture: its audit number and the column of the tables above."""

    name: str
    audit: int
    column: int


MACHINES = {
    m.name: m
    for m in (Machine("x86_64", 0xC000_003E, 0), Machine("aarch64", 0xC000_00B7, 1))
}  # fmt: skip


def compile_filter(machine: str, *, server: bool = False) -> bytes:
    """Make the filter as the kernel takes it: 8 bytes an instruction.

    Args:
        machine: as `os.uname().machine` names it.
        server: for one that keeps a job's files: it copies modes as they are, and opens paths
            beneath a folder.

    Raises:
        NotEnforced: no table for this architecture.
    """
    found = MACHINES.get(machine)
    if found is None:
        raise NotEnforced(
            f"there is no call filter for {machine}", f"it is made for {', '.join(MACHINES)}"
        )
    made = program(found, server=server)
    return b"".join(struct.pack("<HBBI", code, yes, no, k) for code, yes, no, k in made)


def program(machine: Machine, *, server: bool = False) -> Block:
    """The filter as instructions `(code, jump if true, jump if false, constant)`."""

    def number(name: str) -> int | None:
        return (DENIED.get(name) or NUMBERS[name])[machine.column]

    def on(name: str, block: Block) -> Block:
        nr = number(name)
        return [] if nr is None else _when(EQUAL, nr, block)

    made = [*_load(ARCH), *_unless(EQUAL, machine.audit, _end(KILL)), *_load(NR)]
    if machine.name == "x86_64":
        made += _when(AT_LEAST, X32, _end(KILL))
    made += _when(GREATER, NEWEST, _refuse(errno.ENOSYS))
    for name in DENIED:
        made += on(name, _refuse(errno.EPERM))
    for name in ("clone3",) if server else ("clone3", "openat2"):
        made += on(name, _refuse(errno.ENOSYS))
    made += on("clone", _forbid_bits(0, NEW_NAMESPACE))
    made += on("ioctl", _forbid_values(1, (TIOCSTI, TIOCLINUX)))
    for name in ("socket", "socketpair"):
        made += on(name, _families())
    if not server:
        for name, at in MODE_AT.items():
            made += on(name, _forbid_bits(at, SET_ID))
        made += on("open", _opens(1))
        made += on("openat", _opens(2))
    return [*made, *_end(ALLOW)]


def _load(offset: int) -> Block:
    return [(LOAD, 0, 0, offset)]


def _argument(at: int) -> Block:
    """Load the low half of an argument: all that is tested here is a 32-bit value."""
    return _load(ARGS + 8 * at)


def _end(action: int) -> Block:
    return [(RETURN, 0, 0, action)]


def _refuse(error: int) -> Block:
    return _end(ERRNO | error)


def _when(test: int, value: int, block: Block) -> Block:
    return [(test, 0, len(block), value), *block]


def _unless(test: int, value: int, block: Block) -> Block:
    return [(test, len(block), 0, value), *block]


def _forbid_bits(at: int, bits: int) -> Block:
    return [*_argument(at), *_when(ANY_BIT, bits, _refuse(errno.EPERM)), *_end(ALLOW)]


def _forbid_values(at: int, values: Sequence[int]) -> Block:
    tests = [i for v in values for i in _when(EQUAL, v, _refuse(errno.EPERM))]
    return [*_argument(at), *tests, *_end(ALLOW)]


def _families() -> Block:
    plain = [i for f in (UNIX, INET, INET6) for i in _when(EQUAL, f, _end(ALLOW))]
    route = [*_argument(2), *_when(EQUAL, 0, _end(ALLOW)), *_refuse(errno.EAFNOSUPPORT)]
    return [*_argument(0), *plain, *_when(EQUAL, NETLINK, route), *_refuse(errno.EAFNOSUPPORT)]


def _opens(flags: int) -> Block:
    creating = _forbid_bits(flags + 1, SET_ID)
    return [*_argument(flags), *_when(ANY_BIT, CREATES, creating), *_end(ALLOW)]
