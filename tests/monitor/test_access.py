"""Who may make which call: the person all; a process what its program has, down its own tree."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oros.abi import wire
from oros.abi.ids import INIT, PERSON, Pid
from oros.abi.syscalls import TABLE
from oros.kernel.process import Process, Table
from oros.monitor.access import Actor, Kin, access, named

# 2 has the child 4, which has the child 6; 3 is another program of the person, with the child 5.
FAMILY = {0: 0, 1: 0, 2: 0, 3: 0, 4: 2, 5: 3, 6: 4}
ROOTS = {0: 0, 1: 1, 2: 2, 3: 3, 4: 2, 5: 3, 6: 2}


def table() -> Table:
    made = Table()
    for pid, ppid in FAMILY.items():
        row = Process(Pid(pid), ppid=Pid(ppid), root=Pid(ROOTS[pid]), calls=tuple(TABLE))
        row.program = "t"
        made.add(row)
    return made


def verdict(me: int, name: str, right: str = "rw", calls: tuple[str, ...] = (), **args) -> str:
    rows = table()
    call, row = wire.decode_call(name, args), rows[Pid(me)]
    pid = named(call)
    kin = Kin()
    if pid is not None and pid in rows:
        below, tree = rows.is_below(rows[pid], row.pid), rows[pid].root == row.root
        kin = Kin(there=True, below=below, tree=tree, parent=pid == row.ppid)
    refused = access(Actor(row.pid, row.program, calls or row.calls), call, right, kin)
    return refused.code if refused else "allow"


def test_a_call_that_the_program_does_not_have() -> None:
    assert verdict(2, "run", argv=["true"]) == "allow"
    assert verdict(2, "run", calls=("read",), argv=["true"]) == "ENOSYS"


@pytest.mark.parametrize("name", ["write", "remove"])
def test_what_is_mounted_to_read(name: str) -> None:
    args = {"path": "/work/f"} | ({"text": "x"} if name == "write" else {})
    assert verdict(2, name, "rw", **args) == "allow"
    assert verdict(2, name, "r", **args) == "EACCES"
    assert verdict(2, name, "", **args) == "EACCES"


@pytest.mark.parametrize(
    "more", [{"folder": "/home/ann"}, {"review": True}, {"net": ["a.example"]}]
)
@pytest.mark.parametrize("pid", [1, 2, 6])
def test_only_the_person_gives_folders_and_hosts(pid: int, more: dict) -> None:
    assert verdict(pid, "spawn", goal="x") == "allow"
    assert verdict(pid, "spawn", goal="x", **more) == "EACCES"
    assert verdict(PERSON, "spawn", goal="x", **more) == "allow"


@pytest.mark.parametrize("name", ["allow", "deny"])
def test_only_the_person_grants(name: str) -> None:
    assert verdict(PERSON, name, pid=2) == "allow"
    assert verdict(INIT, name, pid=2) == verdict(2, name, pid=2) == "EACCES"


TOUCH = {
    "kill": {"signal": "TERM"},
    "nice": {"level": 1},
    "fork": {},
}


@pytest.mark.parametrize("name", TOUCH)
@pytest.mark.parametrize("of", [2, 3, 4, 5, 6])
@pytest.mark.parametrize("pid", [2, 3, 4, 5, 6])
def test_a_process_touches_its_own_tree_only(name: str, pid: int, of: int) -> None:
    line = {pid, *(k for k, above in FAMILY.items() if pid in (above, FAMILY.get(above)))}
    want = "allow" if of in line else "EACCES"
    assert verdict(pid, name, pid=of, **TOUCH[name]) == want


def test_pid_1_speaks_for_the_person_but_not_to_itself() -> None:
    for name, args in TOUCH.items():
        assert verdict(INIT, name, pid=5, **args) == "allow"


def test_words_go_to_the_own_program_and_to_the_parent() -> None:
    said = {"text": "x"}
    assert verdict(6, "send", pid=2, **said) == "allow"
    assert verdict(2, "send", pid=6, **said) == "allow"
    assert verdict(6, "send", pid=5, **said) == "EACCES"
    assert verdict(2, "send", pid=3, **said) == "EACCES"
    assert verdict(4, "wait", pid=6) == "allow"
    assert verdict(4, "wait", pid=5) == "EACCES"


@given(
    st.sampled_from([2, 3, 4, 5, 6]),
    st.sampled_from([*TOUCH, "send", "wait"]),
    st.sampled_from([2, 3, 4, 5, 6]),
    st.sets(st.sampled_from([*TOUCH, "send", "wait"])),
    st.sampled_from(["", "r", "rw"]),
)
def test_fewer_calls_and_rights_never_allow_more(pid, name, of, calls, right) -> None:
    args = TOUCH.get(name, {"text": "x"} if name == "send" else {})
    less = verdict(pid, name, right, calls=tuple(calls) or ("read",), pid=of, **args)
    if less == "allow":
        assert verdict(pid, name, "rw", pid=of, **args) == "allow"
