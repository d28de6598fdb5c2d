"""ls, cat, write, rm, find, grep: /work is where the person is."""

import io
from types import SimpleNamespace

import pytest

from oros.abi.errors import Invalid, NotFound
from oros.abi.message import TextPart
from oros.abi.syscalls import Failure, Outcome
from oros.shells.cli.files import path_of, raw
from oros.shells.cli.main import main

ENTRIES = [
    {"path": "/work/tables", "kind": "dir", "size": None},
    {"path": "/work/tables/Penguins.csv", "kind": "file", "size": 13478},
]


@pytest.mark.parametrize(
    ("typed", "path"),
    [("", "/work"), (".", "/work"), ("a/../b", "/work/b"), ("/proc/1", "/proc/1"), ("..", "/")],
)
def test_paths(typed, path) -> None:
    assert path_of(typed) == path


def test_ls(oros, oros_json, machine, tmp_path) -> None:
    machine.answers["list"] = {"entries": ENTRIES, "more": True}
    _, out, err = oros("ls", "tables")
    assert [line.split() for line in out.splitlines()[1:]] == [
        ["dir", "-", "tables/"],
        ["file", "13.2K", "tables/Penguins.csv"],
    ]
    assert "only the first 2" in err
    args = {"path": "/work/tables", "depth": 1, "limit": 100000, "folder": str(tmp_path / "work")}
    assert machine.calls[-1] == ("list", args)
    assert oros_json("ls", "-r") == ENTRIES


def test_cat_reads_to_the_end(oros, machine) -> None:
    def read(args):
        after = 5 if args["offset"] == 0 else None
        text = "hello" if args["offset"] == 0 else " you\n"
        return Outcome(value={"size": 10, "next": after}, parts=(TextPart(text),))

    machine.answers["read"] = read
    assert oros("cat", "a.txt") == (0, "hello you\n", "")
    machine.answers["read"] = {"size": 10, "kind": "image/png", "next": None}
    code, out, err = oros("cat", "a.png")
    assert (code, out) == (2, "")
    assert "a.png is not text" in err


def test_cat_writes_a_picture_to_a_file_and_not_to_a_screen(machine, capfdbinary) -> None:
    value = {"size": 4, "kind": "image/png", "next": None, "base64": "iVBORw=="}
    machine.answers["read"] = value
    assert main(["cat", "/proc/2/calls/c5/figure.png"]) == 0
    assert capfdbinary.readouterr().out == b"\x89PNG"
    with pytest.raises(Invalid, match="not text") as e:
        raw(SimpleNamespace(terminal=SimpleNamespace(is_tty=True)), "/proc/2/c/figure.png", value)
    assert e.value.hint == "oros cat /proc/2/c/figure.png > figure.png"


def test_write(oros, machine, monkeypatch) -> None:
    machine.answers["write"] = {"path": "/work/a", "size": 3}
    assert oros("write", "a", "buy", "milk") == (0, "", "")
    assert machine.calls[-1][1]["text"] == "buy milk\n"
    monkeypatch.setattr("sys.stdin", io.StringIO("piped"))
    assert oros("write", "a")[0] == 0
    assert machine.calls[-1][1]["text"] == "piped"


def test_rm_goes_on_after_an_error(oros, machine) -> None:
    gone = Outcome(error=Failure.of(NotFound("there is no b")))
    machine.answers["remove"] = lambda a: gone if a["path"] == "/work/b" else {}
    code, _, err = oros("rm", "a", "b", "c")
    assert (code, err) == (12, "oros: ENOENT: there is no b\n")
    assert [c[1]["path"] for c in machine.calls if c[0] == "remove"] == [
        "/work/a",
        "/work/b",
        "/work/c",
    ]


@pytest.mark.parametrize(("name", "code"), [("penguin", 0), ("*.csv", 0), ("*.txt", 1)])
def test_find(oros, machine, name, code) -> None:
    machine.answers["list"] = {"entries": ENTRIES, "more": False}
    assert oros("find", name)[:2] == (code, "" if code else "tables/Penguins.csv\n")


def test_grep(oros, oros_json, machine) -> None:
    hits = [{"path": "/work/a.txt", "line": 3, "text": "  the end\n"}]
    machine.answers["search"] = {"hits": hits, "more": False}
    assert oros("grep", "end") == (0, "a.txt:3: the end\n", "")
    assert oros_json("grep", "end") == hits
    machine.answers["search"] = {"hits": [], "more": False}
    assert oros("grep", "end")[0] == 1
