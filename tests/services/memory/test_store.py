"""The store of memory against a model in plain Python: no leak, no loss, nothing left behind."""

import importlib.util
import random
import struct
import sys

import apsw
import pytest
from bench.memory.killed import trial
from hypothesis import given, settings
from hypothesis import strategies as st

from oros.abi.errors import Busy, Corrupt, Invalid, Newer, NoSpace, NotFound
from oros.abi.labels import THIRD, USER, Integrity, Label
from oros.services.memory.rows import Row, label_of, label_text, near
from oros.services.memory.store import Store

DIMS = 16
SCOPES = ("user", "app:notes", "process:7", "files:/home/docs")
_WORDS = "amber birch cobalt delta ember fjord garnet harbor indigo juniper"
WORDS = _WORDS.split()


MEANING = pytest.mark.skipif(
    not (importlib.util.find_spec("sqlite_vec") and importlib.util.find_spec("numpy")),
    reason="the extra `memory` is not installed",
)


def vector(text: str) -> bytes:
    """A stand-in for meaning: the same text has the same direction."""
    chance = random.Random(text)
    found = [chance.gauss(0, 1) for _ in range(DIMS)]
    size = sum(x * x for x in found) ** 0.5
    return struct.pack(f"<{DIMS}f", *(x / size for x in found))


def embed_all(store: Store) -> None:
    while waiting := store.pending():
        done = [(pair, near(vector(pair[2]), vector(pair[1] + pair[2]))) for pair in waiting]
        assert store.embedded("test", done) == len(done)


@pytest.fixture
def store(tmp_path):
    found = Store.open(tmp_path / "memory.db")
    found.use("test")
    yield found
    found.close()


def true(store: Store) -> None:
    """All tables and indexes say the same."""
    db = store._writer
    db.execute("INSERT INTO words(words, rank) VALUES('integrity-check', 1)")
    assert list(db.execute("PRAGMA integrity_check")) == [("ok",)]
    live = {i for (i,) in db.execute("SELECT id FROM row WHERE live=1")}
    assert {i for (i,) in db.execute("SELECT id FROM words_docsize")} == live
    vectors = {i for (i,) in db.execute("SELECT id FROM vector")}
    waiting = {i for (i,) in db.execute("SELECT id FROM pending")}
    assert vectors | waiting == live
    if list(db.execute("SELECT 1 FROM sqlite_master WHERE name='near'")):
        assert {i for (i,) in db.execute("SELECT rowid FROM near")} == vectors


labels = st.builds(
    Label,
    st.sampled_from(Integrity),
    st.none() | st.frozensets(st.sampled_from(["ann", "bob", "\u00fc"])),
    st.frozensets(st.sampled_from(["web:a", "user", "app:x"])),
)
texts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(" ".join)
rows = st.builds(Row, texts, label=labels, kind=st.sampled_from(["note", "page"]))
sources = st.sampled_from(["a", "a/b", "a/c", "b"])
steps = st.one_of(
    st.tuples(st.just("put"), st.sampled_from(SCOPES), sources, st.lists(rows, max_size=5)),
    st.tuples(st.just("add"), st.sampled_from(SCOPES), sources, rows, st.integers(0, 4)),
    st.tuples(st.just("drop"), st.sampled_from(SCOPES), sources),
    st.tuples(st.just("rename"), st.sampled_from(SCOPES), sources, st.sampled_from(["z", "b"])),
    st.tuples(st.just("forget"), st.integers(0, 30)),
    st.tuples(st.just("correct"), st.integers(0, 30), texts, labels),
    st.tuples(st.just("embed")),
    st.tuples(st.just("reopen")),
)


def model_of(store: Store) -> dict:
    return {(s, k.source, k.id): (k.row.text, k.row.label) for s in SCOPES for k in store.rows(s)}


class Model:
    """What the store should hold: lists of (id, text, label) by scope and source."""

    def __init__(self) -> None:
        self.sources: dict[tuple[str, str], list[tuple[int, str, Label]]] = {}

    def ids(self) -> list[tuple[int, tuple[str, str]]]:
        return [(r[0], key) for key, found in sorted(self.sources.items()) for r in found]

    def flat(self) -> dict:
        return {(*k, r[0]): r[1:] for k, found in self.sources.items() for r in found}


def play(store: Store, model: Model, step: tuple) -> None:
    match step:
        case ("put", scope, source, found):
            ids = store.put(scope, source, found, mark="m")
            kept = [(i, r.text, r.label) for i, r in zip(ids, found, strict=True)]
            model.sources[scope, source] = kept
        case ("add", scope, source, row, place):
            there = model.sources.setdefault((scope, source), [])
            ords = [k.row.ord for k in store.rows(scope, source)]
            new = store.add(scope, source, Row(row.text, ord=place, label=row.label))
            at = sum(1 for o in ords if o <= place)
            there.insert(at, (new, row.text, row.label))
        case ("drop", scope, source):
            assert store.drop(scope, source) == len(model.sources.pop((scope, source), []))
        case ("rename", scope, old, new):
            store.rename(scope, old, new)
            for key in sorted(k for k in model.sources if k[0] == scope):
                if key[1] == old or key[1].startswith(old + "/"):
                    model.sources[scope, new + key[1][len(old) :]] = model.sources.pop(key)
        case ("forget", n) if model.ids():
            gone, key = model.ids()[n % len(model.ids())]
            assert store.forget(gone) == 1
            model.sources[key] = [r for r in model.sources[key] if r[0] != gone]
        case ("correct", n, text, label) if model.ids():
            old, key = model.ids()[n % len(model.ids())]
            new = store.correct(old, text, label, 5.0)
            model.sources[key] = [
                (new, text, label) if r[0] == old else r for r in model.sources[key]
            ]
        case ("embed",):
            embed_all(store)


@settings(max_examples=60, deadline=None)
@given(st.lists(steps, max_size=14), st.sampled_from(WORDS), st.sets(st.sampled_from(SCOPES)))
def test_it_holds_what_it_should_and_shows_each_scope_its_own(tmp_path_factory, todo, word, seen):
    path = tmp_path_factory.mktemp("m") / "memory.db"
    store, model = Store.open(path), Model()
    store.use("test")
    for step in todo:
        if step == ("reopen",):
            store.close()
            store = Store.open(path)
        play(store, model, step)
        true(store)
    assert model_of(store) == model.flat()
    found = store.search(sorted(seen), word, vector(word), tokens=100_000)
    allowed = {k: v for k, v in model.flat().items() if k[0] in seen}
    for hit in found.hits:
        key = (hit.kept.scope, hit.kept.source, hit.kept.id)
        assert allowed[key] == (hit.kept.row.text, hit.kept.row.label)
    with_word = {k for k, v in allowed.items() if word in v[0].split()}
    assert with_word <= {(h.kept.scope, h.kept.source, h.kept.id) for h in found.hits}
    store.close()


@given(labels)
def test_labels_are_written_and_read(label) -> None:
    assert label_of(label_text(label)) == label


def test_rows_that_stay_keep_their_ids_and_vectors(store) -> None:
    first = store.put("user", "a", [Row("one"), Row("two"), Row("three")])
    embed_all(store)
    second = store.put("user", "a", [Row("one"), Row("three"), Row("four", place="p4")])
    assert second[:2] == [first[0], first[2]]
    assert {i for i, _, _ in store.pending()} == set(second[1:])  # the one before changed
    vectors = {i for (i,) in store._writer.execute("SELECT id FROM vector")}
    assert vectors == {first[0], first[2]}
    assert store.get(second[2]).row.place == "p4"


def test_what_is_forgotten_is_not_in_the_bytes_of_the_file(tmp_path) -> None:
    path = tmp_path / "memory.db"
    store = Store.open(path)
    store.use("test")
    store.put("user", "n", [Row("alpha"), Row("zyxwvut secretword"), Row("omega")])
    embed_all(store)
    (target,) = [k.id for k in store.rows("user") if "secretword" in k.row.text]
    ((raw,),) = store._writer.execute("SELECT data FROM vector WHERE id=?", (target,))
    new = store.correct(target, "zyxwvut betterword", THIRD, 1.0)
    embed_all(store)
    assert store.get(target).row.text == "zyxwvut secretword"
    assert store.forget(new) == 1  # and with it what it corrected
    store.compact()
    data = b"".join(p.read_bytes() for p in tmp_path.iterdir() if p.is_file())
    for text in (b"zyxwvut", b"secretword", b"betterword", b"secret", b"better", raw):
        assert text not in data
    assert b"omega" in data
    true(store)
    with pytest.raises(NotFound):
        store.get(target)
    store.close()


def test_what_is_superseded_is_not_found_again(store) -> None:
    old = store.add("user", "k", Row("the car is amber", label=USER))
    new = store.add("user", "k", Row("the car is cobalt", supersedes=old))
    assert [h.kept.id for h in store.search(["user"], "car").hits] == [new]
    with pytest.raises(Invalid):
        store.add("app:notes", "k", Row("x", supersedes=new))
    with pytest.raises(NotFound):
        store.correct(old, "again", THIRD, 1.0)


def test_rows_expire(store) -> None:
    store.add("user", "k", Row("amber for a day", expires=10.0))
    assert store.search(["user"], "amber", now=9.0).hits
    assert not store.search(["user"], "amber", now=10.0).hits
    assert store.rows("user", now=11.0) == []
    assert store.expire(10.0) == 1
    assert store.scopes() == {}


def test_an_expiry_is_set_taken_away_and_never_outlives_what_is_written_anew(store) -> None:
    (one, two) = store.put("user", "k", [Row("amber"), Row("birch", expires=10.0)])
    assert store.until([one], 5.0) == 1
    assert store.until([two], None) == 1
    assert [k.row.text for k in store.rows("user", now=6.0)] == ["birch"]
    assert store.put("user", "k", [Row("amber"), Row("birch")]) == [one, two]
    assert store.expire(99.0) == 0
    assert [k.row.text for k in store.rows("user", now=99.0)] == ["amber", "birch"]


def test_marks_are_kept_with_the_rows(store) -> None:
    store.put("files:/home/docs", "a.pdf", [], mark="unreadable")
    store.put("files:/home/docs", "b.txt", [Row("amber")], mark="hash")
    assert store.marks("files:/home/docs") == {"a.pdf": "unreadable", "b.txt": "hash"}
    assert store.rename("files:/home/docs", "b.txt", "c/d.txt") == 1
    store.drop("files:/home/docs", "a.pdf")
    assert store.marks("files:/home/docs") == {"c/d.txt": "hash"}


@pytest.mark.parametrize(
    "query", ['"', "a AND", "NEAR(", "*", "text:", "^", "", "\x00", "- -", "(" * 99]
)
def test_no_query_is_wrong(store, query) -> None:
    store.add("user", "k", Row('say "a AND b" NEAR( * ^ text:'))
    store.search(["user", "nobody"], query, vector("x"))


def test_a_budget_of_tokens_is_kept(store) -> None:
    store.put("user", "k", [Row("amber " * n) for n in range(1, 60)])
    found = store.search(["user"], "amber", tokens=100)
    assert found.tokens <= 100
    assert found.more
    assert len(store.search(["user"], "amber", tokens=10**6, limit=3).hits) == 3


@MEANING
def test_another_model_means_other_vectors(store) -> None:
    store.put("user", "k", [Row("amber"), Row("birch")])
    waiting = store.pending()
    store.use("other")
    assert store.embedded("test", [(p, vector(p[2])) for p in waiting]) == 0
    assert len(store.pending()) == 2
    assert store.embedded("other", [(p, vector(p[2])[:32]) for p in waiting]) == 2
    assert store.search(["user"], "unknown", vector("amber")[:32]).hits


def test_a_vector_of_a_text_that_has_changed_is_not_kept(store) -> None:
    ids = store.put("user", "k", [Row("amber")])
    waiting = store.pending()
    store.correct(ids[0], "birch", THIRD, 1.0)
    assert store.embedded("test", [(p, vector(p[2])) for p in waiting]) == 0


# ---- damage ------------------------------------------------------------------------------------


def filled(path) -> dict:
    store = Store.open(path)
    store.use("test")
    for n in range(40):
        store.put("user", f"s{n}", [Row(f"{w} {n} " * 20, label=USER) for w in WORDS])
    embed_all(store)
    expected = model_of(store)
    store.compact()
    store.close()
    return expected


def spoil(path, table: str, *, all_of_it: bool = False) -> None:
    """Overwrite a page of a table in its middle, or all of its pages."""
    db = apsw.Connection(str(path))
    pages = [n for (n,) in db.execute("SELECT pageno FROM dbstat WHERE name=?", (table,))]
    ((size,),) = db.execute("PRAGMA page_size")
    db.close()
    with path.open("r+b") as file:
        for page in pages if all_of_it else pages[len(pages) // 2 :][:1]:
            file.seek((page - 1) * size)
            file.write(b"\xa5" * size)


@MEANING
@pytest.mark.parametrize(
    "table", ["words_data", "words_idx", "row_source", "near_vector_chunks00", "near_rowids"]
)
def test_a_damaged_index_is_made_anew(tmp_path, table) -> None:
    path = tmp_path / "memory.db"
    expected = filled(path)
    spoil(path, table)
    store = Store.open(path)
    assert model_of(store) == expected
    assert store.search(["user"], "amber").hits
    assert store.search(["user"], "nothing", vector("amber")).hits
    true(store)
    store.close()


@MEANING
@pytest.mark.parametrize("table", ["words_data", "near_vector_chunks00"])
def test_damage_that_is_met_later_is_mended_too(tmp_path, monkeypatch, table) -> None:
    path = tmp_path / "memory.db"
    expected = filled(path)
    spoil(path, table, all_of_it=True)
    monkeypatch.setattr("oros.services.memory.schema.CHECKED", 0)
    store = Store.open(path)
    assert store.search(["user"], "amber juniper", vector("amber")).hits
    assert model_of(store) == expected
    true(store)
    store.close()


def test_damage_that_a_write_meets_is_mended_for_the_next(tmp_path, monkeypatch) -> None:
    path = tmp_path / "memory.db"
    filled(path)
    spoil(path, "words_data", all_of_it=True)
    monkeypatch.setattr("oros.services.memory.schema.CHECKED", 0)
    store = Store.open(path)
    with pytest.raises(Corrupt):
        store.put("user", "s1", [Row("amber new")])
    store.put("user", "s1", [Row("amber new")])
    assert [k.row.text for k in store.rows("user", "s1")] == ["amber new"]
    true(store)
    store.close()


def test_damaged_rows_are_said(tmp_path) -> None:
    path = tmp_path / "memory.db"
    filled(path)
    spoil(path, "row")
    with pytest.raises(Corrupt, match="move it aside"):
        Store.open(path)


def test_files_that_are_not_ours(tmp_path) -> None:
    path = tmp_path / "memory.db"
    path.write_bytes(b"hello, I am no database" * 100)
    with pytest.raises(Corrupt):
        Store.open(path)
    path.unlink()
    store = Store.open(path)
    with pytest.raises(Busy):
        Store.open(path)
    store._writer.execute("PRAGMA user_version=99")
    store.close()
    with pytest.raises(Newer):
        Store.open(path)


@MEANING
@pytest.mark.parametrize("seed", range(6))
def test_kill_9_amid_writes_loses_nothing_that_was_told_to_be_kept(tmp_path, seed) -> None:
    told, rows, faults = trial(tmp_path / "memory.db", seed, 0.05 + 0.07 * seed)
    assert faults == []
    assert told > 0
    assert rows > 0


@MEANING
def test_without_its_library_words_still_work_and_the_index_is_made_anew_later(
    tmp_path, monkeypatch
) -> None:
    path = tmp_path / "memory.db"
    expected = filled(path)
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "sqlite_vec", None)
        store = Store.open(path)
        assert model_of(store) == expected
        assert store.search(["user"], "amber", vector("amber")).hits
        (gone,) = store.put("user", "s0", [Row("cobalt alone")])
        assert store.forget(gone) == 1
        store.add("user", "s1", Row("ember added"))
        embed_all(store)
        store.close()
    store = Store.open(path)
    true(store)
    assert store.search(["user"], "nothing", vector("ember added")).hits
    store.close()


@MEANING
def test_a_large_scope_is_searched_by_bits_with_the_same_result(store, monkeypatch) -> None:
    monkeypatch.setattr("oros.services.memory.vectors.CANDIDATES", 1000)
    chance = random.Random(1)
    texts = [f"{chance.choice(WORDS)} {chance.random()}" for _ in range(300)]
    store.put("user", "a", [Row(t) for t in texts])
    store.put("app:notes", "a", [Row(t) for t in texts[:50]])

    def both() -> tuple[list, list]:
        found = []
        for many in (10**9, 0):
            monkeypatch.setattr("oros.services.memory.vectors.MANY", many)
            with store._read() as db:
                found.append(store._vectors.nearest(db, 1, vector("q"), 20))
        return found[0], found[1]

    assert both() == ([], [])
    embed_all(store)
    exact, by_bits = both()
    assert [i for i, _ in exact] == [i for i, _ in by_bits]
    assert [c for _, c in exact] == pytest.approx([c for _, c in by_bits], abs=1e-4)
    store.forget(*[i for i, _ in exact[:5]])
    store.put("user", "b", [Row("q")])
    with pytest.raises(NotFound):  # undone: the bits must not believe it
        store.add("user", "b", Row("x", supersedes=1 << 32))
    embed_all(store)
    exact, by_bits = both()
    assert [i for i, _ in exact] == [i for i, _ in by_bits]
    store.drop_scope("user")
    assert both() == ([], [])


def test_a_full_disk_changes_nothing(tmp_path) -> None:
    store = Store.open(tmp_path / "memory.db")
    store.put("user", "a", [Row("amber before")])
    ((pages,),) = store._writer.execute("PRAGMA page_count")
    store._writer.execute(f"PRAGMA max_page_count={pages + 2}")
    with pytest.raises(NoSpace):
        store.put("user", "a", [Row(f"birch {n} " * 300) for n in range(50)])
    assert [k.row.text for k in store.rows("user")] == ["amber before"]
    store._writer.execute("PRAGMA max_page_count=1000000")
    true(store)
    store.put("user", "a", [Row("birch after")])
    true(store)
    store.close()


def test_both_indexes_can_be_made_anew(store) -> None:
    store.put("user", "a", [Row("amber"), Row("birch")])
    embed_all(store)
    store._writer.execute("INSERT INTO words(words) VALUES('delete-all')")
    assert not store.search(["user"], "amber").hits
    store.rebuild()
    assert store.search(["user"], "amber").hits
    true(store)
