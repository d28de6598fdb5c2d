import os
import stat
from pathlib import Path

import pytest

from oros.services.files.resolve import Root
from oros.services.layers.apply import Apply
from oros.services.layers.plan import plan
from oros.services.layers.tree import Layer, make_opaque, white_out

FUTURE = 1 << 62


def photo(top: Path):
    """Everything about a tree that has to come back, as one value."""
    found = {}
    for folder, folders, files in os.walk(top):
        for name in [*folders, *files, "."]:
            path = Path(folder) / name
            about = path.lstat()
            kind = stat.S_IFMT(about.st_mode)
            body = b""
            if stat.S_ISLNK(about.st_mode):
                body = os.fsencode(path.readlink())
            elif stat.S_ISREG(about.st_mode):
                body = path.read_bytes()
            mode = stat.S_IMODE(about.st_mode)
            found[str(path.relative_to(top))] = kind, mode, about.st_mtime_ns, body
    return found


def lay(top: Path, files: dict) -> Path:
    """Make a tree: bytes are files, None whiteouts, a str a link, {} a folder."""
    top.mkdir()
    for path, what in files.items():
        place = top / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if what is None:
            fd = os.open(place.parent, os.O_RDONLY)
            white_out(fd, place.name)
            os.close(fd)
        elif isinstance(what, str):
            place.symlink_to(what)
        elif isinstance(what, bytes):
            place.write_bytes(what)
        else:
            place.mkdir(exist_ok=True)
    return top


def put(folder: Path, layer: Path, room: Path, known=None, since=FUTURE, wanted=lambda _: True):
    target, source = Root(folder), Layer(layer)
    made = plan(target, source, known or {}, since, wanted)
    act = Apply(target, room)
    act.prepare(source, made)
    return made, act.finish(), act.inverse


@pytest.fixture
def folder(tmp_path):
    base = lay(
        tmp_path / "base",
        {
            "a.txt": b"one",
            "b.txt": b"two",
            "old/x": b"x",
            "old/deep/y": b"y",
            "link": "a.txt",
            "kept/z": b"z",
        },
    )
    for path in sorted(base.rglob("*"), reverse=True):
        os.utime(path, ns=(10**18, 10**18 + len(str(path))), follow_symlinks=False)
    (base / "b.txt").chmod(0o640)
    (base / "kept").chmod(0o750)
    return base


def test_a_layer_comes_in_goes_out_and_comes_in_again(folder, tmp_path):
    layer = lay(
        tmp_path / "layer",
        {
            "a.txt": b"changed",
            "b.txt": None,
            "old": None,
            "new/deep/file": b"n",
            "link": "b.txt",
            "kept/more": b"m",
            "other": "../x",
        },
    )
    before = photo(folder)
    made, left, inverse = put(folder, layer, tmp_path / "r1")
    assert not made.conflicts
    assert (folder / "a.txt").read_bytes() == b"changed"
    assert not (folder / "b.txt").exists()
    assert not (folder / "old").exists()
    assert (folder / "new/deep/file").read_bytes() == b"n"
    assert (folder / "link").readlink() == Path("b.txt")
    after = photo(folder)
    made, left, again = put(folder, inverse, tmp_path / "r2", left)
    assert not made.conflicts
    assert photo(folder) == before
    made, left, _ = put(folder, again, tmp_path / "r3", left)
    assert not made.conflicts
    assert photo(folder) == after


def test_a_folder_becomes_a_file_and_a_file_a_folder(folder, tmp_path):
    layer = lay(tmp_path / "layer", {"old": b"a file now", "a.txt/in": b"in"})
    before = photo(folder)
    made, left, inverse = put(folder, layer, tmp_path / "r1")
    assert (folder / "old").read_bytes() == b"a file now"
    assert (folder / "a.txt/in").read_bytes() == b"in"
    made, left, _ = put(folder, inverse, tmp_path / "r2", left)
    assert not made.conflicts
    assert photo(folder) == before


def test_an_opaque_folder_takes_the_place_of_the_other(folder, tmp_path):
    layer = lay(tmp_path / "layer", {"old/fresh": b"f"})
    fd = os.open(layer / "old", os.O_RDONLY)
    make_opaque(fd)
    os.close(fd)
    before = photo(folder)
    _, left, inverse = put(folder, layer, tmp_path / "r1")
    assert sorted(p.name for p in (folder / "old").iterdir()) == ["fresh"]
    put(folder, inverse, tmp_path / "r2", left)
    assert photo(folder) == before


def test_what_the_user_changed_is_left_alone_and_named(folder, tmp_path):
    since = max(p.lstat().st_ctime_ns for p in folder.rglob("*")) + 1
    layer = lay(tmp_path / "layer", {"a.txt": b"mine", "kept/new": b"n", "old": None})
    (folder / "a.txt").write_bytes(b"yours")
    (folder / "old/deep/added").write_bytes(b"yours too")
    made, left, inverse = put(folder, layer, tmp_path / "r1", since=since)
    assert set(made.conflicts) == {"a.txt", "old"}
    assert "added" in made.conflicts["old"]
    assert (folder / "a.txt").read_bytes() == b"yours"
    assert (folder / "old/x").read_bytes() == b"x"
    assert (folder / "kept/new").read_bytes() == b"n"
    (folder / "kept/new").write_bytes(b"edited")
    made, left, _ = put(folder, inverse, tmp_path / "r2", left, since)
    assert set(made.conflicts) == {"kept/new"}
    assert (folder / "kept/new").read_bytes() == b"edited"


def test_only_what_is_wanted_comes_in(folder, tmp_path):
    layer = lay(tmp_path / "layer", {"sub/.envrc": b"evil", "sub/fine": b"fine", "a.txt": b"A"})
    made, *_ = put(folder, layer, tmp_path / "r1", wanted=lambda p: not p.endswith(".envrc"))
    assert (folder / "sub/fine").exists()
    assert not (folder / "sub/.envrc").exists()
    assert "sub/.envrc" not in made.done


def test_before_the_steps_are_written_down_it_can_be_forgotten(folder, tmp_path):
    before = photo(folder)
    target, source = Root(folder), Layer(lay(tmp_path / "layer", {"a.txt": b"A", "n/m": b"m"}))
    act = Apply(target, tmp_path / "room")
    act.prepare(source, plan(target, source, {}, FUTURE, lambda _: True))
    again = Apply(target, tmp_path / "room")
    again.forget()
    again.clear()
    after = photo(folder)
    after["."] = before["."]
    assert after == before
    assert not (tmp_path / "room").exists()


def test_it_can_be_finished_from_any_point(folder, tmp_path):
    layer = lay(
        tmp_path / "layer",
        {"a.txt": b"A", "b.txt": None, "old": None, "new/x": b"x", "new/y": "x", "kept/z": b"Z"},
    )
    import shutil

    other = tmp_path / "other"
    shutil.copytree(folder, other, symlinks=True)
    put(other, layer, tmp_path / "whole")
    want = {p: v[3] for p, v in photo(other).items()}
    steps = 0
    while True:
        copy = tmp_path / f"copy{steps}"
        shutil.copytree(folder, copy, symlinks=True)
        target, source = Root(copy), Layer(layer)
        act = Apply(target, tmp_path / f"room{steps}")
        act.prepare(source, plan(target, source, {}, FUTURE, lambda _: True))

        class Died(BaseException):
            pass

        count = 0
        do = act._do

        def dying(step, do=do, most=steps):
            nonlocal count
            count += 1
            if count > most:
                raise Died
            do(step)

        act._do = dying
        try:
            act.finish()
            break
        except Died:
            again = Apply(Root(copy), tmp_path / f"room{steps}")
            assert again.decided
            left = again.finish()
        assert {p: v[3] for p, v in photo(copy).items()} == want
        back = Layer(again.inverse)
        made = plan(target, back, left, FUTURE, lambda _: True)
        undo = Apply(target, tmp_path / f"undo{steps}")
        undo.prepare(back, made)
        undo.finish()
        was = {p: (v[0], v[1], v[3]) for p, v in photo(folder).items()}
        assert {p: (v[0], v[1], v[3]) for p, v in photo(copy).items()} == was
        steps += 1
    assert steps > 6
