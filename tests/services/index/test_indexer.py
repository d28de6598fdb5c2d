"""The index is true: found by file and place, followed through every change, nothing read twice."""

import asyncio
import importlib.util
import os
import shutil

import pytest
from tests.services.index import samples
from tests.waits import until

from oros.abi.errors import NotFound
from oros.abi.labels import Label
from oros.services.index.indexer import Indexer

needs_files = pytest.mark.skipif(
    importlib.util.find_spec("kreuzberg") is None, reason="needs the extra `files`"
)


@needs_files
def test_every_kind_is_found_by_file_and_place(house):
    top = house.top
    samples.pdf(top / "a.pdf", ["nothing here", "the zebra counts 4711 stripes"])
    samples.docx(top / "b.docx", [("One", ["intro"]), ("Two", ["the otter eats 12 urchins"])])
    rows = [["name", "amount"], ["heron", 31], ["stork", 77]]
    samples.xlsx(top / "c.xlsx", {"Sales": rows, "Late": [["x", "crane"]]}, corner=(3, 2))
    samples.pptx(top / "d.pptx", ["first slide", "the lynx sleeps"])
    samples.html(top / "e.html", "The walrus sings in May.")
    samples.eml(top / "f.eml", "Meeting", "The badger comes at noon.")
    samples.epub(top / "g.epub", "Chapter One", "The whale is white.")
    samples.odt(top / "h.odt", "The gecko climbs glass.")
    samples.ipynb(top / "i.ipynb", [("markdown", "# T"), ("code", "puffin = 3")])
    samples.archive(top / "j.zip", {"deep/inside.txt": b"the vole hides"})
    (top / "k.py").write_text(
        "import os\n\n\nclass Den:\n    def badgerhole(self):\n        pass\n"
    )
    (top / "l.md").write_text("# Top\n\nhello\n\n## Sub\n\nthe marmot whistles\n")
    (top / "m.csv").write_text("kind,count\nibis,5\nkite,6\n")
    (top / "n.txt").write_text("one\ntwo\nthe wombat digs\n")
    status = house.index()
    assert (status["state"], status["failed"], status["total"]) == ("ready", 0, 14), status
    wanted = {
        "4711 stripes": ("a.pdf", "page 2"),
        "12 urchins": ("b.docx", "Two"),
        "stork": ("c.xlsx", "Sales!B5"),
        "crane": ("c.xlsx", "Late!C3"),
        "lynx": ("d.pptx", "slide 2"),
        "walrus": ("e.html", "News"),
        "badger comes": ("f.eml", "message"),
        "whale": ("g.epub", "Chapter One"),
        "gecko": ("h.odt", ""),
        "puffin": ("i.ipynb", "cell 2"),
        "vole": ("j.zip", "contents"),
        "badgerhole": ("k.py", "line 5"),
        "marmot": ("l.md", "line 7"),
        "ibis": ("m.csv", "line 2"),
        "wombat": ("n.txt", "line 3"),
    }
    found = {q: house.search(q)[0] for q in wanted}
    assert {q: (h["path"], h["place"]) for q, h in found.items()} == wanted
    assert not house.search("MENUWORD FOOTERWORD urchins lynx", path="e.html")
    ranked = house.search("what does the otter eat")[0]
    assert (ranked["path"], ranked["place"]) == ("b.docx", "Two")
    assert ranked["score"] < 1


def places(house) -> list[str]:
    return sorted({source for source, *_ in house.rows()})


def test_changes_are_followed(house):
    top = house.top
    (top / "sub").mkdir()
    (top / "sub/a.txt").write_text("alpha")
    (top / "b.txt").write_text("bravo")
    assert house.index()["left"] == 0
    ran = house.reader.runs
    (top / "sub").rename(top / "moved")
    os.utime(top / "b.txt", (1, 1))
    house.index()
    assert places(house) == ["b.txt", "moved/a.txt"]
    assert house.reader.runs == ran  # neither a move nor a touch is a reason to read
    assert house.rows("moved/a.txt") == [("moved/a.txt", "line 1", "alpha")]
    shutil.copy(top / "b.txt", top / "copy.txt")
    house.index()
    assert (house.rows("copy.txt"), house.reader.runs) == ([("copy.txt", "line 1", "bravo")], ran)
    (top / "copy.txt").unlink()
    (top / "b.txt").write_text("brand new")
    (top / "moved/a.txt").unlink()
    house.index("b.txt", "moved/a.txt", "copy.txt")
    assert house.rows() == [("b.txt", "line 1", "brand new")]
    house.again()
    ran = house.reader.runs
    assert house.index()["rows"] == 1
    assert house.reader.runs == ran


def test_a_folder_in_the_place_of_a_file(house):
    (house.top / "a").write_text("first")
    house.index()
    (house.top / "a").rename(house.top / "z")
    (house.top / "a").mkdir()
    (house.top / "a/b").write_text("second")
    house.index()
    assert house.rows() == [("a/b", "line 1", "second"), ("z", "line 1", "first")]


def test_what_is_not_indexed(house, tmp_path):
    top = house.top
    (tmp_path / "outside.txt").write_text("SECRET")
    for name in (".git/config", "node_modules/x.js", ".env", "deep/.hidden/y.txt", "venv/z.py"):
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text("SECRET")
    (top / "link.txt").symlink_to(tmp_path / "outside.txt")
    (top / "loop").symlink_to(".")
    os.mkfifo(top / "fifo")
    (top / "seen.txt").write_text("seen")
    assert house.index()["total"] == 1
    assert house.rows() == [("seen.txt", "line 1", "seen")]


def test_labels_come_along_and_readers_are_kept_apart(house):
    (house.top / "open.txt").write_text("open")
    (house.top / "close.txt").write_text("close")
    closed = Label(readers=frozenset({"ann"}))
    labels = house.indexer._labels
    labels.keep("close.txt", (house.top / "close.txt").stat(), closed)
    house.index()
    kept = {k.source: k.row.label for k in house.store.rows(house.indexer.scope)}
    assert kept["close.txt"].readers == frozenset({"ann"})
    assert kept["open.txt"].readers is None
    assert house.reader.runs == 2


def test_strange_names(house):
    names = [b"caf\xe9.txt", "über.txt".encode(), b"a\nb.txt", b"back\\slash.txt"]
    for name in names:
        (house.top / os.fsdecode(name)).write_text("strange words")
    assert house.index()["failed"] == 0
    assert len(house.rows()) == len(names)
    ran = house.reader.runs
    house.again()
    house.index()
    assert (len(house.rows()), house.reader.runs) == (len(names), 0)
    assert ran
    assert {h["path"] for h in house.search("strange words", limit=20)} == {
        "caf\\xe9.txt", "über.txt", "a\\nb.txt", "back\\slash.txt",
    }  # fmt: skip


def test_a_folder_that_vanishes_keeps_its_rows(house):
    (house.top / "a.txt").write_text("alpha")
    house.index()
    away = house.top.with_name("away")
    house.top.rename(away)
    with pytest.raises(NotFound):
        house.index()
    assert places(house) == ["a.txt"]
    away.rename(house.top)
    assert house.index()["state"] == "ready"
    shutil.rmtree(house.top)
    with pytest.raises(NotFound):
        house.index()
    assert places(house) == ["a.txt"]


def test_a_folder_in_it_that_vanishes_mid_run(house, monkeypatch):
    for name in ("a", "b", "c"):
        (house.top / name).mkdir()
        (house.top / name / "f.txt").write_text(f"file {name}")
    take = Indexer._take

    def vanishing(self, stage, paths):
        shutil.rmtree(house.top / "b", ignore_errors=True)
        return take(self, stage, paths)

    monkeypatch.setattr(Indexer, "_take", vanishing)
    status = house.index()
    assert (status["state"], status["left"], status["failed"]) == ("ready", 0, 0)
    assert places(house) == ["a/f.txt", "c/f.txt"]


def test_it_goes_on_by_itself(house):
    """Notices or looks: a change is found without being told, until it is cancelled."""

    async def main() -> None:
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            task = group.create_task(house.indexer.keep())
            await until(lambda: house.indexer.status()["state"] == "ready")
            (house.top / "new.txt").write_text("newcomer")
            await until(lambda: house.rows("new.txt"))
            (house.top / "new.txt").rename(house.top / "renamed.txt")
            await until(lambda: places(house) == ["renamed.txt"])
            task.cancel()

    asyncio.run(main())
    assert house.reader.runs == 1


def test_a_file_that_moved_or_was_copied_needs_no_new_vectors(house) -> None:
    """Neither is the document read again nor its meaning asked for."""
    text = "\n\n".join(f"Paragraph {n} tells of zebras and of {n} stripes." * 9 for n in range(40))
    (house.top / "a.md").write_text(text)
    house.index()
    waiting = house.store.pending(1000)
    assert len(waiting) > 8
    house.store.use("given")
    done = [(pair, bytes([n % 250, 0, 128, 63] * 4)) for n, pair in enumerate(waiting)]
    house.store.embedded("given", done)
    (house.top / "b.md").write_text(text)
    (house.top / "sub").mkdir()
    (house.top / "a.md").rename(house.top / "sub/c.md")
    house.index()
    assert {source for source, *_ in house.rows()} == {"b.md", "sub/c.md"}
    assert house.store.pending(1000) == []
