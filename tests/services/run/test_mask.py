"""The machine's own home in a folder that processes work in: no process sees it."""

import asyncio

import pytest
from tests.services.run.conftest import Shelf

from oros.abi.errors import AccessDenied, OrosError
from oros.abi.ids import PERSON, Pid
from oros.abi.labels import USER
from oros.abi.ports import Caller
from oros.services.layers.workspaces import Request, Workspaces
from oros.services.run.device import Means, RunDevice

HOME = ".local/share/oros"


@pytest.fixture
def made(tmp_path, bwrap):
    for place in (tmp_path.parent.parent, tmp_path.parent, tmp_path):
        place.chmod(0o755)
    work = tmp_path / "work"
    home = work / HOME
    home.mkdir(parents=True)
    (home / "seal.key").write_text("SECRET")
    (work / ".local" / "share" / "mine.txt").write_text("mine")
    (work / "link").symlink_to(f"{HOME}/seal.key")
    (work / "far").symlink_to(home)
    shelf = Shelf()
    spaces = Workspaces(shelf, home / "layers", own=home)
    space = spaces.space(work)
    return work, spaces, space, RunDevice(Means(bwrap, bwrap.python), space, shelf)


def who(call: int) -> Caller:
    return Caller(Pid(7), f"n:7:{call}", USER, since=4e9)


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("path", [HOME, f"{HOME}/seal.key", "link", "far", "far/seal.key",
                                  f"./{HOME}//seal.key"])  # fmt: skip
def test_calls_do_not_see_it(made, path, before) -> None:
    _, _, space, _ = made
    if before:  # seen through the process's own layers, too
        asyncio.run(space.write(who(1), ".local/share/new.txt", b"x", review=True))
    calls = {
        "read": lambda: space.read(who(2), path, 0, 99),
        "list": lambda: space.list(who(3), path, 1, 0, 9),
        "write": lambda: space.write(who(4), path, b"x"),
        "stat": lambda: space.stat(who(5), path),
        "remove": lambda: space.remove(who(6), path),
    }
    for name in ("read", "list", "write") if path in ("link", "far") else calls:
        with pytest.raises(OrosError):
            asyncio.run(calls[name]())


def test_it_is_in_no_listing_and_found_by_no_search(made) -> None:
    _, _, space, _ = made
    entries = asyncio.run(space.list(who(1), "", 9, 9, 99)).value["entries"]
    assert ".local/share/mine.txt" in {e["path"] for e in entries}
    assert not [e for e in entries if HOME in e["path"]]
    assert asyncio.run(space.search(who(2), "", "SECRET", 9)).value["hits"] == []


def test_no_program_runs_over_it(made) -> None:
    with pytest.raises(AccessDenied, match="no program may see it"):
        asyncio.run(made[3].perform(who(2), {"python": "print(1)"}))


def test_what_a_layer_has_in_its_place_does_not_come_into_it(made) -> None:
    work, spaces, space, _ = made
    space.base.hidden = ""
    asyncio.run(space.write(who(1), f"{HOME}/seal.key", b"mine", review=True))
    space.base.hidden = HOME
    asyncio.run(spaces.act(Caller(PERSON, "p", USER), Pid(7), Request("commit", force=True)))
    assert (work / HOME / "seal.key").read_text() == "SECRET"


def test_nobody_works_in_it(made) -> None:
    work, spaces, _, _ = made
    for folder in (work / HOME, work / HOME / "layers"):
        folder.mkdir(exist_ok=True)
        with pytest.raises(AccessDenied, match="is the machine"):
            spaces.space(folder)
