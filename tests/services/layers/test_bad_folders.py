"""Folders that are in the way, go, fill up or change under us: one clear error, and all intact."""

import os
import random
import shutil
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.journeys.test_full_disk import fill, mounted
from tests.services.layers.test_stack import FREE, Settings
from tests.services.layers.trees import change, copied, layered, photo, sight

from oros.abi.errors import AccessDenied, Busy, Invalid, NoSpace, NotFound
from oros.services.files.resolve import Root
from oros.services.layers.apply import Apply
from oros.services.layers.capture import capture
from oros.services.layers.stack import FOR_EVER, MEANWHILE, Stack
from oros.services.layers.tree import remove_tree

TERA = 1 << 40


class Bench:
    """A folder and the changes of a process to it."""

    def __init__(self, top: Path, folder: Path | None = None, home: Path | None = None) -> None:
        self.top = top
        self.folder = folder or top / "folder"
        self.folder.mkdir(exist_ok=True)
        self.home = home or top / "home"
        self.settings = Settings()
        self.count = 0
        self.open()

    def open(self) -> None:
        self.stack = Stack(self.home, self.settings, "2-x", Root(self.folder))
        self.stack.recover()

    def program(self, act):
        """A call that does `act` to the folder as the process sees it."""
        self.count += 1
        before = copied(self.stack.view(), self.top / f"before{self.count}")
        after = self.top / f"after{self.count}"
        shutil.copytree(before, after, symlinks=True)
        act(after)
        return self.stack.add(f"k{self.count}", self.count, lambda p: layered(before, after, p))

    def bare(self) -> dict:
        return {p: v for p, v in photo(self.folder).items() if p != "."}


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


@pytest.fixture
def small(tmp_path):
    """A small disk."""
    mounted(tmp_path / "disk", "2m")
    yield tmp_path / "disk"
    subprocess.run(["umount", "--lazy", str(tmp_path / "disk")], check=True)


@pytest.fixture
def deep():
    """Makes folders in each other, and removes them: pytest itself would fail at that."""
    made = []

    def make(top: Path, name: str, count: int) -> None:
        made.append(top)
        here = os.open(top, os.O_RDONLY)
        for _ in range(count):
            os.mkdir(name, dir_fd=here)
            below = os.open(name, os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
        os.close(os.open("end", os.O_CREAT | os.O_WRONLY, dir_fd=here))
        os.close(here)

    yield make
    subprocess.run(["rm", "-rf", "--", *made], check=True)


# ---- another program in the same folder ----------------------------------------------------------

SWAPS = """
import ctypes, os, sys
os.chdir(sys.argv[1])
libc = ctypes.CDLL(None)
print("ready", flush=True)
while os.getppid() == int(sys.argv[2]):
    if libc.renameat2(-100, b"sub", -100, b"link", 2):  # both at once: RENAME_EXCHANGE
        sys.exit("they can't be swapped")
    for _ in range(300): os.stat(".")
"""


def test_a_folder_that_is_a_link_now_and_then(bench, tmp_path) -> None:
    """Whatever the moment, nothing is touched outside, and what is not in is known to wait."""
    outside = tmp_path / "outside"
    for top in (outside, bench.folder / "sub"):
        (top / "deep").mkdir(parents=True)
        for name in ("a", "deep/c"):
            (top / name).write_text(f"{top.name} {name}")
    (bench.folder / "link").symlink_to(outside)
    before, met, number, since = photo(outside), 0, -1, time.time_ns()
    words = [sys.executable, "-c", SWAPS, str(bench.folder), str(os.getpid())]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as swapper:
        assert swapper.stdout.readline() == b"ready\n"
        try:
            while number < 59 or (not met and number < 500):
                number += 1
                bench.stack.add(f"k{number}", number, lambda p, n=number: _beneath(p, f"{n}"))
                try:
                    met += bool(bench.stack.commit(since, FREE))
                except (AccessDenied, Busy, NotFound):
                    met += 1
        finally:
            swapper.terminate()
    assert met, "they never met"
    assert photo(outside) == before
    sub = bench.folder / "sub"
    if sub.is_symlink():
        sub.unlink()
        (bench.folder / "link").rename(sub)
    assert not [p for p in bench.folder.iterdir() if p.name.startswith(".oros-")]
    seen = {p: v[3] for p, v in sight(bench.stack.view()).items()}
    last = {seen[f"sub/{name}"] for name in ("a", "deep/c", f"new{number}")}
    assert last == {f"{number}".encode()}
    bench.stack.commit(FOR_EVER, FREE, force=True)
    assert not bench.stack.seen()
    assert {p: v[3] for p, v in bench.bare().items()} == seen
    assert photo(outside) == before


def _beneath(place: Path, text: str) -> list[str]:
    (place / "sub" / "deep").mkdir(parents=True)
    for name in ("a", "deep/c", f"new{text}"):
        (place / "sub" / name).write_text(text)
    return []


@pytest.mark.parametrize("at", range(8))
def test_a_folder_that_becomes_a_link_amid_the_steps(bench, tmp_path, monkeypatch, at) -> None:
    outside = tmp_path / "outside"
    for top in (outside, bench.folder / "sub"):
        top.mkdir()
        for name in "abc":
            (top / name).write_text(f"{top.name} {name}")
    bench.open()

    def act(top: Path) -> None:
        (top / "first").write_text("1")
        (top / "sub" / "a").write_text("A")
        (top / "sub" / "b").unlink()
        (top / "sub" / "new").mkdir()
        (top / "sub" / "new" / "x").write_text("x")

    bench.program(act)
    wanted, before = sight(bench.stack.view()), photo(outside)
    real, count = Apply._act, 0

    def racing(self, step) -> None:
        nonlocal count
        if count == at:
            (bench.folder / "sub").rename(bench.folder / "away")
            (bench.folder / "sub").symlink_to(outside)
        count += 1
        real(self, step)

    monkeypatch.setattr(Apply, "_act", racing)
    waits = bench.stack.commit(FOR_EVER, FREE)
    monkeypatch.undo()
    assert photo(outside) == before
    if count <= at:
        assert not waits  # it was over by then
        return
    (bench.folder / "sub").unlink()
    (bench.folder / "away").rename(bench.folder / "sub")
    assert set(waits.values()) <= {MEANWHILE}
    assert {p: v[3] for p, v in sight(bench.stack.view()).items()} == {
        p: v[3] for p, v in wanted.items()
    }
    bench.stack.commit(FOR_EVER, FREE, force=True)
    assert not bench.stack.seen()
    assert {p: v[3] for p, v in bench.bare().items()} == {p: v[3] for p, v in wanted.items()}


@pytest.mark.parametrize("what", ["edit", "make", "remove", "into"])
def test_my_own_change_amid_the_steps_is_kept_and_named(bench, monkeypatch, what) -> None:
    (bench.folder / "old").mkdir()
    for name in ("f", "gone", "old/x"):
        (bench.folder / name).write_text("as it was")
    bench.open()

    def act(top: Path) -> None:
        (top / "f").write_text("theirs")
        (top / "new").write_text("theirs")
        (top / "gone").unlink()
        shutil.rmtree(top / "old")

    made = bench.program(act)
    mine = {"edit": "f", "make": "new", "remove": "gone", "into": "old/mine"}[what]
    real, done = Apply._act, []

    def racing(self, step) -> None:
        if not done:
            (bench.folder / mine).write_text("my own")
        done.append(step)
        real(self, step)

    monkeypatch.setattr(Apply, "_act", racing)
    entry = "old" if what == "into" else mine
    assert bench.stack.commit(FOR_EVER, FREE) == {entry: MEANWHILE}
    monkeypatch.undo()
    assert (bench.folder / mine).read_text() == "my own"
    assert list(bench.stack.seen()) == [entry]
    assert bench.stack.commit(1, FREE).keys() == {entry}
    assert (bench.folder / mine).read_text() == "my own"
    bench.open()
    assert bench.stack.undo(bench.stack.changes[0]).keys() <= {entry}
    assert (bench.folder / mine).read_text() == "my own"
    assert (bench.folder / "gone").exists()
    assert (bench.folder / "old" / "x").read_text() == "as it was"
    assert made.number


# ---- the folder itself ---------------------------------------------------------------------------


def test_a_folder_that_goes_amid_a_commit(bench, monkeypatch) -> None:
    (bench.folder / "f").write_text("one")
    bench.program(lambda top: (top / "f").write_text("two"))
    real = Apply.prepare

    def prepared(self, *args, **kwargs) -> None:
        real(self, *args, **kwargs)
        shutil.rmtree(bench.folder)

    monkeypatch.setattr(Apply, "prepare", prepared)
    with pytest.raises(NotFound, match="gone"):
        bench.stack.commit(FOR_EVER, FREE)
    monkeypatch.undo()
    for _ in range(2):
        with pytest.raises(NotFound, match="gone"):
            bench.stack.commit(FOR_EVER, FREE)
    assert "f" in bench.stack.seen() or bench.stack.changes[0].waits
    bench.folder.mkdir()
    assert bench.stack.commit(FOR_EVER, FREE) == {}
    assert (bench.folder / "f").read_text() == "two"


def test_another_folder_of_the_same_name(bench) -> None:
    root = Root(bench.folder)
    (bench.folder / "f").write_text("first")
    bench.folder.rename(bench.top / "moved")
    with pytest.raises(NotFound, match="gone"):
        _ = root.live
    bench.folder.mkdir()
    (bench.folder / "f").write_text("second, longer")
    assert root.live == bench.folder
    assert root.lstat("f").st_size == len("second, longer")


# ---- no space ------------------------------------------------------------------------------------


@pytest.mark.parametrize("full", ["folder", "home"])
def test_no_space_at_a_commit(tmp_path, small, full) -> None:
    places = {"folder": small / "folder"} if full == "folder" else {"home": small / "home"}
    bench = Bench(tmp_path, **places)
    (bench.folder / "a").write_bytes(b"a" * 300_000)
    (bench.folder / "b").write_text("old")

    def act(top: Path) -> None:
        (top / "a").write_bytes(b"b" * 300_000)
        (top / "b").unlink()

    bench.program(act)
    before = bench.bare()
    fill(small)
    with pytest.raises(NoSpace, match=str(small)) as told:
        bench.stack.commit(FOR_EVER, FREE)
    assert "free some space" in told.value.hint
    assert bench.bare() == before
    assert bench.stack.seen().keys() == {"a", "b"}
    bench.open()
    with pytest.raises(NoSpace):
        bench.stack.commit(FOR_EVER, FREE)
    (small / "filler").unlink()
    assert bench.stack.commit(FOR_EVER, FREE) == {}
    assert (bench.folder / "a").read_bytes() == b"b" * 300_000
    assert bench.stack.undo(bench.stack.changes[0]) == {}
    assert bench.bare() == before


def test_no_space_for_a_layer(tmp_path, small) -> None:
    bench = Bench(tmp_path, home=small / "home")
    (tmp_path / "upper").mkdir()
    (tmp_path / "upper" / "big").write_bytes(bytes(range(256)) * 20_000)
    with pytest.raises(NoSpace, match=str(small)):
        bench.stack.add("k", 1, lambda p: capture(Root(tmp_path / "upper"), p))
    assert bench.stack.changes == []
    assert [p for p in (small / "home").rglob("*") if p.is_file()] == []


# ---- things that are hard to hold ----------------------------------------------------------------


def test_a_file_that_is_mostly_hole(bench, tmp_path) -> None:
    for top, word in ((bench.folder, b"old"), (tmp_path / "upper", b"new")):
        top.mkdir(exist_ok=True)
        with (top / "sparse").open("wb") as file:
            file.truncate(TERA)
            file.seek(TERA // 2)
            file.write(word)
    before = photo_of_holes(bench.folder)
    made = bench.stack.add("k", 1, lambda p: capture(Root(tmp_path / "upper"), p))
    assert bench.stack.commit(FOR_EVER, FREE) == {}
    about = (bench.folder / "sparse").stat()
    assert (about.st_size, about.st_blocks < 1000) == (TERA, True)
    assert photo_of_holes(bench.folder) != before
    assert bench.stack.undo(made) == {}
    assert photo_of_holes(bench.folder) == before
    again = tmp_path / "again"
    again.mkdir()
    copied_file = again / "sparse"
    subprocess.run(["cp", "-a", "--sparse=always", bench.folder / "sparse", again], check=True)
    assert copied_file.stat().st_size == TERA
    shutil.copystat(bench.folder, again)
    assert bench.stack.add("k2", 2, lambda p: capture(Root(again), p)) is None  # it is the same


def photo_of_holes(top: Path) -> tuple:
    about = (top / "sparse").stat()
    with (top / "sparse").open("rb") as file:
        file.seek(TERA // 2)
        return about.st_size, about.st_mtime_ns, about.st_mode, file.read(3)


def test_folders_that_lie_too_deep(bench, tmp_path, deep) -> None:
    upper = tmp_path / "upper"
    upper.mkdir()
    deep(upper, "x" * 200, 30)
    with pytest.raises(Invalid, match="too deep"):
        bench.stack.add("k", 1, lambda p: capture(Root(upper), p))
    assert bench.stack.changes == []
    assert list((bench.home / "2-x").iterdir()) == []
    assert bench.bare() == {}


def test_folders_that_lie_deep_come_in_and_go(bench, tmp_path, deep) -> None:
    upper = tmp_path / "upper"
    upper.mkdir()
    deep(upper, "d", 1500)  # more than Python recurses, less than a path may have
    made = bench.stack.add("k", 1, lambda p: capture(Root(upper), p))
    assert bench.stack.commit(FOR_EVER, FREE) == {}
    assert (bench.folder / Path("d/" * 1500) / "end").exists()
    assert bench.stack.undo(made) == {}
    assert bench.bare() == {}
    bench.stack.discard()
    remove_tree(bench.home)
    assert not bench.home.exists()


def test_my_folders_that_lie_too_deep_stay(bench, deep) -> None:
    (bench.folder / "top").mkdir()
    bench.open()
    bench.program(lambda top: (top / "top").rmdir())
    deep(bench.folder / "top", "x" * 200, 30)
    (why,) = bench.stack.commit(FOR_EVER, FREE).values()
    assert "can't be looked through" in why
    assert (bench.folder / "top" / ("x" * 200)).exists()


@pytest.mark.parametrize("kind", ["fifo", "socket", "device"])
def test_things_that_are_no_files_stay(bench, kind) -> None:
    place = bench.folder / "thing"
    place.write_text("for now")
    bench.open()
    bench.program(lambda top: (top / "thing").write_text("new"))
    place.unlink()
    if kind == "fifo":
        os.mkfifo(place)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(place))
    else:
        if os.geteuid() != 0:
            pytest.skip("only root makes devices")
        os.mknod(place, stat.S_IFCHR | 0o600, os.makedev(1, 3))
    about = place.lstat()
    assert bench.stack.commit(FOR_EVER, FREE, force=True) == {
        "thing": f"it is no ordinary file but a {kind}"
    }
    assert place.lstat() == about


def test_only_the_case_of_a_name(bench) -> None:
    (bench.folder / "Read Me").write_text("x")
    (bench.folder / "Dir").mkdir()
    (bench.folder / "Dir" / "f").write_text("f")
    before = bench.bare()

    def act(top: Path) -> None:
        (top / "Read Me").rename(top / "read me")
        (top / "Dir").rename(top / "dir")

    made = bench.program(act)
    assert bench.stack.commit(FOR_EVER, FREE) == {}
    assert sorted(p.name for p in bench.folder.iterdir()) == ["dir", "read me"]
    assert bench.stack.undo(made) == {}
    assert bench.bare() == before


def test_what_no_program_could_make_comes_back(bench) -> None:
    """Attributes, rights of a group's folder, further names: as they were, to the inode."""
    file, group = bench.folder / "f", bench.folder / "group"
    file.write_text("x")
    group.mkdir()
    (group / "g").write_text("g")
    group.chmod(0o2775)
    file.chmod(0o4755)
    os.setxattr(file, "user.note", b"mine")
    before, inode = photo(bench.folder), file.stat().st_ino
    made = bench.stack.add("k", 1, lambda p: _edited(p))
    assert bench.stack.commit(FOR_EVER, FREE) == {}
    assert file.read_text() == "edited"
    assert group.stat().st_mode & 0o7777 == 0o2700
    assert bench.stack.undo(made) == {}
    assert photo(bench.folder) == before
    assert os.getxattr(file, "user.note") == b"mine"
    assert (file.stat().st_ino, file.stat().st_nlink) == (inode, 1)


def _edited(place: Path) -> list[str]:
    (place / "group").mkdir(parents=True)
    (place / "f").write_text("edited")
    (place / "group" / "g").write_text("edited")
    (place / "group").chmod(0o700)
    return []


def test_two_processes_change_a_file_and_both_are_undone_the_last_first(bench) -> None:
    file = bench.folder / "f"
    file.write_text("as it was")
    before = bench.bare()
    other = Stack(bench.home, bench.settings, "3-x", Root(bench.folder))
    first = bench.stack.add("k1", 1, lambda p: _one(p, "f", "by the first"))
    assert bench.stack.commit(time.time_ns(), FREE) == {}
    second = other.add("k2", 2, lambda p: _one(p, "f", "by the second"))
    assert other.commit(time.time_ns(), FREE) == {}
    for _ in range(2):
        assert other.undo(second) == {}
        assert file.read_text() == "by the first"
        assert other.redo(second, second.at) == {}
        assert file.read_text() == "by the second"
    assert other.undo(second) == {}
    assert bench.stack.undo(first) == {}
    assert bench.bare() == before


def test_an_attribute_comes_along_and_none_that_gives_rights(bench) -> None:
    def fill(place: Path) -> list[str]:
        place.mkdir()
        (place / "f").write_text("x")
        os.setxattr(place / "f", "user.note", b"theirs")
        os.setxattr(place / "f", "user.overlay.origin", b"x")
        return []

    bench.stack.add("k", 1, fill)
    bench.stack.commit(FOR_EVER, FREE)
    assert os.listxattr(bench.folder / "f") == ["user.note"]


def test_an_edit_of_mine_stays_mine_in_later_turns(bench) -> None:
    """A change that waits over it does not come in because I have spoken since."""
    (bench.folder / "f").write_text("old")
    begun = time.time_ns()
    made = bench.stack.add("k1", 1, lambda p: _one(p, "f", "theirs"), begun)
    time.sleep(0.02)  # ctime ticks with the kernel
    (bench.folder / "f").write_text("mine")
    assert bench.stack.commit(begun, FREE) == {"f": "you changed it"}
    time.sleep(0.02)
    later = time.time_ns()
    bench.stack.add("k2", 2, lambda p: _one(p, "g", "more"), later)
    assert bench.stack.commit(later, FREE) == {"f": "you changed it"}
    assert (bench.folder / "f").read_text() == "mine"
    assert (bench.folder / "g").read_text() == "more"
    assert made.waits


def _one(place: Path, name: str, text: str) -> list[str]:
    place.mkdir()
    (place / name).write_text(text)
    return []


def test_many_files(bench) -> None:
    """More than a commit holds open at once."""
    bench.stack.add("k", 1, _many)
    assert bench.stack.commit(FOR_EVER, FREE) == {}
    assert len(list((bench.folder / "many").iterdir())) == 1500
    assert bench.stack.undo(bench.stack.changes[0]) == {}
    assert bench.bare() == {}


def _many(place: Path) -> list[str]:
    (place / "many").mkdir(parents=True)
    for number in range(1500):
        (place / "many" / str(number)).write_text(str(number))
    return []


@pytest.mark.parametrize("seed", range(8))
def test_on_two_disks(tmp_path, small, seed) -> None:
    """Where a second name can't be given, a copy does."""
    bench = Bench(tmp_path, home=small / "home")
    chance = random.Random(seed)
    change(bench.folder, chance, 25)
    bench.open()
    before = bench.bare()
    made = bench.program(lambda top: change(top, chance, 10))
    seen = sight(bench.stack.view())
    assert bench.stack.commit(FOR_EVER, FREE) == {}
    assert sight(Root(bench.folder)) == seen
    if made:
        assert bench.stack.undo(made) == {}
    assert bench.bare() == before
