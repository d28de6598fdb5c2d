"""Folders that the user mounted: paths, rights, layers, and what the machine keeps of them."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from tests.services.files.conftest import Shelf

from oros.abi.errors import AccessDenied, Invalid, NotFound, Unsupported
from oros.abi.ids import PERSON, Pid
from oros.abi.labels import USER, Integrity, Label
from oros.abi.ports import Caller
from oros.services.files.below import Below
from oros.services.homes import Homes
from oros.services.layers.workspaces import Request, Workspaces

WEB = Label(Integrity.THIRD, None, frozenset({"web:x.example"}))


def who(call: int = 1, label: Label = USER) -> Caller:
    return Caller(Pid(7), f"n:7:{call}", label, since=4e9)


@pytest.fixture
def notes(tmp_path):
    folder = tmp_path / "My Notes"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.txt").write_text("alpha\n")
    (folder / "sub" / "b.txt").write_text("alpha beta\n")
    return folder


@pytest.fixture
def shelf():
    return Shelf()


@pytest.fixture
def spaces(tmp_path, shelf):
    (tmp_path / "home").mkdir()
    return Workspaces(shelf, tmp_path / "home" / "layers", own=tmp_path / "home")


@pytest.fixture
def homes(spaces, shelf):
    return Homes(shelf, lambda h: spaces.space(Path(h.folder)))


def run(coroutine):
    return asyncio.run(coroutine)


def test_paths_are_those_beneath_home(homes, notes) -> None:
    assert homes.mount(str(notes), "", read_only=False, index=False).name == "my-notes"
    homes.mount(str(notes / "sub"), "/home/b", read_only=False, index=False)
    top = run(homes.list(who(), "", 1, 0, 9)).value["entries"]
    assert [e["path"] for e in top] == ["b", "my-notes"]
    inner = run(homes.list(who(), "my-notes", 2, 0, 9)).value["entries"]
    assert [e["path"] for e in inner] == ["my-notes/a.txt", "my-notes/sub", "my-notes/sub/b.txt"]
    assert run(homes.read(who(), "b/b.txt", 0, 99)).value["path"] == "b/b.txt"
    assert run(homes.stat(who(), "my-notes")).value["kind"] == "dir"
    hits = run(homes.search(who(), "", "alpha", 9)).value["hits"]
    assert {h["path"] for h in hits} == {"b/b.txt", "my-notes/a.txt", "my-notes/sub/b.txt"}
    assert run(homes.search(who(), "", "alpha", 2)).value["more"]


def test_read_only_is_read_only(homes, notes) -> None:
    homes.mount(str(notes), "n", read_only=True, index=False)
    for call in (homes.write(who(), "n/new", b"x"), homes.remove(who(), "n/a.txt")):
        with pytest.raises(AccessDenied, match="mounted to read"):
            run(call)
    with pytest.raises(Unsupported):
        run(homes.write(who(), "", b"x"))
    assert run(homes.read(who(), "n/a.txt", 0, 99)).parts[0].text == "alpha\n"


def test_changes_are_layers_that_are_undone(homes, notes, spaces) -> None:
    homes.mount(str(notes), "n", read_only=False, index=False)
    run(homes.write(who(), "n/a.txt", b"changed"))
    assert (notes / "a.txt").read_text() == "changed"
    run(spaces.act(Caller(PERSON, "p", USER), Pid(7), Request("undo")))
    assert (notes / "a.txt").read_text() == "alpha\n"
    run(homes.write(who(2, WEB), "n/a.txt", b"evil"))
    assert (notes / "a.txt").read_text() == "alpha\n"  # it waits
    assert "evil" in run(spaces.diff(Pid(7)))


def test_in_a_review_they_wait(homes, notes, spaces) -> None:
    homes.mount(str(notes), "n", read_only=False, index=False)
    reviewed = homes.reviewed(lambda h: spaces.reviewed(Path(h.folder)))
    run(reviewed.write(who(), "n/a.txt", b"changed"))
    assert (notes / "a.txt").read_text() == "alpha\n"
    assert run(reviewed.read(who(2), "n/a.txt", 0, 99)).parts[0].text == "changed"
    homes.unmount("n")
    with pytest.raises(NotFound):
        run(reviewed.read(who(3), "n/a.txt", 0, 99))  # the same folders


def test_they_are_there_after_a_restart(homes, notes, shelf) -> None:
    homes.mount(str(notes), "n", read_only=True, index=True)
    again = Homes(shelf, lambda _: pytest.fail("nobody asked"))
    assert again.mounted == homes.mounted


def test_an_index_that_is_not_whole_says_so(homes, notes) -> None:
    homes.mount(str(notes), "n", read_only=True, index=False)
    plain = homes.server("n")

    class Half:
        async def search(self, *args):
            found = await plain.search(*args)
            return replace(found, value={**found.value, "index": "indexing, 3 files left"})

    homes._servers["n"] = Half()
    found = run(homes.search(who(), "", "alpha", 9)).value
    assert found["index"] == "/home/n: indexing, 3 files left"
    assert found["hits"]


@pytest.mark.parametrize("name", ["../x", "A b", ".x", "x" * 41, "a/b"])
def test_names_that_are_none(homes, notes, name) -> None:
    with pytest.raises(Invalid):
        homes.mount(str(notes), name, read_only=False, index=False)
    assert not homes.mounted


def test_folders_that_are_none(homes, notes, tmp_path) -> None:
    for folder, error in ((notes / "a.txt", Invalid), (notes / "no", NotFound),
                          (tmp_path / "home", AccessDenied)):  # fmt: skip
        with pytest.raises(error):
            homes.mount(str(folder), "n", read_only=False, index=False)
    assert not homes.mounted
    with pytest.raises(NotFound):
        homes.unmount("n")


def test_a_folder_that_vanished_is_named(homes, notes) -> None:
    homes.mount(str(notes), "n", read_only=False, index=False)
    notes.rename(notes.with_name("gone"))
    with pytest.raises(NotFound):
        run(homes.read(who(), "n/a.txt", 0, 99))


def test_a_part_of_a_server_shows_nothing_else(homes, notes) -> None:
    homes.mount(str(notes), "n", read_only=False, index=False)
    below = Below(homes, "/n/sub")
    assert [e["path"] for e in run(below.list(who(), "", 1, 0, 9)).value["entries"]] == ["b.txt"]
    assert run(below.read(who(), "b.txt", 0, 99)).value["path"] == "b.txt"
    assert run(below.stat(who(), "b.txt")).value["path"] == "b.txt"
    hits = run(below.search(who(), "", "beta", 9)).value["hits"]
    assert [h["path"] for h in hits] == ["b.txt"]
    run(below.write(who(), "c.txt", b"x"))
    run(below.remove(who(2), "b.txt"))
    assert sorted(p.name for p in (notes / "sub").iterdir()) == ["c.txt"]
