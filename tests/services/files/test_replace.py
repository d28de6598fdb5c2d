import os
import signal
import subprocess
import sys
import time

import pytest

from oros.services.files import replace as replace_module
from oros.services.files.replace import replace
from oros.services.files.resolve import Root


@pytest.fixture(params=["unnamed", "named"])
def draft(request, monkeypatch):
    """Both ways to hold the new content: a file system may have no unnamed files."""
    if request.param == "named":
        monkeypatch.delattr(replace_module.os, "O_TMPFILE")
    return request.param


@pytest.mark.usefixtures("draft", "way")
def test_the_mode_is_kept_and_no_litter_is_left(work) -> None:
    (work / "s.sh").write_text("old")
    (work / "s.sh").chmod(0o751)
    status = replace(Root(work), "s.sh", b"new")
    replace(Root(work), "x/y/z", b"z")
    assert (work / "s.sh").read_text() == "new"
    assert (work / "s.sh").stat().st_mode & 0o7777 == 0o751
    assert (work / "s.sh").stat().st_ino == status.st_ino
    assert (work / "s.sh").stat().st_ctime_ns == status.st_ctime_ns
    assert sorted(p.name for p in work.rglob("*")) == ["s.sh", "x", "y", "z"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root may give files away")
def test_the_owner_is_kept(work) -> None:
    (work / "f").write_text("old")
    os.chown(work / "f", 1234, 1235)
    replace(Root(work), "f", b"new")
    assert ((work / "f").stat().st_uid, (work / "f").stat().st_gid) == (1234, 1235)


@pytest.mark.usefixtures("draft")
def test_a_failure_leaves_the_old_file_and_no_litter(work, monkeypatch) -> None:
    (work / "f").write_text("old")

    def broken(*_, **__):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(replace_module.os, "rename", broken)
    with pytest.raises(OSError, match="Input"):
        replace(Root(work), "f", b"new")
    assert [(p.name, p.read_text()) for p in work.iterdir()] == [("f", "old")]


WRITER = """
import sys
from pathlib import Path
from oros.services.files.replace import replace
from oros.services.files.resolve import Root
root, n = Root(Path(sys.argv[1])), int(sys.argv[2])
while True:
    n += 1
    replace(root, "f", (f"{n % 10}" * 200_000).encode())
    print("go", flush=True)
"""


def test_a_killed_writer_leaves_the_file_whole(work) -> None:
    (work / "f").write_text("0" * 200_000)
    seen = set()
    for i in range(6):
        child = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(work), f"{i}"], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout.readline() == "go\n"
        time.sleep(i * 0.007)
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        text = (work / "f").read_text()
        assert len(text) == 200_000
        assert len(set(text)) == 1
        seen.add(text[0])
    assert len(seen) > 1, "no writer got to write: the test saw nothing"
