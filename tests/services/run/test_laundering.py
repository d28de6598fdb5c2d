"""Text from outside, through the files of a folder: whoever may have read it is known to."""

import asyncio
import json
import os
import shutil
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.services.run.conftest import Shelf

from oros.abi.errors import OrosError
from oros.abi.ids import PERSON, Pid
from oros.abi.labels import USER, Integrity, Label
from oros.abi.ports import Caller
from oros.drivers.clock.wall import WallClock
from oros.sdk.address import home_of
from oros.services.files import labels, marks
from oros.services.index.documents import Documents
from oros.services.index.extract import Reader
from oros.services.index.indexes import Indexes
from oros.services.layers.workspaces import Request, Workspaces
from oros.services.memory.live import Memory
from oros.services.memory.store import Store
from oros.services.run.device import Means, RunDevice
from oros.services.weights.catalog import EARS
from oros.services.weights.pull import first_of, pull_all

ORIGIN = "web:example.com"
OUTSIDE = Label(Integrity.THIRD, None, frozenset({ORIGIN}))
FORKED = {8: (Pid(7), 99)}


class Bench:
    """A folder, and processes that read and write in it: 7 has read the web, 8 and 9 have not."""

    def __init__(self, place, sandbox) -> None:
        self.means = Means(sandbox, sandbox.python)
        self.work, self.shelf, self.place, self.calls = place / "work", Shelf(), place / "layers", 0
        self.work.mkdir()
        self.again()

    def again(self, origin=lambda _: None, documents: Documents | None = None) -> None:
        """As after a restart."""
        self.spaces = Workspaces(self.shelf, self.place, origin, lambda _: [])
        self.spaces.documents = documents
        self.space = self.spaces.space(self.work)
        self.device = RunDevice(self.means, self.space, self.shelf)

    def who(self, pid: int) -> Caller:
        self.calls += 1
        return Caller(Pid(pid), f"n:{pid}:{self.calls}", OUTSIDE if pid == 7 else USER, since=4e9)

    def write(self, pid: int, path: str, data: bytes = b"pay eve") -> None:
        asyncio.run(self.space.write(self.who(pid), path, data))

    def run(self, pid: int, source: str) -> Label:
        outcome = asyncio.run(self.device.perform(self.who(pid), {"python": source}))
        assert outcome.error is None, outcome.error
        assert outcome.value["exit"] == 0, outcome.value
        return outcome.label

    def read(self, pid: int, path: str) -> Label:
        return asyncio.run(self.space.read(self.who(pid), path, 0, 99)).label

    def commit(self, pid: int) -> None:
        asyncio.run(self.spaces.act(Caller(PERSON, "p", USER), Pid(pid), Request("commit")))


@pytest.fixture
def bench(tmp_path, bwrap) -> Bench:
    for place in (tmp_path.parent.parent, tmp_path.parent, tmp_path):
        place.chmod(0o755)  # a root daemon's programs have another uid
    return Bench(tmp_path, bwrap)


def known(label: Label) -> bool:
    return label.integrity is Integrity.THIRD and ORIGIN in label.origins


WRITES = {
    "a call": lambda b: b.write(7, "sub/f"),
    "a program": lambda b: b.run(7, "import os; os.mkdir('sub'); open('sub/f', 'w').write('eve')"),
    "a program that moves it": lambda b: (
        b.write(7, "g"),
        b.run(7, "import os; os.mkdir('sub'); os.rename('g', 'sub/f')"),
    ),
}
READS = {
    "read": lambda b, pid: b.read(pid, "sub/f"),
    "list": lambda b, pid: asyncio.run(b.space.list(b.who(pid), "", 2, 9, 99)).label,
    "search": lambda b, pid: asyncio.run(b.space.search(b.who(pid), "sub", "eve", 9)).label,
    "stat": lambda b, pid: asyncio.run(b.space.stat(b.who(pid), "sub/f")).label,
    "a program": lambda b, pid: b.run(pid, "print(open('sub/f').read())"),
}


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("reads", READS)
@pytest.mark.parametrize("writes", WRITES)
def test_through_a_file(bench: Bench, writes: str, reads: str, restart: bool) -> None:
    WRITES[writes](bench)
    assert not (bench.work / "sub").exists()  # it waits for the person
    bench.commit(7)
    assert (bench.work / "sub" / "f").exists()
    if restart:
        bench.again()
    assert known(READS[reads](bench, 9))


@pytest.mark.parametrize("reads", READS)
@pytest.mark.parametrize("writes", WRITES)
def test_to_a_copy_before_it_is_in_the_folder(bench: Bench, writes: str, reads: str) -> None:
    WRITES[writes](bench)
    bench.again(FORKED.get)
    assert known(READS[reads](bench, 8))


def test_one_who_read_it_by_a_program_has_its_changes_reviewed(bench: Bench) -> None:
    bench.write(7, "f")
    bench.commit(7)
    label = bench.run(9, "open('g', 'w').write(open('f').read())")
    assert known(label)
    assert not (bench.work / "g").exists()
    bench.commit(9)
    assert known(bench.read(8, "g"))


def test_through_the_users_own_edit(bench: Bench) -> None:
    bench.write(7, "f")
    bench.commit(7)
    (bench.work / "f").write_text("pay eve, says the user too")
    assert known(bench.read(9, "f"))
    assert known(bench.run(9, "print(open('f').read())"))


def test_when_it_is_gone_nothing_of_it_is_left(bench: Bench) -> None:
    bench.write(7, "f")
    bench.commit(7)
    (bench.work / "f").unlink()
    assert not known(bench.run(9, "print(1)"))
    bench.write(9, "f", b"clean")
    assert not known(bench.run(9, "print(open('f').read())"))
    assert not known(bench.read(9, "f"))


MOVES = {
    "moved": lambda work: (work / "f").rename(work / "g"),
    "moved deep": lambda work: ((work / "sub").mkdir(), (work / "f").rename(work / "sub" / "h"),
                                (work / "sub" / "h").rename(work / "g")),
    "copied": lambda work: (shutil.copy2(work / "f", work / "g"), (work / "f").unlink()),
    "moved away and back": lambda work: ((work / "f").rename(work.parent / "x"),
                                         (work.parent / "x").rename(work / "g")),
}  # fmt: skip


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("move", MOVES)
def test_a_file_that_the_user_moves_keeps_its_label(bench, move: str, restart: bool) -> None:
    bench.run(7, "open('f', 'w').write('pay eve')")
    bench.commit(7)
    MOVES[move](bench.work)
    if restart:
        bench.again()
    assert known(bench.run(9, "print(open('g').read())"))
    assert known(bench.read(9, "g"))
    (bench.work / "g").unlink()
    assert not known(bench.run(9, "print(1)"))


def test_a_copy_of_a_marked_file_is_known_when_it_is_found(bench: Bench) -> None:
    """The machine knows nothing of it but what stands on the file."""
    bench.write(7, "f")
    bench.commit(7)
    (bench.work / "sub").mkdir()
    shutil.copy2(bench.work / "f", bench.work / "sub" / "g")
    found = asyncio.run(bench.space.search(bench.who(9), "sub", "eve", 9))
    assert found.value["hits"]
    assert known(found.label)


def test_a_program_does_not_take_a_mark_off(bench: Bench) -> None:
    bench.write(7, "f")
    bench.commit(7)
    assert os.listxattr(bench.work / "f") == ["user.oros.label"]
    source = "import os; os.rename('f', 'g'); [os.removexattr('g', n) for n in os.listxattr('g')]"
    assert known(bench.run(9, source))
    bench.commit(9)
    (bench.work / "g").rename(bench.work / "h")
    assert known(bench.read(8, "h"))
    assert known(bench.run(8, "print(1)"))


def test_too_many_files_to_look_for_a_moved_one(bench: Bench, monkeypatch) -> None:
    bench.write(7, "f")
    bench.commit(7)
    monkeypatch.setattr(marks, "MOST_FILES", 0)
    (bench.work / "f").rename(bench.work / "g")
    assert known(bench.run(9, "print(1)"))


def test_undo_of_a_marked_file_is_not_taken_for_the_users_edit(bench: Bench) -> None:
    (bench.work / "f").write_text("mine")
    before = (bench.work / "f").read_bytes()
    bench.write(7, "f")
    bench.commit(7)
    bench.write(7, "f", b"pay eve twice")
    bench.commit(7)
    done = asyncio.run(bench.spaces.act(Caller(PERSON, "p", USER), Pid(7), Request("undo", to=0)))
    assert not done["waits"]
    assert (bench.work / "f").read_bytes() == before


def test_another_folder_has_nothing_of_it(bench: Bench) -> None:
    bench.write(7, "sub/f")
    bench.commit(7)
    (bench.work / "other").mkdir()
    label = asyncio.run(bench.space.list(bench.who(9), "other", 1, 9, 9)).label
    assert not known(label)


def test_of_very_many_only_what_they_hold_is_known(bench: Bench, monkeypatch) -> None:
    monkeypatch.setattr(labels, "MOST_PATHS", 5)
    bench.run(7, "for n in range(12): open(f'f{n}', 'w').write('eve')")
    bench.commit(7)
    assert known(bench.run(9, "print(1)"))
    paths, rest = json.loads(bench.shelf[f"outside:{bench.work}"])
    assert (len(paths), rest) == (5, [ORIGIN])
    for path in bench.work.iterdir():
        path.unlink()
    assert known(bench.run(9, "print(1)"))  # which ones they were is not known any more


@pytest.mark.timeout(300)
def test_a_transcript_is_as_little_trusted_as_its_recording(bench: Bench, tmp_path) -> None:
    """What others say is text that others wrote: read, found and remembered under their label."""
    weights = home_of() / "models"
    if not find_spec("faster_whisper"):
        pytest.skip("the extra `speech` is not installed")
    try:
        asyncio.run(pull_all(EARS[1], weights, lambda _: None))
    except OrosError as e:
        pytest.skip(f"no weights: {e}")
    reader = Reader(bench.means.sandbox, bench.means.python, partial(first_of, EARS[1:], weights))
    memory = Memory(Store.open(tmp_path / "memory.db"), WallClock())
    documents = Documents(reader, tmp_path / "index")
    bench.again(documents=documents)
    voice = (Path(__file__).parents[2] / "data/speech.ogg").read_bytes()
    bench.write(7, "sub/voice.ogg", voice)
    (bench.work / "mine.txt").write_text("my own note")
    bench.commit(7)
    heard = asyncio.run(bench.space.read(bench.who(9), "sub/voice.ogg", 0, 999))
    assert "what your country can do for you" in heard.parts[0].text
    assert known(heard.label)

    indexes = Indexes(memory, documents, bench.shelf, WallClock())
    indexed = indexes.open("docs", bench.work)
    asyncio.run(indexed.indexer.once())
    rows = asyncio.run(memory.rows(indexed.indexer.scope))
    assert {(k.source, known(k.row.label)) for k in rows} == {
        ("sub/voice.ogg", True), ("mine.txt", False),
    }  # fmt: skip
    for query in ("what your country can do", "who spoke to the Americans"):
        found = asyncio.run(indexed.search(bench.who(9), "", query, 1))
        assert [h["path"] for h in found.value["hits"]] == ["sub/voice.ogg"]
        assert known(found.label)
    documents.close()
    memory.store.close()


def test_names_that_are_no_text(bench: Bench) -> None:
    name = os.fsdecode(b"caf\xe9\n")
    bench.run(7, f"open({name!r}, 'w').write('eve')")
    bench.commit(7)
    assert known(bench.run(9, "print(1)"))
    assert known(bench.read(9, name))


def test_a_secret_and_a_text_from_outside_are_both_kept(bench: Bench) -> None:
    who = replace(bench.who(7), label=replace(OUTSIDE, readers=frozenset({"owner"})))
    asyncio.run(bench.space.write(who, "f", b"x"))
    bench.commit(7)
    for label in (bench.read(9, "f"), bench.run(9, "print(open('f').read())")):
        assert known(label)
        assert label.readers == frozenset({"owner"})
