"""models, slots, doctor, status, halt; and how the machine is started."""

import fcntl
import json
import os
import socket
import sys
import threading
import time

import pytest
from tests.gate.fake import OURS

from oros.abi.errors import AccessDenied, Busy, DeviceFailed, Invalid, Newer, NoSpace
from oros.sdk.client import Client
from oros.shells.cli import spawn_daemon
from oros.shells.cli.main import main
from oros.shells.cli.terminal import Terminal


def test_models(oros, oros_json, machine) -> None:
    machine.queries["models"] = [
        {"name": "local", "state": "here", "size": 5 << 20, "about": "small", "default": True}
    ]
    assert oros("models")[1].splitlines()[1].split() == ["local*", "here", "5.0M", "small"]
    assert oros_json("models") == machine.queries["models"]


def test_pull_shows_its_progress_and_its_result(oros, machine) -> None:
    steps = [{"what": "download local", "done": n, "total": 10} for n in range(10)]
    machine.longs["models.pull"] = [*steps, {"result": {"name": "local", "size": 5}}]
    code, out, err = oros("models", "pull", "local")
    assert (code, out, err) == (0, "name: local\nsize: 5\n", "download local\n")
    assert machine.calls[-1] == ("progress models.pull", {"name": "local"})
    machine.longs["models.pull"] = [{"error": {"code": "ENOSPC", "why": "full", "hint": ""}}]
    assert oros("models", "pull")[0] == 28


def test_slots_status_doctor(oros, oros_json, machine) -> None:
    machine.queries["slots"] = [
        {"model": "m", "slots": 4, "running": [3, 4], "waiting": [5], "preemptions": 2}
    ]
    assert oros("slots")[1].splitlines()[1].split() == ["m", "2/4", "3", "4", "2", "-", "5"]
    machine.queries["doctor"] = {"sandbox": "bwrap", "works": True, "held": ["network"]}
    code, out, _ = oros("doctor")
    assert code == 0
    assert "sandbox: bwrap\nworks: True\nheld: network\n" in out
    machine.queries["doctor"] = {"sandbox": "bwrap", "works": False}
    assert oros("doctor")[0] == 16
    assert oros_json("status")["version"] == "1"


def test_halt_waits_until_the_door_is_shut(oros, machine, home) -> None:
    assert oros("halt")[0] == 0
    assert not Client(home).path.exists()


def test_halt_waits_until_the_journal_is_let_go(oros, machine, home) -> None:
    """What is copied after it is whole."""
    with (home / "journal.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        let_go = threading.Event()

        def later() -> None:
            time.sleep(0.3)
            let_go.set()
            fcntl.flock(file, fcntl.LOCK_UN)

        closing = threading.Thread(target=later)
        closing.start()
        assert oros("halt")[0] == 0
        assert let_go.is_set()
        closing.join()


# ---- starting -----------------------------------------------------------------------------------


@pytest.fixture
def daemon(home, tmp_path, monkeypatch):
    """Put a program in the daemon's place; a list of the pids that were started."""
    started = []

    def become(program: str) -> list:
        script = tmp_path / "daemon"
        script.write_text(f"#!{sys.executable}\n{program}")
        script.chmod(0o755)
        monkeypatch.setattr(spawn_daemon.sys, "executable", str(script))
        spawn = os.posix_spawn

        def noted(*args, **kwargs):
            started.append((spawn(*args, **kwargs), args[1]))
            return started[-1][0]

        monkeypatch.setattr(spawn_daemon.os, "posix_spawn", noted)
        return started

    yield become
    for pid, _ in started:
        try:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass


ANSWERS = """
import os, socket, sys, time
home = sys.argv[sys.argv.index("--home") + 1]
os.makedirs(home + "/run", exist_ok=True)
door = socket.socket(socket.AF_UNIX)
door.bind(home + "/run/oros.sock"); door.listen()
print("session", os.getsid(0) == os.getpid(), flush=True)
body = b'{"value": {"version": "1", "processes": {}}, "error": null}'
while True:
    link, _ = door.accept()
    link.recv(4096)
    link.sendall(b"HTTP/1.1 200 OK\\r\\n\\r\\n" + body)
    link.close()
"""


def test_a_command_starts_the_machine_detached(daemon, home, capsys) -> None:
    started = daemon(ANSWERS)
    assert main(["boot"]) == 0
    assert main(["status"]) == 0
    assert main(["boot"]) == 0
    assert "runs already" in capsys.readouterr().err
    assert len(started) == 1
    assert started[0][1][1:] == ["-P", "-m", "oros.boot", "--home", str(home)]
    assert (home / "log" / "daemon.log").read_text() == "session True\n"
    assert (home.stat().st_mode & 0o777, (home / "log").stat().st_mode & 0o777) == (0o700, 0o700)


@pytest.mark.parametrize(
    ("program", "kind", "why"),
    [
        ("sys.exit('a warning\\noros: EINVAL: config.toml: no such key')", Invalid, "no such key"),
        ("sys.exit('oros: ENEWER: journal.db has format 9 (wait)')", Newer, "format 9 .wait."),
        ("sys.exit('Segmentation fault')", DeviceFailed, "Segmentation fault"),
        ("sys.exit(28)", NoSpace, "the disk is full"),
        ("sys.exit(0)", DeviceFailed, "without a word, status 0"),
    ],
)
def test_a_machine_that_dies_at_once_says_why(daemon, home, program, kind, why) -> None:
    """Its last words are its own: not those of one that ran there before."""
    (home / "log").mkdir(parents=True)
    (home / "log" / "daemon.log").write_text("oros: EACCES: long ago\n")
    started = daemon(f"import sys; {program}")
    with pytest.raises(kind, match=f"did not start: .*{why}"):
        spawn_daemon.ensure(Client(home), Terminal())
    assert len(started) == 1


def test_a_machine_that_is_just_going_is_waited_for(daemon, home) -> None:
    """The first finds the home in use, and is gone; so a second is started, which answers."""
    used = (
        'os.path.exists(home + "/was") or (open(home + "/was", "w"), sys.exit("oros: EAGAIN: x"))'
    )
    begin = 'home = sys.argv[sys.argv.index("--home") + 1]\n'
    started = daemon(f"import os, sys\n{begin}{used}\n{ANSWERS}")
    assert spawn_daemon.ensure(Client(home), Terminal())
    assert len(started) == 2


def test_a_home_that_stays_in_use_is_an_error(daemon, home, monkeypatch) -> None:
    monkeypatch.setattr(spawn_daemon, "SETTLE", 0.0)
    daemon('import sys; sys.exit("oros: EAGAIN: another oros runs")')
    with pytest.raises(Busy, match="another oros runs"):
        spawn_daemon.ensure(Client(home), Terminal())


# ---- of another build ----------------------------------------------------------------------------

OTHER = {"id": "0.0.9+abc", "at": "/elsewhere", "stale": False, "spawned": True}
AT_WORK = [
    {"awake": 1},
    {"build": OTHER | {"spawned": False}},
    {"build": None},  # one from before builds were told
]


def test_a_machine_of_another_build_is_started_anew(oros, machine, daemon) -> None:
    machine.queries["status"] |= {"build": OTHER}
    ours = json.dumps({"version": "2", "processes": {}, "build": OURS})
    started = daemon(ANSWERS.replace('{"version": "1", "processes": {}}', ours))
    code, _, err = oros("boot")
    assert (code, len(started), machine.halted.is_set()) == (0, 1, True)
    assert "is of another build, 0.0.9+abc; it is started anew" in err
    assert oros("boot")[2].count("build") == 0
    assert len(started) == 1


@pytest.mark.parametrize("more", AT_WORK)
def test_one_that_is_at_work_or_not_ours_to_end_is_left_alone(oros, machine, more) -> None:
    machine.queries["status"] |= {"build": OTHER} | more
    code, out, err = oros("models")
    assert (code, out.splitlines()[1].split()[0]) == (0, "local")
    assert "is of another build" in err
    assert "oros halt" in err
    assert not machine.halted.is_set()


def test_one_that_others_look_at_is_left_alone(oros, machine, home) -> None:
    machine.queries["status"] |= {"build": OTHER}
    with socket.socket(socket.AF_UNIX) as other:
        other.connect(str(Client(home).path))
        other.sendall(b"GET /v1/events HTTP/1.0\r\n\r\n")
        other.recv(1)
        assert "oros halt" in oros("models")[2]
        assert not machine.halted.is_set()


def test_status_tells_the_build(oros, machine) -> None:
    machine.queries["status"] |= {"build": OURS | {"id": "0.1.0+def"}}
    assert oros("status")[1].startswith("oros 0.1.0+def runs at")
    assert "another build" not in oros("status")[1]
    machine.queries["status"] |= {"build": OTHER}
    assert "it is of another build than this command: oros halt" in oros("status")[1]


def test_a_home_that_cant_be_made(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AccessDenied, match="OROS_HOME"):
        spawn_daemon.ensure(Client(tmp_path / "file" / "home"), Terminal())
