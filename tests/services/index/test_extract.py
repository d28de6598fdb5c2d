"""A batch that dies: only the file that did it is marked, whatever the worker says."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from tests.services.index import samples

from oros.abi.jobs import Job, JobResult, Report
from oros.services.index.extract import Reader
from oros.services.index.inside.page import Read

Said = Callable[[str], str | None]


@dataclass
class Broken:
    """A sandbox whose worker dies over some files: `signal`, or how it `ended`."""

    culprits: set[str]
    signal: int | None = 11
    ended: str = "self"
    room: int = 1000
    batches: list[list[str]] = field(default_factory=list)

    async def probe(self) -> Report:
        return Report("broken", "0", works=True)

    async def run(self, job: Job) -> JobResult:
        names = json.loads(job.stdin)
        self.batches.append(names)
        lines = []
        for name in names[: self.room]:
            lines.append(json.dumps({"begin": name}))
            if name in self.culprits:
                out = "\n".join([*lines, '{"file": "cut off'])
                return JobResult(None, self.signal, out.encode(), b"", ended=self.ended)
            pages = [[f"text of {name}", "", 1, "text"]]
            lines.append(json.dumps({"file": name, "kind": "text", "pages": pages, "note": ""}))
        return JobResult(0, None, ("\n".join(lines) + "\n").encode(), b"")


def read(sandbox, names, tmp_path):
    reader = Reader(sandbox, lambda: ("python3",))
    return asyncio.run(reader.read(tmp_path, names)), reader


@pytest.mark.parametrize(
    ("signal", "ended", "why"),
    [
        (11, "self", "breaks down"),
        (9, "self", "memory"),
        (9, "time", "300 s"),
        (9, "flood", "much text"),
    ],
)
def test_only_the_culprits_are_marked(tmp_path, signal, ended, why):
    names = [str(n) for n in range(12)]
    sandbox = Broken({"0", "5", "11"}, signal, ended)
    found, reader = read(sandbox, names, tmp_path)
    assert {n for n, a in found.items() if isinstance(a, str)} == {"0", "5", "11"}
    assert all(why in found[n] for n in ("0", "5", "11"))
    assert found["4"].pages[0].text == "text of 4"
    assert reader.runs == 3 + 1 + 3 - 1  # each death, the rest, each alone; the last had no rest
    assert all([n] in sandbox.batches for n in ("0", "5", "11"))


def test_a_worker_that_stops_early_goes_on(tmp_path):
    found, reader = read(Broken(set(), room=2), ["a", "b", "c", "d", "e"], tmp_path)
    assert all(isinstance(a, Read) for a in found.values())
    assert reader.runs == 3


def test_a_worker_that_says_nothing_ends(tmp_path):
    found, _ = read(Broken(set(), room=0), ["a", "b", "c"], tmp_path)
    assert set(found) == {"a", "b", "c"}
    assert all(isinstance(a, str) for a in found.values())


class Liar:
    """A worker that was taken over."""

    def __init__(self, *lines: str | bytes) -> None:
        self.lines = lines

    async def probe(self) -> Report:
        return Report("liar", "0", works=True)

    async def run(self, job: Job) -> JobResult:
        raw = [x if isinstance(x, bytes) else x.encode() for x in self.lines]
        return JobResult(0, None, b"\n".join(raw), b"")


def test_lies_are_data(tmp_path):
    bad_page = ["x\0y\ud800", "pl\nace\u202e", -5, "text"]
    pages = [bad_page, ["t", "p", "1", "text"], ["t", "p", 1, "code"], 7, [1, 2, 3, 4], ["t"]]
    lines = [
        b"\xff\xfe", "[" * 100_000, "null", "[]", '{"begin": {}}' * 2,
        json.dumps({"file": "other", "kind": "text", "pages": []}),
        json.dumps({"file": "a", "kind": 7, "pages": pages, "note": ["x\ny"]}),
        json.dumps({"file": "a", "error": "a second answer"}),
        json.dumps({"file": "b", "kind": "text", "pages": {"a": 1}}),
        json.dumps({"file": "c", "error": "line\none\x1b[31m" + "x" * 9999}),
    ]  # fmt: skip
    found, _ = read(Liar(*lines), ["a", "b", "c"], tmp_path)
    assert set(found) == {"a", "b", "c"}
    (page,) = found["a"].pages
    assert (page.text, page.line) == ("x␀y?", 0)
    assert page.place.isprintable()
    assert found["b"].pages == ()
    assert found["c"].isprintable()
    assert len(found["c"]) <= 200


def test_the_real_worker_dies_of_memory(house, monkeypatch):
    """A bound is passed for real: by a control group it is killed, by a limit it is told."""
    monkeypatch.setattr("oros.services.index.extract.MEMORY", 96 << 20)
    lines = "\n".join(f"x{n} = [{n}, {n}, {n}, {n}]" for n in range(200_000))
    (house.top / "b.py").write_text(lines)
    for name in ("a.txt", "c.txt"):
        (house.top / name).write_text(f"file {name}")
    status = house.index()
    assert (status["state"], status["done"] + status["failed"]) == ("ready", 3), status
    rows = {source for source, *_ in house.rows()}
    assert rows - {"b.py"} == {"a.txt", "c.txt"}
    failed = [line.split(":")[0] for line in status["failures"]]
    assert failed == ([] if "b.py" in rows else ["b.py"])


def test_without_the_extra_text_is_read_all_the_same(house, monkeypatch):
    monkeypatch.setattr("oros.services.index.extract.find_spec", lambda _: None)
    (house.top / "a.pdf").write_bytes(b"%PDF-1.4\n")
    samples.html(house.top / "b.html", "The walrus sings.")
    samples.archive(house.top / "c.docx", {"word/document.xml": b"<x/>"})
    (house.top / "d.py").write_text("def badger():\n    pass\n")
    (house.top / "e.csv").write_text("a,b\n1,2\n")
    samples.ipynb(house.top / "f.ipynb", [("code", "x = 1")])
    status = house.index()
    needs = "it needs the extra `files`: pip install 'oros[files]'"
    assert sorted(status["failures"]) == [f"a.pdf: {needs}", f"c.docx: {needs}"]
    texts = {source: text for source, _, text in house.rows()}
    assert set(texts) == {"b.html", "d.py", "e.csv", "f.ipynb"}
    assert "walrus" in texts["b.html"]
    assert "MENUWORD" not in texts["b.html"]


def test_no_more_is_held_than_fits(house, monkeypatch):
    """Many large texts are kept a few at a time; none is left out."""
    sandbox = Broken({"3"}, room=2)
    sandbox.python = lambda: ("python3",)
    house.reader._sandbox = sandbox
    held = list[int]()
    read = house.reader.read

    async def told(folder, names, ear):
        found = await read(folder, names, ear)
        held.append(len(found))
        return found

    monkeypatch.setattr(house.reader, "read", told)
    monkeypatch.setattr("oros.services.index.extract.HELD", 30)
    for n in range(12):
        (house.top / f"{n:02}").write_text(f"text {n}")
    status = house.index()
    assert (status["done"], status["failed"]) == (11, 1)
    assert max(held) < 12
    assert len(held) > 2
