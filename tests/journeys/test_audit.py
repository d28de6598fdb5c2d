"""Somebody who may write to the store rewrites what happened; the seals tell."""

import shutil
import sqlite3

import pytest
from tests.journeys.conftest import Machine
from tests.journeys.test_changes import goal

from oros.abi import chain
from oros.abi.errors import Corrupt
from oros.abi.ports import Row

WROTE = ["write", {"path": "/work/a", "text": "one"}]


@pytest.fixture(scope="module")
def once_sealed(tmp_path_factory, mock_url):
    """A machine with some history that is sealed, halted; the seal."""
    machine = Machine(tmp_path_factory.mktemp("sealed"), mock_url)
    for _ in range(2):
        pid = machine.start(goal(WROTE), "-p", "steps")
        assert machine.oros("wait", str(pid)).returncode == 0
    pid = machine.start(goal(WROTE), "-p", "steps")
    copy = machine.json("fork", str(pid))["pids"][0]
    for each in (pid, copy):  # the copy may end before its original
        assert machine.oros("wait", str(each)).returncode == 0
    first = machine.json("audit", "head")
    assert machine.json("audit", "head")["seal"] == first["seal"]  # nothing has happened since
    found = machine.json("audit")
    assert (found["ok"], found["faults"], found["unsealed"]) == (True, [], 0)
    assert found["events"] > 20
    assert (machine.home / "seal.key").stat().st_mode & 0o777 == 0o600
    machine.oros("halt")
    return machine, first["seal"]


@pytest.fixture
def sealed(once_sealed, machine):
    """A copy of it, to be harmed; the seal."""
    original, seal = once_sealed
    shutil.rmtree(machine.home)
    whiteouts = shutil.ignore_patterns("layers")  # which not everybody may copy
    shutil.copytree(original.home, machine.home, ignore=whiteouts)
    return machine, seal


def store(machine) -> sqlite3.Connection:
    return sqlite3.connect(machine.home / "journal.db", isolation_level=None)


def rows(db: sqlite3.Connection, pid: int) -> list[Row]:
    query = "SELECT pid,seq,time,kind,body,label,prev,hash FROM event WHERE pid=? ORDER BY seq"
    return [Row(*r) for r in db.execute(query, (pid,))]


def chained_anew(db: sqlite3.Connection, journal: list[Row]) -> None:
    """Write a journal in the place of what was there, as a whole chain."""
    db.execute("DELETE FROM event WHERE pid=?", (journal[0].pid,))
    prev = b""
    for seq, row in enumerate(journal, 1):
        new = chain.seal(row.pid, seq, row.time, row.kind, row.body, row.label, prev)
        prev = new.hash
        values = (new.pid, new.seq, new.time, new.kind, new.body, new.label, new.prev, new.hash)
        db.execute("INSERT INTO event VALUES(?,?,?,?,?,?,?,?)", values)


def other(row: Row) -> Row:
    return row._replace(body=row.body.replace(b'"one"', b'"two"'))


def told(machine, *words: str) -> tuple[int, str]:
    found = machine.oros("audit", "verify", *words)
    return found.returncode, found.stdout + found.stderr


def test_an_event_that_was_altered_is_named(sealed) -> None:
    machine, _ = sealed
    with store(machine) as db:
        row = next(r for r in rows(db, 2) if b'"one"' in r.body)
        where = (other(row).body, row.pid, row.seq)
        db.execute("UPDATE event SET body=? WHERE pid=? AND seq=?", where)
    assert told(machine)[0] == 1
    assert f"the journal of process 2 was altered at event {row.seq}" in told(machine)[1]


def taken_away(db: sqlite3.Connection) -> None:
    for table in ("event", "process"):
        db.execute(f"DELETE FROM {table} WHERE pid=3")


HARM = {
    "of process 2 is not the one that was sealed": lambda db: chained_anew(
        db, [other(r) for r in rows(db, 2)]
    ),
    "event 5 of process 2 is not the one that was sealed": lambda db: db.execute(
        "DELETE FROM event WHERE pid=2 AND seq>4"
    ),
    "the journal of process 3 is gone": taken_away,
}


@pytest.mark.parametrize("said", HARM)
def test_a_journal_that_was_written_anew_cut_or_taken_away(sealed, said: str) -> None:
    machine, _ = sealed
    with store(machine) as db:
        last = rows(db, 2)[-1].seq
        HARM[said](db)
    code, text = told(machine)
    assert code == 1
    assert said.replace("event 5", f"event {last}") in text


def test_who_takes_the_seals_away_is_found_by_one_that_was_noted(sealed) -> None:
    machine, seal = sealed
    with store(machine) as db:
        chained_anew(db, [other(r) for r in rows(db, 2)])
        chained_anew(db, [r for r in rows(db, 0) if r.kind != "sealed"])
    (machine.home / "seal.key").unlink()
    assert told(machine)[0] == 0  # all of the machine is theirs: nothing on it can tell
    code, text = told(machine, "--seal", seal)
    assert code == 1
    assert "which you noted, is not in the journal" in text


def test_seals_of_another_key_are_told(sealed) -> None:
    machine, seal = sealed
    (machine.home / "seal.key").write_bytes(bytes(32))
    code, text = told(machine, "--seal", seal)
    assert code == 1
    assert "is signed by another key" in text
    assert machine.oros("audit", "verify", "--seal", "nonsense").returncode == 2


def test_without_a_key_all_else_goes_on(sealed) -> None:
    machine, _ = sealed
    (machine.home / "seal.key").write_bytes(b"short")
    code, text = told(machine)
    assert code == 1
    assert "no seal can be checked" in text
    assert machine.oros("run", "-p", "steps", goal(WROTE)).returncode == 0
    assert machine.oros("audit", "head").returncode == Corrupt.exit_code
