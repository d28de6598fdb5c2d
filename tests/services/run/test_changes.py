import os

from hypothesis import given
from hypothesis import strategies as st
from tests.services.layers.trees import copied, layered

from oros.services.files.resolve import Root
from oros.services.layers.tree import Layer
from oros.services.run.changes import Mark, changes_of, difference


def told(work, act):
    before = copied(Root(work), work.parent / "before")
    act()
    layered(before, work, work.parent / "layer")
    found = changes_of(Layer(work.parent / "layer"), [], Root(before))
    return [(c.change, c.path, c.source) for c in found]


def tree(work, *paths) -> None:
    for path in paths:
        (work / path).parent.mkdir(parents=True, exist_ok=True)
        (work / path).write_text(path)


def test_added_modified_removed(work) -> None:
    tree(work, "a", "b", "d/c")

    def act() -> None:
        tree(work, "new/deep/f")
        (work / "a").write_text("A")
        (work / "b").unlink()
        (work / "empty").mkdir()
        (work / "link").symlink_to("a")

    assert told(work, act) == [
        ("modified", "a", ""), ("removed", "b", ""), ("added", "empty", ""), ("added", "link", ""),
        ("added", "new/deep/f", "")]  # fmt: skip


def test_renames_of_files_and_of_whole_folders(work) -> None:
    tree(work, "a", "d/x", "d/y", "d/sub/z", "e/k")

    def act() -> None:
        (work / "a").rename(work / "b")
        (work / "d").rename(work / "moved")
        (work / "moved" / "y").rename(work / "moved" / "why")
        (work / "e" / "k").rename(work / "k")

    assert told(work, act) == [
        ("renamed", "b", "a"), ("renamed", "k", "e/k"), ("renamed", "moved/sub/z", "d/sub/z"),
        ("renamed", "moved/why", "d/y"), ("renamed", "moved/x", "d/x")]  # fmt: skip


def test_a_folder_that_becomes_a_file(work) -> None:
    tree(work, "x/f")

    def act() -> None:
        (work / "x" / "f").unlink()
        (work / "x").rmdir()
        (work / "x").write_text("now a file")

    assert told(work, act) == [("added", "x", ""), ("removed", "x/f", "")]


def test_a_forged_time_does_not_hide_a_change(work) -> None:
    tree(work, "f")
    old = (work / "f").stat()

    def act() -> None:
        (work / "f").write_text("F")
        os.utime(work / "f", ns=(old.st_atime_ns, old.st_mtime_ns))

    assert told(work, act) == [("modified", "f", "")]


def test_a_file_that_moves_into_the_records_is_gone(work) -> None:
    tree(work, ".git/config", "f")
    moved = told(work, lambda: (work / "f").rename(work / ".git" / "f"))
    assert moved == [("modified", ".git", ""), ("removed", "f", "")]


def test_the_records_of_version_control_are_one_change(work) -> None:
    tree(work, ".git/config", ".git/objects/aa/1", "f")

    def act() -> None:
        tree(work, ".git/objects/bb/2", ".git/index", "sub/.git/HEAD")
        (work / ".git" / "config").unlink()

    assert told(work, act) == [("modified", ".git", ""), ("added", "sub/.git", "")]


MARKS = st.builds(
    Mark, st.sampled_from(["file", "dir", "link"]), st.integers(0, 2), st.integers(0, 2),
    st.integers(0, 2), st.just(0), st.integers(0, 3))  # fmt: skip
NAMES = st.sampled_from(["a", "a/b", "a/b/c", "d", ".git", ".git/x"])


def whole(found):
    """Each entry lies in a folder."""
    for path in list(found):
        while "/" in path:
            path = path.rpartition("/")[0]
            found[path] = found.get(path, Mark("dir", 0, 0, 0, 0, 9))._replace(kind="dir")
    return found


FOLDERS = st.dictionaries(NAMES, MARKS).map(whole)


@given(FOLDERS, FOLDERS)
def test_any_two_manifests_can_be_told_apart(before, after) -> None:
    found = difference(before, after)
    if before == after:
        assert found == []
    for item in found:
        assert item.path in before or item.path in after
        assert item.change != "added" or item.path in after
        assert (item.change == "renamed") == bool(item.source)
    assert len(found) == len({(c.path, c.change) for c in found})
