"""trace, log, replay, explain."""

import json

import pytest
from tests.shells.cli.conftest import life

from oros.abi.errors import AccessDenied
from oros.abi.events import (
    CallEntered,
    CallReturned,
    Event,
    Evicted,
    Forked,
    Mounted,
    Niced,
    Parked,
    Reaped,
    Recalled,
    Sealed,
    Signalled,
)
from oros.abi.grants import MountPoint
from oros.abi.ids import CallId, Pid, Seq
from oros.abi.message import say
from oros.abi.syscalls import Failure, Outcome
from oros.shells.cli import story


@pytest.fixture
def told(machine):
    machine.soon(machine.tell, 12, *life())


def test_trace_is_a_line_an_act(oros, told) -> None:
    code, out, _ = oros("trace", "12")
    lines = [line[10:] for line in out.splitlines()]
    assert code == 0
    assert lines == [
        "spawned   code on local: count",
        'think     local: 1.0k in (800 cached) → 40 out · free · 1.5s (queued 0.5s) "print(3)"',
        "run       c4 python=print(3) → exit 0 · added counts.csv · 3 0.2s",
        "exited    status 0: three",
    ]


def test_trace_as_json_is_the_events(oros, told) -> None:
    lines = [json.loads(x) for x in oros("trace", "12", "-o", "json")[1].splitlines()]
    assert [x["seq"] for x in lines] == [1, 2, 3, 4, 5, 6]


def test_log(oros, oros_json, told) -> None:
    lines = oros("log", "12")[1].splitlines()
    assert [line.split()[0] for line in lines] == ["1", "2", "3", "4", "5", "6"]
    assert [f["seq"] for f in oros_json("log", "12", "--after", "4")] == [5, 6]
    assert oros("log", "99")[0] == 3


OTHERS = [
    Forked(Pid(0), Pid(12), Seq(4)),
    Parked("timer"),
    Signalled("TERM", Pid(0), "enough"),
    Niced(1, Pid(0)),
    Mounted(MountPoint("/work", "work:/x")),
    Evicted((1, 2), ((3, 400),)),
    Recalled(say("user", "the code is 4711")),
    Reaped(Pid(0)),
    Sealed(((Pid(2), Seq(9), "ab" * 32),), "cd" * 32, "ef" * 32, "01" * 64),
]


def test_every_kind_of_event_has_a_line(oros, machine) -> None:
    kinds = {t.__dataclass_fields__["kind"].default for t in Event.__args__}
    assert set(story.SAYS) == kinds
    machine.soon(machine.tell, 12, *OTHERS)
    assert len(oros("log", "12")[1].splitlines()) == len(OTHERS)


def test_a_copy_names_its_race() -> None:
    fact = {"kind": "forked", "event": {"of": 2, "at": 8}}
    assert story.gist(fact) == "copy of process 2 as of event 8"
    fact["event"]["race"] = 5
    assert story.gist(fact) == "copy of process 2 as of event 8, one of race 5"


def test_a_refused_call(oros, machine) -> None:
    entered = CallEntered(CallId("c1"), "read", {"path": "/x"}, "read", "", verdict="EACCES")
    refused = Outcome(error=Failure.of(AccessDenied("not yours")))
    machine.soon(machine.tell, 12, entered, CallReturned(CallId("c1"), refused))
    first, second = oros("log", "12")[1].splitlines()
    assert first.endswith("c1 read path=/x refused: EACCES")
    assert "c1 → EACCES: not yours" in second


def test_an_event_of_a_newer_machine_is_shown_as_it_is() -> None:
    assert story.gist({"kind": "dreamt", "event": {"of": "sheep"}}) == '{"of": "sheep"}'


def test_replay(oros, machine) -> None:
    found = {"events": 9, "acts": 4, "same": True, "calls": ['run {"python": "1"}'], "differs": ""}
    machine.queries["replay"] = lambda args: found
    code, out, _ = oros("replay", "12")
    assert (code, out.splitlines()[-1]) == (0, "the same: 4 acts of 9 events decided as recorded")
    found |= {"same": False, "differs": "event 5: recorded a, decided b"}
    code, out, _ = oros("replay", "12")
    assert (code, out.splitlines()[-1]) == (1, "differs at event 5: recorded a, decided b")
    assert machine.calls[-1] == ("query replay", {"pid": "12"})


@pytest.mark.parametrize("word", ["12:c7", "12:7"])
def test_explain(oros, machine, word) -> None:
    machine.queries["explain"] = {
        "name": "read",
        "args": {"path": "/x"},
        "plain": "allowed: code may read, effect read",
        "effect": "read",
        "key": "n:12:7",
    }
    code, out, _ = oros("explain", word)
    assert code == 0
    assert "process 12, call c7: read path=/x\nallowed: code may read" in out
    assert machine.calls[-1] == ("query explain", {"pid": "12", "call": "c7"})
    assert oros("explain", "12")[0] == 2
