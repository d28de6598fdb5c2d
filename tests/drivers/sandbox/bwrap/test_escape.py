"""No way out: every probe is shut inside, and the same probe is open without the sandbox."""

import os
import sys
from pathlib import Path

import pytest
from tests.drivers.sandbox.stranger import stranger, told

import oros
from oros.drivers.sandbox.bwrap import survey

HERE = Path(__file__).parent
ROOT_ONLY = {
    "shadow", "root_home", "core_pattern", "sysctl", "cgroup_write", "real_time", "capabilities",
    "packet_socket", "raw_socket", "mount", "mount_api", "clone_mount", "chroot",
    "enter_namespace", "hostname", "bpf", "kernel_log", "file_handle", "swap", "watch_files",
    "modules",
}  # fmt: skip
# Hardened or small kernels refuse these to everybody; then the probe says nothing there.
KERNEL_MAY_REFUSE = {
    "perf", "io_uring", "userfaultfd", "controlling_terminal", "keyring", "add_key", "bpf",
    "vsock", "kernel_crypto_socket", "user_namespace_by_clone3", "set_uid_bit_2", "modules",
    "real_time", "cgroup_write", "interfaces", "kernel_log", "watch_files", "kernel_symbols",
    "netlink_audit", "root_home",
}  # fmt: skip


def as_self(backend: str) -> dict:
    return told(sys.executable, [str(Path(oros.__file__).parents[1])], HERE / "host.py", backend)


def as_stranger(backend: str) -> dict:
    return stranger(HERE / "host.py", HERE / "probes.py", words=(backend,))


AS = {"self": as_self, "stranger": as_stranger}


@pytest.mark.parametrize("backend", survey.BACKENDS)
@pytest.mark.parametrize("who", AS)
def test_every_probe_is_shut_inside_and_open_outside(who: str, backend: str) -> None:
    if who == "stranger" and os.geteuid() != 0:
        pytest.skip("only root can become another user; `self` is an ordinary one already")
    found = AS[who](backend)

    if backend == "fuse-overlayfs" and not found["report"]["works"]:
        pytest.skip(found["report"]["not_held"]["all"])
    assert found["report"]["works"], found["report"]
    assert found["sandbox"].keys() == found["bare"].keys()
    assert [name for name, said in found["sandbox"].items() if said in ("open", "died")] == []

    powerful = who == "self" and os.geteuid() == 0
    must = found["bare"].keys() - KERNEL_MAY_REFUSE - (set() if powerful else ROOT_ONLY)
    assert [(name, found["bare"][name]) for name in must if found["bare"][name] != "open"] == []
    assert len(must) >= 25
