import asyncio
import json
import os
import shutil
import socket
import threading
import time

import pytest

from oros.abi.errors import AccessDenied, Invalid, NoSpace, NotFound
from oros.abi.wire import encode
from oros.services.files import folder as folder_module
from oros.services.files.folder import Folder


def do(call):
    outcome = asyncio.run(call)
    encode(outcome)  # whatever it holds, the journal must take it
    return outcome


def text_of(outcome) -> str:
    return "".join(p.text for p in outcome.parts)


def test_write_then_read(folder, user, work) -> None:
    done = do(folder.write(user, "a/b/new.txt", "héllo\n".encode()))
    assert done.value == {"path": "a/b/new.txt", "size": 7}
    got = do(folder.read(user, "a/b/new.txt", 0, 100))
    assert got.value == {"path": "a/b/new.txt", "size": 7, "offset": 0, "next": None}
    assert text_of(got) == "héllo\n"
    assert sorted(p.name for p in (work / "a" / "b").iterdir()) == ["new.txt"]


def test_pages(folder, user, work) -> None:
    text = "äöü€𝄞" * 9000
    (work / "big.txt").write_text(text)
    seen, at, pages = "", 0, 0
    while at is not None:
        got = do(folder.read(user, "big.txt", at, 100_001 if pages else 1001))
        seen += text_of(got)
        at = got.value["next"]
        pages += 1
    assert seen == text
    assert pages == 3
    assert do(folder.read(user, "big.txt", 10**9, 100)).value["next"] is None


@pytest.mark.parametrize(
    ("raw", "text", "encoding"),
    [(b"caf\xe9\n", "café\n", "latin-1"), ("hé\n".encode("utf-16"), "hé\n", "utf-16-le"),
     (b"\xef\xbb\xbfa,b\n", "a,b\n", None), (b"", "", None)],
)  # fmt: skip
def test_encodings(folder, user, work, raw, text, encoding) -> None:
    (work / "f").write_bytes(raw)
    got = do(folder.read(user, "f", 0, 1000))
    assert (text_of(got), got.value.get("encoding")) == (text, encoding)


def test_a_binary_is_its_kind_and_size(folder, user, work) -> None:
    (work / "p.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 100)
    got = do(folder.read(user, "p.png", 0, 1000))
    assert got.value == {"path": "p.png", "size": 108, "offset": 0, "next": None, "kind": "png"}
    assert got.parts == ()


def test_a_huge_sparse_file_costs_nothing(folder, user, work) -> None:
    with (work / "sparse").open("wb") as file:
        file.truncate(1 << 40)
    with (work / "log").open("wb") as file:
        file.write(b"begin\n" * 2000)
        file.truncate(1 << 40)
    began = time.process_time()  # this process's own: others may be busy
    assert do(folder.read(user, "sparse", 0, 1 << 40)).value["kind"] == "data"
    assert do(folder.read(user, "log", 0, 1 << 40)).value["next"] == 1 << 20
    listed = do(folder.list(user, "", 1, 50, 10)).value["entries"]
    assert {e["size"] for e in listed} == {1 << 40}
    assert time.process_time() - began < 2


def test_special_files_are_refused_and_do_not_hang(folder, user, work, tmp_path) -> None:
    os.mkfifo(work / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(work / "sock"))
        try:
            os.mknod(work / "null", 0o666 | 0o020000, os.makedev(1, 3))
            names = ["fifo", "sock", "null"]
        except PermissionError:
            names = ["fifo", "sock"]
        for name in names:
            with pytest.raises(AccessDenied, match="no ordinary file"):
                do(folder.read(user, name, 0, 100))
            with pytest.raises(AccessDenied, match="no ordinary file"):
                do(folder.write(user, name, b"x"))
        kinds = {e["path"]: e["kind"] for e in do(folder.list(user, "", 1, 99, 9)).value["entries"]}
        assert kinds["fifo"] == "fifo"
        assert kinds["sock"] == "socket"
        assert do(folder.search(user, "", "x", 5)).value == {"hits": [], "more": False}


def test_links_are_read_inside_and_never_written_through(folder, user, work) -> None:
    (work / "d").mkdir()
    (work / "d" / "f").write_text("inside")
    (work / "in").symlink_to("d/f")
    (work / "din").symlink_to("d")
    (work / "out").symlink_to("../canary")
    assert text_of(do(folder.read(user, "in", 0, 99))) == "inside"
    assert text_of(do(folder.read(user, "din/f", 0, 99))) == "inside"
    assert [e["path"] for e in do(folder.list(user, "din", 1, 0, 9)).value["entries"]] == ["d/f"]
    assert do(folder.stat(user, "din/f")).value["kind"] == "file"
    assert do(folder.stat(user, "out")).value["to"] == "../canary"
    for path in ("in", "out", "din/f", "din/new"):
        with pytest.raises(AccessDenied):
            do(folder.write(user, path, b"changed"))
    with pytest.raises(AccessDenied, match="leads out"):
        do(folder.read(user, "out", 0, 99))
    assert (work / "d" / "f").read_text() == "inside"
    assert (work.parent / "canary").read_text() == "CANARY"
    do(folder.remove(user, "out"))
    assert (work.parent / "canary").exists()


def test_odd_names_are_listed_read_and_removed(folder, user, work) -> None:
    odd = work / os.fsdecode(b"caf\xe9\n\x1b.txt")
    odd.write_text("odd")
    entry = do(folder.list(user, "", 1, 9, 9)).value["entries"][0]
    assert entry["path"] == "caf\\xe9\\n\\x1b.txt"
    assert entry["head"] == "odd"
    assert text_of(do(folder.read(user, entry["path"], 0, 9))) == "odd"
    assert do(folder.search(user, "", "ODD", 9)).value["hits"][0]["path"] == entry["path"]
    do(folder.write(user, entry["path"], b"new"))
    assert odd.read_text() == "new"
    do(folder.remove(user, entry["path"]))
    assert list(work.iterdir()) == []


def test_list_depth_limit_and_version_control(folder, user, work) -> None:
    for path in ("a/x/1", "b/2", ".git/config", "3"):
        (work / path).parent.mkdir(parents=True, exist_ok=True)
        (work / path).write_text("")

    def paths(*args):
        value = do(folder.list(user, *args)).value
        return [e["path"] for e in value["entries"]], value["more"]

    assert paths("", 1, 0, 10) == ([".git", "3", "a", "b"], False)
    assert paths("", 9, 0, 10) == ([".git", "3", "a", "a/x", "a/x/1", "b", "b/2"], False)
    assert paths("", 9, 0, 3) == ([".git", "3", "a"], True)
    assert paths(".git", 1, 0, 3) == ([".git/config"], False)
    assert paths("b/2", 1, 0, 3) == (["b/2"], False)


def test_heads(folder, user, work) -> None:
    (work / "t.csv").write_text("a,b\n1,2\n3,4")
    (work / "cars.json").write_text(json.dumps([{"Name": "x", "Hp": 1}] * 406))
    (work / "o.json").write_text(json.dumps({"type": "F", "rows": list(range(50))}))
    (work / "bad.json").write_text("[" * 100_000)
    (work / "huge.json").write_text('[{"k": 1},' + " " * (2 << 20) + "{}]")
    (work / "p.bin").write_bytes(b"\0\1\2")
    (work / "long.txt").write_text("0123456\n" * (1 << 18))
    found = {e["path"]: e for e in do(folder.list(user, "", 1, 60, 99)).value["entries"]}
    assert (found["t.csv"]["lines"], found["t.csv"]["head"]) == (3, "a,b\n1,2\n3,4")
    assert found["cars.json"]["head"] == 'list of 406; first: {"Name": "x", "Hp": 1}'
    assert found["o.json"]["head"] == 'object; type: "F"; rows: [list of 50; first: 0]'
    assert found["bad.json"]["head"] == "[" * 60
    assert found["huge.json"]["head"] == 'list; first: {"k": 1}'
    assert found["p.bin"]["type"] == "data"
    assert found["long.txt"]["lines_about"] == 1 << 18
    assert "lines" not in found["long.txt"]


def test_only_so_many_heads(folder, user, work) -> None:
    for i in range(80):
        (work / f"{i:03}").write_text("x")
    found = do(folder.list(user, "", 1, 60, 99)).value["entries"]
    assert sum("head" in e for e in found) == 64


def test_ten_thousand_files(folder, user, work) -> None:
    for i in range(100):
        (work / f"{i:03}").mkdir()
        for j in range(100):
            (work / f"{i:03}" / f"{j:03}").touch()
    began = time.process_time()
    value = do(folder.list(user, "", 9, 0, 20_000)).value
    assert len(value["entries"]) == 10_100
    assert time.process_time() - began < 3
    began = time.process_time()
    assert len(do(folder.list(user, "", 9, 0, 200)).value["entries"]) == 200
    assert time.process_time() - began < 0.5


def test_search(folder, user, work) -> None:
    (work / "a.txt").write_text("one\nTwo Straße\nthree\n" * 2)
    (work / "b.bin").write_bytes(b"\0two")
    (work / "u.txt").write_bytes("zwei two\r\n".encode("utf-16"))
    (work / ".git").mkdir()
    (work / ".git" / "x").write_text("two")
    (work / "long.txt").write_text("x" * 5000 + "two" + "y" * 5000)
    got = do(folder.search(user, "", "TWO", 10)).value
    assert [(h["path"], h["line"]) for h in got["hits"]] == [
        ("a.txt", 2), ("a.txt", 5), ("long.txt", 1), ("u.txt", 1)]  # fmt: skip
    assert got["hits"][3]["text"] == "zwei two"
    assert "two" in got["hits"][2]["text"]
    assert len(got["hits"][2]["text"]) < 250
    assert do(folder.search(user, "", "two", 2)).value["more"]
    assert [h["line"] for h in do(folder.search(user, "a.txt", "STRASSE", 9)).value["hits"]] == [
        2,
        5,
    ]
    with pytest.raises(Invalid):
        do(folder.search(user, "", " ", 9))


def test_search_in_a_big_file_counts_lines(folder, user, work) -> None:
    lines = [f"line {i}" for i in range(1, 300_001)]
    lines[250_000] = "the Needle"
    (work / "big").write_text("\n".join(lines))
    assert do(folder.search(user, "", "needle", 9)).value["hits"] == [
        {"path": "big", "line": 250_001, "text": "the Needle"}]  # fmt: skip


def test_a_slow_search_ends_in_time_with_what_it_has(folder, user, work, monkeypatch) -> None:
    (work / "f").write_text("hit\n")
    ended = threading.Event()

    def slow(self, root, top, *, is_file) -> None:
        self.hits.append({"path": "f", "line": 1, "text": "hit"})
        assert self.halt.wait(20)
        ended.set()

    monkeypatch.setattr(folder_module.Hunt, "through", slow)
    monkeypatch.setattr(folder_module, "SEARCH_SECONDS", 0.05)
    got = do(folder.search(user, "", "hit", 9)).value
    assert (len(got["hits"]), got["more"]) == (1, True)
    assert ended.is_set()


def test_a_cancelled_write_is_over_when_it_returns(folder, user, work) -> None:
    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(folder.write(user, "f", b"x" * (8 << 20)))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            task.cancel()

    asyncio.run(main())
    size = (work / "f").stat().st_size if (work / "f").exists() else None
    time.sleep(0.1)
    assert ((work / "f").stat().st_size if (work / "f").exists() else None) == size


def test_stat_and_remove(folder, user, work) -> None:
    (work / "d").mkdir()
    (work / "d" / "f").write_text("abc")
    found = do(folder.stat(user, "d/f")).value
    assert (found["path"], found["kind"], found["size"]) == ("d/f", "file", 3)
    assert abs(found["time"] - time.time()) < 60
    assert found["label"]["integrity"] == "third"
    assert do(folder.stat(user, "")).value["kind"] == "dir"
    with pytest.raises(Invalid, match="not empty"):
        do(folder.remove(user, "d"))
    do(folder.remove(user, "d/f"))
    do(folder.remove(user, "d"))
    assert list(work.iterdir()) == []


@pytest.mark.parametrize(
    ("path", "error", "words"),
    [("nope", NotFound, "there is no nope"), ("f/x", NotFound, "no folder"), ("d", Invalid, "list"),
     ("../canary", AccessDenied, "leads out"), ("/etc/passwd", AccessDenied, "leads out"),
     ("x" * 300, Invalid, "too long"), ("a\0", Invalid, "NUL")],
)  # fmt: skip
def test_read_errors_are_clear(folder, user, work, path, error, words) -> None:
    (work / "f").write_text("")
    (work / "d").mkdir()
    with pytest.raises(error, match=words):
        do(folder.read(user, path, 0, 10))


def test_write_errors_are_clear(folder, user, work) -> None:
    (work / "f").write_text("old")
    (work / "f").chmod(0o444)
    (work / "d").mkdir()
    for path, error in (("f", AccessDenied), ("d", Invalid), ("", Invalid), ("f/x", NotFound)):
        with pytest.raises(error):
            do(folder.write(user, path, b"new"))
    with pytest.raises(AccessDenied):
        do(folder.remove(user, "f"))
    with pytest.raises(AccessDenied):
        do(folder.remove(user, ""))
    assert (work / "f").read_text() == "old"


def test_a_vanished_folder_is_one_clear_error(folder, user, work) -> None:
    shutil.rmtree(work)
    calls = [folder.read(user, "f", 0, 9), folder.write(user, "f", b""), folder.stat(user, "f"),
             folder.list(user, "", 1, 0, 9), folder.search(user, "", "x", 9),
             folder.remove(user, "f")]  # fmt: skip
    for call in calls:
        with pytest.raises(NotFound, match=r"the folder .* is gone"):
            do(call)
    with pytest.raises(NotFound):
        Folder(work, {})


def test_a_full_disk_is_no_space(folder, user, work, monkeypatch) -> None:
    (work / "f").write_text("old")

    def full(fd, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("oros.services.files.replace.os.write", full)
    with pytest.raises(NoSpace):
        do(folder.write(user, "f", b"new"))
    assert [(p.name, p.read_text()) for p in work.iterdir()] == [("f", "old")]


@pytest.mark.skipif(os.getuid() != 0, reason="needs to be root to stop being root")
def test_without_rights_there_is_one_clear_error(folder, user, work) -> None:
    (work / "f").write_text("secret")
    (work / "f").chmod(0o600)
    os.seteuid(65534)
    try:
        with pytest.raises(AccessDenied, match="no right"):
            do(folder.read(user, "f", 0, 10))
        with pytest.raises(AccessDenied):
            do(folder.write(user, "new", b""))
        assert do(folder.search(user, "", "secret", 9)).value["hits"] == []
    finally:
        os.seteuid(0)
