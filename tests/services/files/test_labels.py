import asyncio
import os

import pytest

from oros.abi.errors import Corrupt
from oros.abi.labels import USER, Integrity, Label
from oros.abi.ports import Caller
from oros.services.files import marks
from oros.services.files.folder import Folder

SECRET = Label(Integrity.USER, frozenset({"owner"}), frozenset({"mail:17"}))


def label_of(folder, path="f", who=USER) -> Label:
    return asyncio.run(folder.read(Caller(7, "k", who), path, 0, 99)).label


def write(folder, label, path="f") -> None:
    asyncio.run(folder.write(Caller(7, "k", label), path, b"text"))


def test_a_file_of_the_user_is_text_of_others(folder, work) -> None:
    (work / "f").write_text("x")
    assert label_of(folder) == Label(
        Integrity.THIRD, None, frozenset({"user", f"file:{work.resolve()}/f"})
    )


def test_a_written_file_has_its_writers_label_and_keeps_it(folder, work, shelf) -> None:
    write(folder, USER)
    assert label_of(folder) == USER
    assert label_of(Folder(work, shelf)) == USER  # after a restart


@pytest.mark.parametrize(
    "edit",
    [
        lambda p: p.write_text("more text"),
        lambda p: p.write_text("TEXT"),
        lambda p: (p.write_text("TEXT"), os.utime(p, ns=(0, 0))),
        lambda p: (p.unlink(), p.write_text("text")),
    ],
)
def test_an_edit_drops_the_trust(folder, work, edit) -> None:
    write(folder, USER)
    before = (work / "f").stat()
    edit(work / "f")
    os.utime(work / "f", ns=(before.st_atime_ns, before.st_mtime_ns))  # a forger's touch
    assert label_of(folder).integrity is Integrity.THIRD


def test_secrecy_survives_edits_and_reaches_listings(folder, work) -> None:
    assert asyncio.run(folder.list(Caller(7, "k", USER), "", 1, 0, 9)).label.readers is None
    write(folder, SECRET, "sub/f")
    (work / "sub" / "f").write_text("edited")
    (work / "other").write_text("x")
    assert label_of(folder, "sub/f").readers == frozenset({"owner"})
    assert label_of(folder, "other").readers is None
    for top in ("", "sub"):
        for call in (folder.list(Caller(7, "k", USER), top, 1, 9, 9),
                     folder.search(Caller(7, "k", USER), top, "x", 9)):  # fmt: skip
            assert asyncio.run(call).label.readers == frozenset({"owner"})


def test_a_whole_new_text_has_its_own_label(folder) -> None:
    write(folder, SECRET)
    write(folder, USER)
    assert label_of(folder) == USER
    write(folder, SECRET)
    asyncio.run(folder.remove(Caller(7, "k", USER), "f"))
    write(folder, USER)
    assert label_of(folder) == USER


def test_a_crash_between_content_and_label_leaks_nothing(folder, monkeypatch) -> None:
    def crash(*_):
        raise KeyboardInterrupt

    write(folder, USER)
    monkeypatch.setattr(folder._labels, "keep", crash)
    with pytest.raises(KeyboardInterrupt):
        write(folder, SECRET)
    found = label_of(folder)
    assert (found.integrity, found.readers) == (Integrity.THIRD, frozenset({"owner"}))


def test_a_link_has_the_label_of_its_file(folder, work) -> None:
    write(folder, SECRET)
    (work / "link").symlink_to("f")
    assert label_of(folder, "link").readers == frozenset({"owner"})


def test_a_label_that_can_not_be_read_is_corrupt(folder, work, shelf) -> None:
    write(folder, USER)
    shelf.update(dict.fromkeys(shelf, "{]"))
    with pytest.raises(Corrupt):
        label_of(folder)


def test_a_mark_goes_along_and_only_lowers(folder, work, shelf) -> None:
    write(folder, SECRET)
    (work / "f").rename(work / "g")
    found = label_of(Folder(work, type(shelf)()), "g")  # a machine that knows nothing of it
    assert (found.integrity, found.readers) == (Integrity.THIRD, frozenset({"owner"}))
    assert "mail:17" in found.origins
    os.setxattr(work / "g", marks.NAME, b'{"i":3,"r":null,"o":[]}')  # whoever may write it
    assert label_of(folder, "g").integrity is Integrity.THIRD


@pytest.mark.parametrize("data", [b"", b"{]", b"{}", b"[]", b'{"i":9,"r":null,"o":[]}', b"\xff"])
def test_a_mark_that_can_not_be_read_is_the_worst(folder, work, data) -> None:
    (work / "f").write_text("x")
    os.setxattr(work / "f", marks.NAME, data)
    assert "web:*" in label_of(folder).origins


def test_a_mark_holds_no_more_than_a_file_system_takes(folder, work) -> None:
    many = Label(Integrity.THIRD, None, frozenset(f"web:host{n}.example" for n in range(900)))
    write(folder, many)
    assert label_of(folder).origins >= many.origins  # by the settings
    (work / "f").rename(work / "g")
    assert "web:*" in label_of(folder, "g").origins
