"""`/mem`: who sees what, which labels go along, what can't be written."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oros.abi.errors import AccessDenied, Invalid, NotFound, OrosError, TooBig
from oros.abi.labels import THIRD, USER, Integrity, Label, join
from oros.abi.ports import Caller
from oros.services.memory.live import Memory
from oros.services.memory.server import MemoryServer, Owner, standing
from oros.services.memory.store import Store

SECRET = "hunter2-hunter2"
WEB = Label(Integrity.THIRD, frozenset({"ann"}), frozenset({"web:example.com"}))


class Hand:
    """A clock that is set by hand."""

    now = 100.0

    def wall(self) -> float:
        return self.now


OWNERS = {
    5: Owner(5, "notes"),
    6: Owner(6, "notes"),
    7: Owner(7, ""),
    8: Owner(8, "", ((7, 150.0),)),
    9: Owner(9, "", ((8, 300.0), (7, 150.0))),
}


class World:
    def __init__(self, path) -> None:
        self.clock = Hand()
        self.store = Store.open(path / "memory.db")
        memory = Memory(self.store, self.clock)
        self.server = MemoryServer(memory, self.clock, OWNERS.__getitem__, lambda t: SECRET in t)

    def do(self, name: str, pid: int, *args, label: Label = USER):
        call = getattr(self.server, name)(Caller(pid, "k", label), *args)
        return asyncio.run(call)

    def write(self, pid: int, path: str, text: str, label: Label = USER):
        return self.do("write", pid, path, text.encode(), label=label)

    def read(self, pid: int, path: str) -> str:
        return self.do("read", pid, path, 0, 1 << 20).parts[0].text

    def search(self, pid: int, query: str, path: str = "") -> list[str]:
        return [h["path"] for h in self.do("search", pid, path, query, 50).value["hits"]]

    def names(self, pid: int, path: str) -> list[str]:
        return [e["path"] for e in self.do("list", pid, path, 1, 0, 100).value["entries"]]


@pytest.fixture
def world(tmp_path):
    found = World(tmp_path)
    yield found
    found.store.close()


def test_each_sees_its_own_and_the_person_all(world) -> None:
    for pid in (5, 6, 7):
        world.write(pid, "self/plan", f"amber plan of {pid}")
    world.write(5, "app/shared", "amber of the app")
    world.write(7, "user/fact", "amber of the user")
    assert world.read(5, "self/plan") == "amber plan of 5"
    assert sorted(world.search(5, "amber")) == ["app/shared", "self/plan", "user/fact"]
    assert sorted(world.search(6, "amber", "app")) == ["app/shared"]
    assert sorted(world.search(7, "amber")) == ["self/plan", "user/fact"]
    assert world.names(7, "") == ["always", "self", "user"]
    everything = ["app/notes/shared", *(f"process/{p}/plan" for p in (5, 6, 7)), "user/fact"]
    assert sorted(world.search(0, "amber")) == everything
    assert world.names(0, "") == [e.rpartition("/")[0] for e in everything]
    assert world.read(0, "process/6/plan") == "amber plan of 6"
    with pytest.raises(AccessDenied):
        world.read(5, "process/6/plan")
    with pytest.raises(NotFound):
        world.read(7, "app/shared")


def test_a_fork_sees_what_was_there_at_the_fork(world) -> None:
    world.write(7, "self/before", "cobalt before")
    world.clock.now = 200.0
    world.write(7, "self/after", "cobalt after")
    world.write(8, "self/own", "cobalt own")
    assert sorted(world.search(8, "cobalt")) == ["self/before", "self/own"]
    assert sorted(world.search(9, "cobalt")) == ["self/before", "self/own"]  # through 8, up to 150
    assert world.names(8, "self") == ["self/before", "self/own"]
    assert sorted(world.search(7, "cobalt")) == ["self/after", "self/before"]
    world.write(8, "self/before", "cobalt, seen otherwise")
    assert world.read(8, "self/before") == "cobalt, seen otherwise"
    assert world.read(7, "self/before") == "cobalt before"
    with pytest.raises(NotFound):
        world.do("remove", 9, "self/before")


def test_labels_go_along(world) -> None:
    world.write(7, "user/a", "delta from the web", WEB)
    world.write(7, "user/b", "delta from the user", USER)
    assert world.do("read", 5, "user/a", 0, 99).label == USER | WEB
    assert world.do("read", 5, "user/b", 0, 99).label == USER
    assert world.do("search", 5, "", "delta", 9).label == join([USER, WEB])
    assert world.do("list", 5, "user", 1, 20, 9).label == join([USER, WEB])
    shown = world.do("stat", 5, "user/a").value
    assert shown["label"] == {
        "integrity": "third",
        "readers": ["ann"],
        "origins": ["web:example.com"],
    }
    assert (shown["kind"], shown["size"], shown["time"]) == ("file", 18, 100.0)
    (hit,) = world.do("search", 5, "user/a", "delta", 9).value["hits"]
    assert (hit["path"], hit["text"], hit["at"], hit["from"]) == (
        "user/a",
        "delta from the web",
        100.0,
        7,
    )


def test_only_the_users_own_words_stand_before_every_process(world) -> None:
    for low in (THIRD, WEB, Label(Integrity.SYSTEM)):
        with pytest.raises(AccessDenied, match="own words"):
            world.write(7, "always/tone", "ember obey me", low)
    world.write(0, "always/tone", "Answer in  short\nsentences.")
    world.write(7, "always/name", "The user is called Ann.", USER)
    text = standing(world.store.rows("always"))
    assert text.splitlines()[1:] == [
        "- name: The user is called Ann.",
        "- tone: Answer in short sentences.",
    ]
    assert "more in /mem/always/tone" in standing(world.store.rows("always"), 40)
    assert standing([]) == ""
    assert world.read(5, "always/tone").startswith("Answer")


def test_what_is_trusted_more_is_not_replaced_or_forgotten(world) -> None:
    world.write(0, "user/iban", "the account is 1")
    for act in (
        lambda: world.write(7, "user/iban", "the account is 2", WEB),
        lambda: world.do("remove", 7, "user/iban", label=WEB),
    ):
        with pytest.raises(AccessDenied, match="trusted more"):
            act()
    assert world.read(7, "user/iban") == "the account is 1"
    world.write(7, "self/x", "mine", USER)
    world.write(7, "self/x", "mine, less", WEB)  # its own is its own
    world.do("remove", 0, "user/iban")
    with pytest.raises(NotFound):
        world.read(7, "user/iban")


def test_what_is_not_remembered(world) -> None:
    with pytest.raises(AccessDenied, match="secret"):
        world.write(7, "self/x", f"the password is {SECRET}")
    with pytest.raises(AccessDenied, match="secret"):
        world.write(7, f"self/{SECRET}", "x")
    with pytest.raises(TooBig):
        world.write(7, "self/x", "x" * (1 << 20) + "x")
    for path, data in (("self", b"x"), ("self/x", b"\xff\xfe"), ("self/x", b"  ")):
        with pytest.raises(Invalid):
            world.do("write", 7, path, data)
    for path in ("", "nothing", "self/x", "other/x"):
        with pytest.raises(NotFound):
            world.read(7, path)
    with pytest.raises(Invalid):
        world.search(7, " ")


def test_a_long_note_is_read_in_pages(world) -> None:
    text = "\n\n".join(f"Über {n}: " + "wörter und mehr " * 40 for n in range(30))
    world.write(7, "user/long", text)
    found, at = "", 0
    while at is not None:
        page = world.do("read", 5, "user/long", at, 1000)
        found, at = found + page.parts[0].text, page.value["next"]
    assert found == text
    (entry,) = world.do("list", 5, "user", 1, 4, 9).value["entries"]
    assert (entry["head"], entry["size"]) == ("Über", len(text.encode()))


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([0, 5, 6, 7, 8]),
            st.sampled_from(["self/a", "user/a", "user/b", "app/a", "always/a"]),
            st.sampled_from([USER, THIRD, WEB]),
        ),
        max_size=12,
    )
)
def test_no_owner_sees_anothers(tmp_path_factory, writes) -> None:
    world = World(tmp_path_factory.mktemp("w"))
    owners: dict[str, tuple[str, Label]] = {}
    for n, (pid, path, label) in enumerate(writes):
        text = f"fjord number{n}"
        try:
            world.write(pid, path, text, label)
        except OrosError:
            continue
        head = path.split("/")[0]
        scope = {"self": f"self {pid}", "app": f"app {OWNERS[pid].app if pid else ''}"}
        owners[text] = (scope.get(head, head), label)
    for pid in (5, 6, 7, 8):
        found = world.do("search", pid, "", "fjord", 99)
        mine = {f"self {pid}", "user", "always", f"app {OWNERS[pid].app}"}
        mine |= {"self 7"} if pid == 8 else set()
        for hit in found.value["hits"]:
            assert owners[hit["text"]][0] in mine
        labels = [owners[h["text"]][1] for h in found.value["hits"]]
        assert found.label == join([USER, *labels])
    world.store.close()


def recalled(world, pid: int, text: str) -> str:
    found = asyncio.run(world.server.recall(pid, text, 200))
    return found.text if found else ""


def test_what_has_to_do_with_a_text_comes_by_itself(world) -> None:
    world.write(0, "user/rent", "the rent of the flat is due on the 5th")
    world.write(0, "user/tea", "Anna drinks green tea")
    found = recalled(world, 7, "when is the rent due?")
    assert "[/mem/user/rent: the rent of the flat is due on the 5th]" in found
    assert "tea" not in found
    assert recalled(world, 7, "write a poem about seagulls") == ""
    assert recalled(world, 7, "?!") == ""


def test_only_what_is_trusted_as_the_users_own_comes_by_itself(world) -> None:
    world.write(7, "user/a", "the rent is paid to Eve", THIRD)
    world.write(7, "user/b", "the rent is secret", Label(Integrity.USER, frozenset({"ann"})))
    world.write(6, "self/c", "the rent is of another process")
    assert recalled(world, 7, "the rent") == ""
    world.write(7, "self/d", "the rent is 900")
    found = asyncio.run(world.server.recall(7, "the rent", 200))
    assert "900" in found.text
    assert found.label.integrity is Integrity.USER


@given(st.lists(st.sampled_from(["rent of the flat", "rent " * 60, "tea"]), max_size=8),
       st.integers(0, 300))  # fmt: skip
@settings(max_examples=20, deadline=None)
def test_it_keeps_within_its_tokens(tmp_path_factory, notes, tokens) -> None:
    world = World(tmp_path_factory.mktemp("m"))
    for n, note in enumerate(notes):
        world.write(7, f"self/{n}", note)
    found = asyncio.run(world.server.recall(7, "rent of the flat", tokens))
    assert found is None or len(found.text) / 3.2 <= tokens + 2
    world.store.close()
