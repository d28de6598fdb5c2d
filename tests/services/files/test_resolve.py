import errno
import os
import shutil
import stat
import threading
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oros.abi.errors import AccessDenied, Invalid, NotFound, OrosError
from oros.services.files.resolve import Root, clean

NAMES = ["a", "b", "c", "d"]
TARGETS = [*NAMES, "..", ".", "../canary", "../..", "a/../../canary", "/", "a/b",
           "{root}/a", "{root}/../canary", "{canary}", "/proc/self/root", "/proc/self/cwd",
           "../outside"]  # fmt: skip
PATHS = st.lists(st.sampled_from([*NAMES, "..", ".", "", "canary", "outside"]), max_size=6)
TREE = st.lists(
    st.tuples(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3),
              st.sampled_from(["file", "dir", "link"]), st.sampled_from(TARGETS)),
    max_size=12,
)  # fmt: skip


def plant(top: Path, tree) -> None:
    for parts, kind, target in tree:
        path = top.joinpath(*parts)
        try:
            if kind == "dir":
                path.mkdir(parents=True, exist_ok=True)
            elif not os.path.lexists(path) and not any(p.is_symlink() for p in path.parents):
                path.parent.mkdir(parents=True, exist_ok=True)
                if kind == "file":
                    path.write_text("inside")
                else:
                    path.symlink_to(target.format(root=top, canary=top.parent / "canary"))
        except (FileExistsError, NotADirectoryError, OSError):
            continue


@pytest.mark.usefixtures("way")
@settings(deadline=None, max_examples=150, suppress_health_check=list(HealthCheck))
@given(tree=TREE, parts=PATHS, absolute=st.booleans())
def test_nothing_outside_is_ever_opened(tmp_path, tree, parts, absolute) -> None:
    base = tmp_path / "base"
    shutil.rmtree(base, ignore_errors=True)
    top = base / "root"
    (base / "outside").mkdir(parents=True)
    (base / "outside" / "a").write_text("CANARY")
    (base / "canary").write_text("CANARY")
    top.mkdir()
    plant(top, tree)
    root = Root(top)
    path = ("/" if absolute else "") + "/".join(parts)
    try:
        at = root.reach(clean(path))
        fd = root.open(at, os.O_RDONLY | os.O_NONBLOCK)
    except (OSError, OrosError):
        return
    try:
        real = str(Path(f"/proc/self/fd/{fd}").readlink())
        assert real == str(top) or real.startswith(f"{top}/")
        assert os.path.realpath(top / clean(path)) == real
        if stat.S_ISREG(os.fstat(fd).st_mode):
            assert os.pread(fd, 10, 0) == b"inside"
    finally:
        os.close(fd)


@pytest.mark.usefixtures("way")
def test_links_are_refused_strictly_and_followed_only_inside(work) -> None:
    (work / "d").mkdir()
    (work / "d" / "f").write_text("x")
    (work / "in").symlink_to("d/f")
    (work / "din").symlink_to(work / "d")
    (work / "out").symlink_to("../canary")
    (work / "dout").symlink_to("/")
    (work / "loop").symlink_to("loop")
    root = Root(work)
    for path in ("in", "din", "din/f", "out", "dout/etc/passwd", "loop"):
        for flags in (os.O_RDONLY, os.O_WRONLY | os.O_CREAT, os.O_RDONLY | os.O_DIRECTORY):
            with pytest.raises(OSError, match="symbolic links") as caught:
                root.open(path, flags, 0o600 if flags & os.O_CREAT else 0)
            assert caught.value.errno == errno.ELOOP
    assert root.reach("in") == "d/f"
    assert root.reach("din/f") == "d/f"
    assert root.reach("din") == "d"
    for path in ("out", "dout", "dout/etc/passwd", "loop"):
        with pytest.raises(AccessDenied):
            root.reach(path)


@pytest.mark.parametrize(
    ("path", "error"),
    [("..", AccessDenied), ("a/../b", AccessDenied), ("/etc/passwd", AccessDenied),
     ("a\0b", Invalid), ("x" * 256, Invalid), ("é" * 128, Invalid), ("a/" * 2500, Invalid),
     ("\ud800", Invalid)],
)  # fmt: skip
def test_bad_paths_are_refused(path, error) -> None:
    with pytest.raises(error):
        clean(path)


def test_good_paths_have_one_spelling() -> None:
    assert clean("./a//b/.") == "a/b"
    assert clean("") == ""
    assert clean("..a/b..") == "..a/b.."


def test_a_root_that_is_made_anew_is_entered_again(work) -> None:
    root = Root(work)
    work.rmdir()
    with pytest.raises(NotFound, match="gone"):
        root.lstat("x")
    work.mkdir()
    (work / "x").write_text("")
    assert root.found("x") is not None
    shutil.rmtree(work)
    work.symlink_to("/")  # not the folder that the user named
    with pytest.raises(NotFound, match="gone"):
        root.lstat("etc")


def test_a_folder_that_went_before_it_was_entered_is_told_of_the_same_way(work) -> None:
    root = Root(work)
    work.rmdir()
    told = []
    for look in (lambda: root.fd, lambda: root.live, lambda: Root(work)):
        with pytest.raises(NotFound) as e:
            look()
        told.append((e.value.why, e.value.hint))
    assert set(told) == {(f"the folder {work} is gone", "bring it back, or use another")}


@pytest.mark.usefixtures("way")
def test_a_swap_of_folder_and_link_never_leads_out(work) -> None:
    outside = work.parent / "outside"
    for place, text in ((work / "real", b"inside"), (outside, b"CANARY")):
        place.mkdir()
        (place / "f").write_bytes(text)
    (work / "link").symlink_to("../outside")
    (work / "real").rename(work / "d")
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            (work / "d").rename(work / "real")
            (work / "link").rename(work / "d")
            (work / "d").rename(work / "link")
            (work / "real").rename(work / "d")

    thread = threading.Thread(target=swap)
    thread.start()
    root, seen = Root(work), set()
    try:
        reads, ends = 0, time.monotonic() + 60
        while reads < 3000 or (len(seen) < 2 and time.monotonic() < ends):
            reads += 1
            try:
                with root.opened(root.reach("d/f"), os.O_RDONLY) as fd:
                    seen.add(os.pread(fd, 10, 0))
            except (OSError, AccessDenied) as e:
                seen.add(type(e).__name__)
    finally:
        stop.set()
        thread.join()
    assert b"CANARY" not in seen
    assert len(seen) > 1, "the swap never met a read: the test saw nothing"
