"""The filter, interpreted for every call number, architecture and the arguments that matter."""

import errno
import struct

import pytest

from oros.abi.errors import NotEnforced
from oros.drivers.sandbox.bwrap import seccomp
from oros.drivers.sandbox.bwrap.seccomp import (
    ALLOW,
    DENIED,
    ERRNO,
    KILL,
    MACHINES,
    MODE_AT,
    NEWEST,
    NUMBERS,
    X32,
    compile_filter,
)  # fmt: skip

EPERM, ENOSYS, NOFAMILY = (ERRNO | e for e in (errno.EPERM, errno.ENOSYS, errno.EAFNOSUPPORT))


def interpret(code: bytes, arch: int, nr: int, args: tuple[int, ...] = ()) -> int:
    """Run a filter as the kernel does; a jump past the end or an unknown code is an error."""
    data = struct.pack("<IIQ6Q", nr, arch, 0, *(*args, *[0] * (6 - len(args))))
    program = list(struct.iter_unpack("<HBBI", code))
    at, value = 0, 0
    while True:
        op, yes, no, k = program[at]
        at += 1
        if op == seccomp.RETURN:
            return k
        if op == seccomp.LOAD:
            value = struct.unpack_from("<I", data, k)[0]
            continue
        holds = {
            seccomp.EQUAL: value == k, seccomp.GREATER: value > k,
            seccomp.AT_LEAST: value >= k, seccomp.ANY_BIT: bool(value & k),
        }[op]  # fmt: skip
        at += yes if holds else no


@pytest.fixture(params=sorted(MACHINES))
def machine(request: pytest.FixtureRequest):
    return MACHINES[request.param]


@pytest.fixture
def ask(machine):
    code = compile_filter(machine.name)
    return lambda name, *args: interpret(code, machine.audit, number(machine, name), args)


def number(machine, name: str) -> int:
    return (DENIED.get(name) or NUMBERS[name])[machine.column]


def names(machine, among) -> list[str]:
    return [n for n in among if number(machine, n) is not None]


def test_every_number_has_its_verdict(machine) -> None:
    """Cell by cell: with all arguments zero, all but the named calls are allowed."""
    code = compile_filter(machine.name)
    denied = {number(machine, n) for n in names(machine, DENIED)}
    gone = {number(machine, n) for n in ("clone3", "openat2")}
    families = {number(machine, n) for n in ("socket", "socketpair")}  # family 0 is no family
    for nr in range(NEWEST + 1):
        want = EPERM if nr in denied else ENOSYS if nr in gone else ALLOW
        want = NOFAMILY if nr in families else want
        assert interpret(code, machine.audit, nr) == want, nr
    for nr in (NEWEST + 1, NEWEST + 5, 1000, X32 - 1):
        assert interpret(code, machine.audit, nr) == ENOSYS, nr


def test_arguments_do_not_soften_a_denial(machine, ask) -> None:
    for name in names(machine, DENIED):
        for args in ((1,) * 6, (0xFFFF_FFFF_FFFF_FFFF,) * 6, (2, 0, 1)):
            assert ask(name, *args) == EPERM, name


def test_another_architecture_is_killed(machine) -> None:
    code = compile_filter(machine.name)
    for arch in (0, 0x4000_0003, 0x4000_0028, *(m.audit for m in MACHINES.values())):
        for nr in range(NEWEST + 1):
            if arch != machine.audit:
                assert interpret(code, arch, nr) == KILL


def test_x32_is_killed() -> None:
    code, audit = compile_filter("x86_64"), MACHINES["x86_64"].audit
    for nr in (X32, X32 + 1, X32 + 520, 0xFFFF_FFFF):
        assert interpret(code, audit, nr) == KILL


@pytest.mark.parametrize("bit", [0x20000, *(1 << n for n in range(25, 31))])
def test_clone_of_any_new_namespace(ask, bit: int) -> None:
    assert ask("clone", bit) == ask("clone", bit | 0x003D0F00) == EPERM
    assert ask("clone", 0x003D0F00) == ask("clone", 17) == ALLOW  # a thread, a fork


def test_terminal_typing(ask) -> None:
    for high in (0, 0xFFFF_FFFF_0000_0000):  # the kernel looks at the low half only
        assert ask("ioctl", 0, 0x5412 | high) == ask("ioctl", 0, 0x541C | high) == EPERM
    assert ask("ioctl", 0x5412, 0x5413) == ask("ioctl", 0, 0x5401) == ALLOW


def test_socket_families(ask) -> None:
    for family in range(50):
        for kind in (1, 2, 3, 5):
            for protocol in (0, 4, 6, 15):
                allowed = family in (1, 2, 10) or (family == 16 and protocol == 0)
                want = ALLOW if allowed else NOFAMILY
                assert ask("socket", family, kind, protocol) == want, (family, protocol)


def test_set_id_bits(machine, ask) -> None:
    for name in names(machine, MODE_AT):
        before = [0o7777] * MODE_AT[name]  # what is not the mode does not matter
        for mode in (0o4755, 0o2755, 0o6000):
            assert ask(name, *before, mode) == EPERM, name
        assert ask(name, *before, 0o1777) == ALLOW


def test_set_id_bits_when_a_file_is_made(machine, ask) -> None:
    for name, flags_at in {"open": 1, "openat": 2}.items():
        if number(machine, name) is None:
            continue
        before = [0xFFFF_FFFF] * flags_at
        for creating in (0o101, 0o20200002):
            assert ask(name, *before, creating, 0o4755) == EPERM
            assert ask(name, *before, creating, 0o644) == ALLOW
        assert ask(name, *before, 2, 0o4755) == ALLOW  # no file is made: the mode is rubbish


def test_it_fits_the_kernel_and_every_jump_lands(machine) -> None:
    program = seccomp.program(machine)
    assert len(program) < 4096
    for at, (code, yes, no, _) in enumerate(program):
        assert max(yes, no) < 256
        if code not in (seccomp.RETURN, seccomp.LOAD):
            assert at + 1 + max(yes, no) < len(program)


def test_a_server_may_keep_modes_and_no_more(machine) -> None:
    code, more = compile_filter(machine.name), compile_filter(machine.name, server=True)
    for nr in range(NEWEST + 1):
        for args in ((0,) * 6, (0o2755,) * 6, (0x10000,) * 6, (0o101, 0o101, 0o101, 0o4755)):
            before, now = (interpret(c, machine.audit, nr, args) for c in (code, more))
            free = {*names(machine, MODE_AT), *names(machine, ("open", "openat", "openat2"))}
            if nr not in {number(machine, name) for name in free}:
                assert now == before, nr
            else:
                assert now == ALLOW, nr


def test_an_unknown_machine_is_refused() -> None:
    with pytest.raises(NotEnforced):
        compile_filter("riscv64")
