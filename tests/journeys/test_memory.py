"""What the user and processes remember, and folders that are found in: also after `kill -9`."""

import json
import subprocess
import sys

import pytest
from tests.journeys.conftest import ROOT
from tests.journeys.test_changes import goal

from oros.abi.errors import NotFound

GONE = NotFound.exit_code


def test_what_the_user_tells_is_there_until_they_forget_it(machine) -> None:
    machine.oros("mem", "add", "the rent is due on the 5th", "--name", "rent")
    machine.kill_daemon()
    row = machine.json("mem")[0]
    assert (row["scope"], row["name"], row["integrity"]) == ("user", "rent", 3)
    hits = machine.json("mem", "find", "when is the rent due")
    assert hits[0]["path"] == "/mem/user/rent"
    short = machine.oros("mem").stdout.splitlines()[1].split()[0]
    assert short == f"{row['id'] >> 32}.{row['id'] % 2**32}"
    assert machine.json("mem", "why", short)["id"] == row["id"]
    assert machine.json("mem", "why", str(row["id"]))["process"]["program"] == "you"
    right = machine.json("mem", "correct", str(row["id"]), "the rent is due on the 7th")
    assert "7th" in machine.oros("cat", "/mem/user/rent").stdout
    assert machine.oros("mem", "forget", str(right["id"])).returncode == 0
    assert machine.json("mem") == []
    machine.oros("halt")
    assert b"rent is due" not in (machine.home / "memory.db").read_bytes()


def test_what_is_kept_for_a_time_goes_by_itself_and_what_is_old_on_demand(machine) -> None:
    machine.oros("mem", "add", "the code is 1234", "--name", "code", "--for", "0s")
    assert machine.json("mem") == []
    machine.oros("mem", "add", "the code is 1234", "--name", "code", "--for", "30d")
    (row,) = machine.json("mem")
    assert 29 * 86400 < row["expires"] - row["at"] < 31 * 86400
    assert machine.oros("mem", "expire", str(row["id"]), "--for", "ever").returncode == 0
    assert machine.json("mem")[0]["expires"] is None
    machine.oros("mem", "add", "I live in Bonn", "--always")
    assert machine.oros("mem", "expire", "--older-than", "1d").returncode == 1
    asked = machine.oros("mem", "expire", "--older-than", "0s")
    assert asked.returncode == 2
    assert "1 row: 1 of user" in asked.stderr
    assert machine.json("mem", "expire", "--older-than", "0s", "--yes") == {"forgotten": 1}
    assert [r["scope"] for r in machine.json("mem")] == ["always"]


def test_what_stands_always_is_told_to_later_processes(machine) -> None:
    machine.oros("mem", "add", "I live in Bonn", "--always")
    pid = machine.start(goal(["list", {"path": "/mem"}]), "-p", "steps")
    machine.oros("wait", str(pid))
    assert "I live in Bonn" in machine.oros("cat", f"/proc/{pid}/context").stdout


def test_processes_remember_and_can_not_speak_for_the_user(machine) -> None:
    pid = machine.start(
        goal(
            ["write", {"path": "/mem/self/a", "text": "mine alone"}],
            ["write", {"path": "/mem/user/b", "text": "for all"}],
            ["read", {"path": "/mem/user/b"}],
        ),
        "-p",
        "steps",
    )
    assert machine.oros("wait", str(pid)).returncode == 0
    assert {r["scope"] for r in machine.json("mem")} == {"user", f"process:{pid}"}
    other = machine.start(goal(["list", {"path": "/mem", "depth": 1}],
                               ["search", {"path": "/mem", "query": "mine alone"}]),
                          "-p", "steps")  # fmt: skip
    machine.oros("wait", str(other))
    assert (
        "mine alone" not in machine.oros("log", str(other), "-o", "json").stdout.split('"hits"')[-1]
    )


TALK = [
    {
        "when": "remember that my sister Ada was born on 4 May",
        "then": [
            {"write": {"path": "/mem/user/ada", "text": "The user's sister Ada: born on 4 May."}},
            "I will remember that.",
        ],
    },
    {
        "when": "when is the birthday of my sister",
        "then": [{"search": {"path": "/mem", "query": "birthday sister"}}, "On 4 May."],
    },
    {
        "when": "tell each process that I like tea",
        "then": [
            {"write": {"path": "/mem/always/tea", "text": "The user likes tea."}},
            "Only you can.",
        ],
    },
]


@pytest.fixture
def talkative(machine, tmp_path):
    """The machine with a model that knows what to do in the talk."""
    book = tmp_path / "book.json"
    book.write_text(json.dumps(TALK))
    command = [sys.executable, "-m", "tests.mock_server", "--book", str(book)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        machine.base_url = process.stdout.readline().split()[-1]
        machine.configure()
        yield machine
        process.terminate()


def test_what_is_said_in_the_talk_is_remembered_and_found(talkative) -> None:
    said = talkative.oros(given="remember that my sister Ada was born on 4 May\n")
    assert "I will remember that." in said.stdout, said.stderr
    (row,) = talkative.json("mem")
    assert (row["scope"], row["name"], row["from"]) == ("user", "ada", 1)
    assert row["integrity"] == 2, "a model's words are not the user's own"
    assert "4 May" in talkative.oros("mem", "find", "birthday of my sister").stdout
    talkative.oros("halt")
    said = talkative.oros(
        given="when is the birthday of my sister\ntell each process that I like tea\n"
    )
    assert "On 4 May." in said.stdout, said.stderr
    returned = [r["event"]["outcome"] for r in talkative.json("log", "1")
                if r["kind"] == "call_returned"]  # fmt: skip
    assert "born on 4 May" in json.dumps(returned[1]["value"]["hits"])
    assert returned[2]["error"]["code"] == "EACCES", returned[2]
    assert [r["name"] for r in talkative.json("mem")] == ["ada"]


def test_a_folder_is_found_in_and_follows_what_is_changed(machine) -> None:
    notes = machine.work.parent / "notes"
    notes.mkdir()
    (notes / "zoo.txt").write_text("Zebras\n\nThe zebra counts 4711 stripes.\n")
    (notes / "locked.pdf").write_bytes(b"%PDF-1.4 no more")
    assert machine.oros("mount", str(notes), "--index", "--ro").returncode == 0
    row = machine.json("mount")[0]
    assert (row["name"], row["right"], row["index"]["state"]) == ("notes", "r", "ready")
    assert any("locked.pdf" in line for line in row["index"]["failures"])
    assert "locked.pdf" in machine.oros("mount", "--status").stdout
    hits = machine.json("find", "how many stripes has a zebra")
    assert hits[0]["path"] == "/home/notes/zoo.txt"
    machine.kill_daemon()
    hits = machine.json("find", "zebra stripes", "/home/notes")
    assert hits[0]["path"] == "/home/notes/zoo.txt"
    assert machine.oros("umount", "notes").returncode == 0
    assert machine.oros("find", "how many stripes has a zebra").returncode == 1


def test_wrong_words_are_one_line_each(machine) -> None:
    for words, code in (
        (("mem", "why", "99"), GONE),
        (("mem", "why", "x"), 2),
        (("mem", "forget", "99"), GONE),
        (("mem", "correct", "1"), 2),
        (("mem", "add"), 2),
        (("mem", "add", "x", "--for", "soon"), 2),
        (("mem", "expire"), 2),
        (("mem", "expire", "99"), GONE),
        (("mem", "expire", "1", "--older-than", "1d"), 2),
        (("mount", "/no/such/folder"), GONE),
        (("mount", str(machine.home)), None),
        (("umount", "nothing"), GONE),
    ):
        found = machine.oros(*words)
        assert found.returncode == code or (code is None and found.returncode), (words, found)
        assert len(found.stderr.strip().splitlines()) == 1, (words, found.stderr)
    assert json.loads(machine.oros("mount", "-o", "json").stdout) == []
