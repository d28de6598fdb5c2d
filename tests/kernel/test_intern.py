"""Thousands of idle processes hold what is equal in them once."""

from dataclasses import replace

from oros.abi import intern, wire
from oros.abi.events import CallEntered
from oros.abi.grants import Limits, MountPoint
from oros.abi.ids import CallId, Pid
from oros.abi.labels import Integrity, Label
from oros.kernel.process import Process


def row(pid: int) -> Process:
    mounts = (MountPoint("/work", "work:/srv/x", "rw"), MountPoint("/proc", "proc:"))
    label = Label(Integrity.THIRD, None, frozenset({"user", "file:a"}))
    return Process(Pid(pid), mounts=mounts, calls=("read", "write"), label=label, goal=f"job {pid}")


def test_rows_that_were_decoded_share_their_parts() -> None:
    stored = [wire.encode(replace(row(n), limits=Limits(tokens=5))) for n in (2, 3)]
    one, other = (intern.thin(wire.decode(Process, x)) for x in stored)
    assert one.goal != other.goal
    for name in ("mounts", "calls", "label", "limits", "accounts"):
        assert getattr(one, name) is getattr(other, name), name
    assert one == wire.decode(Process, stored[0])


def test_a_row_holds_its_own_numbers_once() -> None:
    made = replace(row(5000), root=Pid(5000), accounts=(Pid(5000),), started=9.5, heard=9.5)
    found = intern.thin(wire.decode(Process, wire.encode(made)))
    assert found == made
    assert found.root is found.pid
    assert found.accounts[0] is found.pid
    assert found.heard is found.started


def test_a_call_that_is_waited_in_keeps_its_name_and_arguments_only() -> None:
    wait = CallEntered(CallId("c4"), "wait", {"pid": 3}, "control", "node:2:4", "call_9")
    kept = intern.waiting(wait)
    assert (kept.id, kept.name, kept.args, kept.effect) == ("c4", "wait", {"pid": 3}, "control")
    assert (kept.key, kept.ask) == ("", "")
    recv = CallEntered(CallId("c4"), "recv", {}, "control", "node:5:4")
    assert intern.waiting(recv) is intern.waiting(replace(recv, key="node:6:4"))
