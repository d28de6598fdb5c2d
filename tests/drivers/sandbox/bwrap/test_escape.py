"""No way out: every probe is shut inside, and the same probe is open without the sandbox."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import pytest

import oros
from oros.drivers.sandbox.bwrap.survey import WHEEL

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


def table(python: str, path: str, **more: int) -> dict:
    done = subprocess.run(
        [python, "-B", str(HERE / "host.py") if not more else f"{path}/host.py"],
        env={"PYTHONPATH": path, "PATH": os.environ["PATH"]}, cwd="/",
        capture_output=True, text=True, check=False, **more,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def as_self() -> dict:
    return table(sys.executable, str(Path(oros.__file__).parents[1]))


def as_stranger() -> dict:
    """An ordinary user without a home, a name or a way into root's folders."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        source = Path(oros.__file__).parent
        for part in ("__init__.py", "abi", "drivers/__init__.py", "drivers/sandbox"):
            copy = shutil.copytree if (source / part).is_dir() else shutil.copy
            Path(folder, "oros", part).parent.mkdir(parents=True, exist_ok=True)
            copy(source / part, Path(folder, "oros", part))
        for part in Path(find_spec(WHEEL).origin).parents[1].glob(f"{WHEEL}*"):
            shutil.copytree(part, Path(folder, part.name))
        for file in ("host.py", "probes.py"):
            shutil.copy(HERE / file, folder)
        return table("/usr/bin/python3", folder, user=4242, group=4242, extra_groups=[])


AS = {"self": as_self, "stranger": as_stranger}


@pytest.mark.parametrize("who", AS)
def test_every_probe_is_shut_inside_and_open_outside(who: str) -> None:
    if who == "stranger" and os.geteuid() != 0:
        pytest.skip("only root can become another user; `self` is an ordinary one already")
    found = AS[who]()

    assert found["report"]["works"]
    assert found["sandbox"].keys() == found["bare"].keys()
    assert [name for name, said in found["sandbox"].items() if said in ("open", "died")] == []

    powerful = who == "self" and os.geteuid() == 0
    must = found["bare"].keys() - KERNEL_MAY_REFUSE - (set() if powerful else ROOT_ONLY)
    assert [(name, found["bare"][name]) for name in must if found["bare"][name] != "open"] == []
    assert len(must) >= 25
