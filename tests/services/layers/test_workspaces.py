import asyncio
import time

import pytest

from oros.abi.errors import AccessDenied, Invalid, NotFound
from oros.abi.labels import USER
from oros.abi.ports import Caller
from oros.services.layers.workspaces import KEPT_SECONDS, Request, Workspaces


class Shelf(dict):
    get_setting = dict.get
    put_setting = dict.__setitem__


PERSON = Caller(0, "p", USER)


@pytest.fixture
def spaces(tmp_path):
    (tmp_path / "work").mkdir()
    return Workspaces(Shelf(), tmp_path / "layers")


def write(spaces, tmp_path, name, key, *, review=False) -> None:
    who = Caller(2, f"n:2:{key}", USER, since=4e9)
    space = spaces.space(tmp_path / "work")
    asyncio.run(space.write(who, name, b"text", review=review))


def act(spaces, who=PERSON, **words):
    return asyncio.run(spaces.act(who, 2, Request(**words)))


def test_only_the_person_acts(spaces, tmp_path) -> None:
    write(spaces, tmp_path, "f", 1, review=True)
    with pytest.raises(AccessDenied):
        act(spaces, Caller(2, "n:2:9", USER), do="commit")
    assert act(spaces, do="commit")["done"] == ["f"]


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"do": "dance"}', b'{"do": "undo", "x": 1}',
                                  b'{"do": "undo", "to": "3"}'])  # fmt: skip
def test_words_that_are_no_act(data) -> None:
    with pytest.raises(Invalid):
        Request.read(data)


def test_nothing_to_do_is_said(spaces, tmp_path) -> None:
    for do in ("commit", "discard", "undo", "redo"):
        with pytest.raises(NotFound):
            act(spaces, do=do)
    write(spaces, tmp_path, "f", 1)
    act(spaces, do="undo")
    with pytest.raises(NotFound):
        act(spaces, do="undo")


def test_an_undo_tells_of_the_changes_that_stay(spaces, tmp_path) -> None:
    for number, name in enumerate("fgh", 1):
        write(spaces, tmp_path, name, number)
    assert [act(spaces, do="undo").get("left") for _ in range(3)] == [2, 1, None]
    assert "left" not in act(spaces, do="redo")
    assert "left" not in act(spaces, do="undo", to=0)


def test_the_person_writes_into_the_folder_itself(spaces, tmp_path) -> None:
    asyncio.run(spaces.space(tmp_path / "work").write(PERSON, "mine", b"x"))
    assert (tmp_path / "work" / "mine").read_bytes() == b"x"
    assert not (tmp_path / "layers").exists()


def test_old_changes_are_forgotten_but_nothing_that_waits(spaces, tmp_path) -> None:
    write(spaces, tmp_path, "f", 1)
    now = time.time()
    assert spaces.sweep(now + KEPT_SECONDS - 60) == []
    assert len(spaces.sweep(now + KEPT_SECONDS + 60)) == 1
    assert (tmp_path / "work" / "f").read_bytes() == b"text"
    assert list((tmp_path / "layers").iterdir()) == []
    fresh = Workspaces(spaces._settings, tmp_path / "layers")
    with pytest.raises(NotFound):
        act(fresh, do="undo")
    write(fresh, tmp_path, "g", 2, review=True)
    assert fresh.sweep(now + 2 * KEPT_SECONDS) == []
    assert act(fresh, do="commit")["done"] == ["g"]
