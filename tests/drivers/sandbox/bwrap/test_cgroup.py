"""Groups are found where they can be made, and limits are written and read back."""

import os
from pathlib import Path

import pytest

from oros.abi.errors import NotEnforced
from oros.drivers.sandbox.bwrap import cgroup


def hierarchy(tmp_path: Path, mounts: str, mine: str) -> Path:
    proc = tmp_path / "proc"
    proc.mkdir()
    (proc / "mountinfo").write_text(mounts.replace("ROOT", str(tmp_path)))
    (proc / "cgroup").write_text(mine)
    return proc


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch):
    """A kernel's part in a plain folder: a new group gets its files, a removed one goes."""
    make, remove = Path.mkdir, Path.rmdir

    def mkdir(self: Path, *args, **more) -> None:
        make(self, *args, **more)
        for file in ("memory.max", "memory.swap.max", "memory.oom.group", "pids.max",
                     "memory.limit_in_bytes", "cgroup.procs"):  # fmt: skip
            (self / file).write_text("")

    def rmdir(self: Path) -> None:
        for file in self.iterdir():
            file.unlink()
        remove(self)

    monkeypatch.setattr(Path, "mkdir", mkdir)
    monkeypatch.setattr(Path, "rmdir", rmdir)


V1_MOUNTS = (
    "1 0 0:1 / ROOT/memory rw,relatime - cgroup cgroup rw,memory\n"
    "2 0 0:2 /docker/x ROOT/pids rw - cgroup cgroup rw,pids\n"
)


def test_version_1(tmp_path: Path, kernel) -> None:
    (tmp_path / "memory/a/b").mkdir(parents=True)
    (tmp_path / "pids/y").mkdir(parents=True)
    proc = hierarchy(tmp_path, V1_MOUNTS, "4:memory:/a/b\n8:pids:/docker/x/y\n0::/\n")
    found = cgroup.find(proc)
    assert found is not None
    with found.cell(1000, 7) as cell:
        memory, pids = cell.folders
        assert memory.parent == tmp_path / "memory/a/b"
        assert pids.parent == tmp_path / "pids/y"
        assert (memory / "memory.limit_in_bytes").read_text() == "1000"
        assert (pids / "pids.max").read_text() == "7"
        cell.join(42)
        assert (memory / "cgroup.procs").read_text() == "42"
    assert not memory.exists()


V2_MOUNTS = "1 0 0:1 / ROOT/cg rw - cgroup2 cgroup2 rw\n"


def version_2(tmp_path: Path, *, others: str = "", down: str = "") -> Path:
    base = tmp_path / "cg/scope"
    base.mkdir(parents=True)
    (base / "cgroup.controllers").write_text("cpu memory pids\n")
    (base / "cgroup.subtree_control").write_text(down)
    (base / "cgroup.procs").write_text(f"{os.getpid()}\n{others}")
    return hierarchy(tmp_path, V2_MOUNTS, "0::/scope\n")


def test_version_2_moves_into_a_leaf(tmp_path: Path, kernel) -> None:
    found = cgroup.find(version_2(tmp_path))
    base = tmp_path / "cg/scope"
    assert found is not None
    assert (base / "daemon/cgroup.procs").read_text() == str(os.getpid())
    assert (base / "cgroup.subtree_control").read_text() == "+memory +pids"
    with found.cell(1000, 7) as cell:
        (folder,) = cell.folders
        assert (folder / "memory.max").read_text() == "1000"
        assert (folder / "memory.swap.max").read_text() == "0"
        assert (folder / "memory.oom.group").read_text() == "1"


def test_version_2_that_was_handed_down(tmp_path: Path, kernel) -> None:
    assert cgroup.find(version_2(tmp_path, down="memory pids")) is not None
    assert not (tmp_path / "cg/scope/daemon").exists()


def test_version_2_with_strangers_is_left_alone(tmp_path: Path, kernel) -> None:
    assert cgroup.find(version_2(tmp_path, others="1\n")) is None
    assert not (tmp_path / "cg/scope/daemon").exists()


def test_a_limit_that_does_not_hold_is_refused(tmp_path: Path) -> None:
    groups = cgroup.Groups(dict.fromkeys(cgroup.V2, tmp_path), cgroup.V2, 2)
    with pytest.raises(NotEnforced), groups.cell(1000, 7):
        pass
    assert not list(tmp_path.iterdir())


def test_no_hierarchy(tmp_path: Path) -> None:
    assert cgroup.find(tmp_path / "none") is None
    assert cgroup.find(hierarchy(tmp_path, "", "")) is None


def test_this_machine() -> None:
    """Where groups can be made here, they are made, hold their limits and go again."""
    found = cgroup.find()
    if found is None:
        pytest.skip("no group can be made here; the report says that memory is not held")
    with found.cell(64 << 20, 9) as cell:
        assert all(f.is_dir() for f in cell.folders)
    assert not any(f.exists() for f in cell.folders)
