"""My machine's home is in use, in the way, too long, broken or from the future: I am told so."""

import os
import shutil
import socket
import sqlite3
import threading
from contextlib import suppress

import pytest
from tests.journeys.conftest import ends
from tests.journeys.test_bad_input import says

from oros.services.weights.catalog import BY_NAME


def write_sql(machine, statement: str, *values) -> None:
    db = sqlite3.connect(machine.home / "journal.db")
    with db:
        db.execute(statement, values)
    db.close()


# ---- in use --------------------------------------------------------------------------------------


def test_a_second_machine_at_the_same_home(machine) -> None:
    machine.oros("ps")
    first = machine.daemon()
    says(machine.oros("boot", "--foreground"), 11, "EAGAIN", "journal.db", "oros halt")
    assert machine.daemon() == first
    assert machine.oros("ps").returncode == 0


def test_many_commands_at_once_start_one_machine(machine) -> None:
    found = [ends(run) for run in [machine.begin("ps") for _ in range(4)]]
    assert [(f.returncode, f.stderr) for f in found] == [(0, "")] * 4
    words = (machine.home / "log" / "daemon.log").read_text()
    assert words == "oros: ready\n"  # nobody else tried, and was told to go away


def test_a_command_right_after_a_halt(machine) -> None:
    """The next machine starts, though the last may still close its books."""
    for _ in range(3):
        assert machine.oros("ps").returncode == 0
        machine.client().halt()
        found = machine.oros("run", "[[mock final=well]]")
        assert found.returncode == 0, found.stderr


def test_a_socket_that_a_dead_machine_left(machine) -> None:
    machine.oros("ps")
    machine.kill_daemon()
    assert (machine.home / "run" / "oros.sock").is_socket()
    assert machine.oros("status").returncode == 6
    found = machine.oros("ps")
    assert (found.returncode, found.stderr) == (0, "")


@pytest.fixture
def squatter(machine):
    """A program of somebody else's at the machine's socket; says something and hangs up."""
    path = machine.home / "run" / "oros.sock"
    path.parent.mkdir()
    door = socket.socket(socket.AF_UNIX)
    door.bind(str(path))
    door.listen()

    def serve() -> None:
        while True:
            try:
                link, _ = door.accept()
            except OSError:
                return
            with link, suppress(OSError):  # some only look whether anybody is there
                link.recv(4096)
                link.sendall(b"220 mail.example.com\r\n")

    thread = threading.Thread(target=serve)
    thread.start()
    yield path
    door.shutdown(socket.SHUT_RDWR)
    thread.join()
    door.close()
    path.unlink()


def test_another_program_at_the_socket(machine, squatter) -> None:
    says(machine.oros("ps"), 15, "EPROTO", "socket", "HTTP", "set OROS_HOME")
    found = machine.oros("boot", "--foreground")
    says(found, 11, "EAGAIN", str(machine.home))
    assert squatter.is_socket()


# ---- in a bad place ------------------------------------------------------------------------------


@pytest.mark.parametrize("home", ["/proc/nothing", "/sys/kernel/oros", "/dev/null/oros"])
def test_a_home_without_rights(machine, home) -> None:
    machine.env["OROS_HOME"] = home
    says(machine.oros("ps"), 13, "EACCES", home.rsplit("/", 1)[0], "OROS_HOME")


def test_a_home_too_deep_for_a_socket_works(machine) -> None:
    deep = machine.home / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    shutil.move(machine.home / "config.toml", deep)
    machine.home = deep
    machine.env["OROS_HOME"] = str(deep)
    found = machine.oros("run", "[[mock final=well]]")
    assert found.returncode == 0, found.stderr


def test_a_home_with_a_name_that_is_too_long(machine) -> None:
    machine.env["OROS_HOME"] = str(machine.home / ("x" * 300))
    says(machine.oros("ps"), 2, "EINVAL", "too long", "OROS_HOME")


# ---- a broken journal ----------------------------------------------------------------------------


def test_a_journal_that_is_no_database(machine) -> None:
    rubbish = b"this is no database" * 1000
    (machine.home / "journal.db").write_bytes(rubbish)
    says(machine.oros("ps"), 18, "ECORRUPT", "journal.db", "move it aside")
    assert (machine.home / "journal.db").read_bytes() == rubbish
    (machine.home / "journal.db").rename(machine.home / "aside.db")
    assert machine.oros("ps").returncode == 0


def test_a_journal_of_a_newer_version(machine) -> None:
    pid = machine.start("[[mock final=well]]")
    machine.oros("wait", str(pid))
    machine.oros("halt")
    version = sqlite3.connect(machine.home / "journal.db")
    ((now,),) = version.execute("PRAGMA user_version").fetchall()
    version.close()
    write_sql(machine, "PRAGMA user_version=99")
    says(machine.oros("ps"), 20, "ENEWER", "99", "use that version")
    write_sql(machine, f"PRAGMA user_version={now}")
    assert "well" in machine.oros("wait", str(pid)).stdout


def test_a_journal_with_an_entry_that_cant_be_read(machine) -> None:
    pid = machine.start("[[mock final=well]]")
    machine.oros("wait", str(pid))
    machine.oros("halt")
    shutil.copy(machine.home / "journal.db", machine.home / "copy.db")
    write_sql(machine, "UPDATE process SET state=? WHERE pid=?", b'{"pid": "x"}', pid)
    says(machine.oros("ps"), 18, "ECORRUPT", "journal.db", "restore it from a copy")
    (machine.home / "copy.db").rename(machine.home / "journal.db")
    assert "well" in machine.oros("wait", str(pid)).stdout


def test_a_journal_that_was_altered(machine) -> None:
    """One process's history does not hold any more; it is told which, and the others go on."""
    for _ in range(2):
        machine.oros("run", "[[mock final=well]]")
    machine.oros("halt")
    write_sql(machine, "UPDATE event SET time=time+1 WHERE pid=2 AND seq=2")
    says(machine.oros("replay", "2"), 18, "ECORRUPT", "process 2", "event 2", "restore")
    assert machine.json("replay", "3")["same"]


# ---- a broken model file -------------------------------------------------------------------------


def test_a_model_file_that_is_cut_short(machine) -> None:
    """Nothing is started with it, and the command that mends it is named."""
    spec = BY_NAME["local/smollm2-135m"]
    folder = machine.home / "models"
    folder.mkdir()
    (folder / f"{spec.sha256}.gguf").write_bytes(b"GGUF" + os.urandom(5000))
    found = machine.oros("run", "--model", spec.name, "hello")
    says(found, 18, "ECORRUPT", "5004 bytes", f"oros models pull {spec.name}")
    assert [r["pid"] for r in machine.json("ps", "-a")] == [1]
    (folder / f"{spec.sha256}.gguf").unlink()
    found = machine.oros("run", "--model", spec.name, "hello")
    says(found, 19, "ENODEV", "not on this machine yet", "oros models pull")
