"""run and the talk with pid 1: what is followed, what is printed, how they end."""

import io
import json

import pytest
from tests.shells.cli.conftest import life

from oros.abi.events import CallEntered, CallReturned, Doubted, Parked, Received, Signalled
from oros.abi.ids import CallId, Pid
from oros.abi.labels import Label
from oros.abi.message import say
from oros.abi.syscalls import Outcome


@pytest.fixture
def spawning(machine):
    """A machine whose process 12 has the events of the list that is yielded."""
    events = life()

    def spawn(_):
        machine.tell(12, *events)
        return {"pid": 12}

    machine.answers["spawn"] = spawn
    return events


def test_the_answer_is_the_only_result(oros, spawning, machine, tmp_path) -> None:
    code, out, err = oros("run", "count", "them", "-b", "$0.10", "-b", "60s", "-m", "local")
    assert (code, out) == (0, "three\n")
    assert machine.calls[1] == (
        "spawn",
        {
            "goal": "count them",
            "program": "",
            "model": "local",
            "folder": str(tmp_path / "work"),
            "limits": {"micros": 100000, "seconds": 60.0},
            "nice": None,
        },
    )
    assert "added: counts.csv" in err
    assert "1 call · 1.0k in (800 cached) → 40 out · free" in err


def test_the_model_is_introduced_once(oros, spawning, machine) -> None:
    assert "model local: small; for counting\n" in oros("run", "x")[2]
    machine.facts.clear()
    assert "model local" not in oros("run", "x")[2]


def test_run_as_json_is_one_object(oros, spawning) -> None:
    code, out, _ = oros("run", "x", "-o", "json")
    found = json.loads(out)
    assert code == 0
    assert found.pop("seconds") >= 0
    assert found == {
        "pid": 12,
        "status": 0,
        "answer": "three",
        "why": "",
        "model": "local",
        "changed": [{"path": "/work/counts.csv", "change": "added"}],
        "usage": {"tokens_in": 1000, "tokens_out": 40, "cached": 800, "micros": 0, "calls": 1},
        "outside": [],
    }


def test_what_an_answer_may_be_made_of_is_told(oros, spawning, machine) -> None:
    read = ["user", "local", "file:/x", "web:b.example", "tool:mail", "web:a.example"]
    spawning[:] = life(label=Label(origins=frozenset(read)))
    err = oros("run", "x")[2]
    assert "it has read text from outside: tool:mail web:a.example web:b.example\n" in err
    machine.facts.clear()
    spawning[:] = life(label=Label(origins=frozenset(f"web:{n}.example" for n in range(8))))
    assert "web:4.example and 3 more\n" in oros("run", "x")[2]
    machine.facts.clear()
    spawning[:] = life()
    assert "from outside" not in oros("run", "x")[2]


def test_run_as_a_stream_is_a_line_an_event(oros, spawning) -> None:
    lines = [json.loads(line) for line in oros("run", "x", "--stream")[1].splitlines()]
    assert [x["kind"] for x in lines[:-1]] == [e.kind for e in spawning]
    assert lines[-1]["answer"] == "three"


def test_a_failed_process_has_the_exit_code_of_its_error(oros, spawning, machine) -> None:
    spawning[:] = life(answer="", status=1, why="the model gave empty answers")
    assert oros("run", "x")[0] == 1
    machine.facts.clear()
    spawning[:] = life(answer="", status=22, why="EDQUOT: no tokens are left")
    code, out, err = oros("run", "x")
    assert (code, out) == (22, "")
    assert "process 12 failed, status 22: EDQUOT: no tokens are left (oros trace 12)" in err


def test_detach_prints_the_pid(oros, spawning) -> None:
    assert oros("run", "-d", "x") == (0, "12\n", "")


def test_the_goal_from_standard_input(oros, spawning, machine, monkeypatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("a long goal\n"))
    oros("run", "-")
    assert machine.calls[1][1]["goal"] == "a long goal\n"
    assert oros("run", " ")[0] == 2


@pytest.mark.parametrize(
    "asks",
    [
        CallEntered(CallId("c7"), "ask", {"question": "Really?"}, "read", "k"),
        Doubted(CallId("c7"), "Really?"),
    ],
)
def test_a_question_without_a_person_says_how_to_answer(oros, spawning, asks) -> None:
    tail = [CallReturned(CallId("c7"), Outcome(value={"text": "yes"})), spawning.pop()]
    spawning += [asks, *tail]
    code, _, err = oros("run", "x")
    assert code == 0
    assert "process 12 asks: Really?" in err
    assert "oros send 12 TEXT" in err


def test_a_process_that_rests_is_left(oros, spawning) -> None:
    spawning[-1:] = [Signalled("INT", Pid(0)), Parked("message")]
    code, _, err = oros("run", "x")
    assert code == 1
    assert "go on: oros send 12 TEXT" in err


def test_a_process_that_an_error_stopped_ends_the_command_with_its_code(oros, spawning) -> None:
    why = "EAUTH: the server answered 401 (look at the key)"
    spawning[-1:] = [Signalled("STOP", Pid(0), why)]
    code, _, err = oros("run", "x")
    assert code == 14
    assert [why in line for line in err.splitlines() if "stopped" in line] == [True]


def test_a_process_that_is_stopped_is_left(oros, spawning) -> None:
    spawning[-1:] = [Signalled("STOP", Pid(0), "EBUG: oh")]
    code, _, err = oros("run", "x")
    assert code == 1
    assert "process 12 is stopped: EBUG: oh; go on: oros kill -CONT 12" in err


# ---- the talk -----------------------------------------------------------------------------------


def turn(machine, *events, tokens=()):
    """Process 1 answers each message with these events."""

    def send(args):
        machine.tell(1, Received(Pid(0), say("user", args["text"])))
        seq = len(machine.facts[1])
        machine.say(1, *tokens)
        machine.tell(1, *events, Parked("message"))
        return {"seq": seq}

    machine.answers["send"] = send


def talk(oros, monkeypatch, *lines):
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
    return oros()


def test_a_turn(oros, machine, monkeypatch) -> None:
    _, called, replied, *_ = life()
    turn(machine, called, replied)
    code, out, _ = talk(oros, monkeypatch, "hello", "", "again")
    assert (code, out) == (0, "print(3)\nprint(3)\n")
    assert [c[1]["text"] for c in machine.calls if c[0] == "send"] == ["hello", "again"]


def test_a_turn_shows_its_calls(oros, machine, monkeypatch) -> None:
    entered = CallEntered(CallId("c4"), "list", {"path": "/proc"}, "read", "k")
    back = CallReturned(CallId("c4"), Outcome(value={"entries": [], "more": False}))
    turn(machine, entered, back)
    err = talk(oros, monkeypatch, "what runs?")[2]
    assert "  c4 list path=/proc\n  c4 → 0 entries" in err


def test_slash_commands_and_their_errors(oros, machine, monkeypatch) -> None:
    machine.queries["slots"] = []
    code, out, err = talk(
        oros, monkeypatch, "/slots", "/nope", "/kill", '/x "', "/help", "/quit", "x"
    )
    assert code == 0
    assert "no model is in use" in out
    assert "usage: oros" in out
    assert err.count("EINVAL") == 3
    assert not [c for c in machine.calls if c[0] == "send"]


@pytest.mark.parametrize("text", ["not a host", "", "http://a.example", "*", "a.example:x", "-x"])
def test_what_is_no_host_is_refused_at_once(oros, machine, text) -> None:
    code, _, err = oros("run", f"--net={text}", "x")
    assert code == 2
    assert "is no host" in err
    assert not any(name == "spawn" for name, _ in machine.calls)


@pytest.mark.parametrize(
    "text",
    ["a.example", "*.a.example:8443", "203.0.113.7", "[2001:db8::1]:443", "b\u00fccher.example"],
)
def test_what_is_a_host(oros, spawning, machine, text) -> None:
    assert oros("run", "--net", text, "x")[0] == 0
    assert [args["net"] for name, args in machine.calls if name == "spawn"] == [[text]]
