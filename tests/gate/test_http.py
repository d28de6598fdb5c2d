"""The door: requests over a real Unix socket, and who may make them."""

import asyncio
import json
import os
import socket
import stat
import subprocess
import sys

import pytest
from tests.gate.fake import FakeMachine, serving
from tests.waits import until

from oros.abi.errors import AccessDenied, Busy, NoProcess, NoSpace, OverBudget, Panic
from oros.abi.events import Parked
from oros.abi.syscalls import Failure, Outcome
from oros.gate import auth, http
from oros.gate.door import listening
from oros.gate.http import Gate
from oros.sdk.address import socket_path
from oros.sdk.client import Client


def ask(home, method: str, path: str, body: bytes = b""):
    """A request as bytes; (status, JSON)."""
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(60)
        link.connect(str(socket_path(home)))
        head = f"{method} {path} HTTP/1.0\r\nContent-Length: {len(body)}\r\n\r\n"
        link.sendall(head.encode() + body)
        reply = link.makefile("rb").read()
    head, _, rest = reply.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(rest)


def test_an_outcome_has_all_its_parts(machine, tmp_path) -> None:
    machine.answers["stat"] = {"size": 3}
    status, found = ask(tmp_path, "POST", "/v1/calls/stat", b'{"path": "/work"}')
    assert status == 200
    assert found["value"] == {"size": 3}
    assert found["error"] is None
    assert set(found) == {"value", "parts", "error", "label", "usage"}


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"a": [{"x": 1, "y": 2}, {"y": 4, "x": 3}]}, {"a": {"x": [1, 3], "y": [2, 4]}}),
        ({"a": [{"x": 1}], "b": [{"x": 2}]}, {"a": {"x": [1]}, "b": [{"x": 2}]}),
        ({"a": [{"x": 1}, {"y": 1}]}, None),
        ({"a": [{"x": 1}, {"x": 1, "y": 1}]}, None),
        ({"a": [{"x": 1}, 5]}, None),
        ({"a": []}, None),
        ({"a": {"x": 1}}, None),
        ([{"x": 1}], None),
        (None, None),
    ],
)
def test_a_list_is_told_by_columns_if_that_can_be(machine, tmp_path, value, told) -> None:
    machine.answers["stat"] = value
    assert ask(tmp_path, "POST", "/v1/calls/stat?columns=a")[1]["value"] == (told or value)
    assert ask(tmp_path, "POST", "/v1/calls/stat")[1]["value"] == value


def test_only_some_columns_are_told(machine, tmp_path) -> None:
    machine.answers["stat"] = {"a": [{"x": 1, "y": 2, "z": 5}, {"x": 3, "y": 4, "z": 6}]}
    found = ask(tmp_path, "POST", "/v1/calls/stat?columns=a&only=z,x,absent")[1]["value"]
    assert found == {"a": {"x": [1, 3], "z": [5, 6]}}


@pytest.mark.parametrize(("error", "status"), [(NoProcess("x"), 404), (OverBudget("x"), 402)])
def test_errors_have_a_status_and_the_same_shape(machine, tmp_path, error, status) -> None:
    machine.answers["read"] = Outcome(error=Failure.of(error))
    found = ask(tmp_path, "POST", "/v1/calls/read", b"{}")
    assert (found[0], found[1]["error"]["code"]) == (status, error.code)


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b"\xff\xfe\xff"])
def test_what_is_no_json_object_is_refused(machine, tmp_path, body) -> None:
    status, found = ask(tmp_path, "POST", "/v1/calls/stat", body)
    assert (status, found["error"]["code"]) == (400, "EINVAL")
    assert machine.calls == []


def test_no_body_is_no_arguments(machine, tmp_path) -> None:
    machine.answers["stat"] = {}
    assert ask(tmp_path, "POST", "/v1/calls/stat")[0] == 200
    assert machine.calls == [("stat", {})]


def test_a_body_over_the_limit(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(http, "BODY", 1000)
    with serving(tmp_path):
        body = json.dumps({"text": "x" * 2000}).encode()
        status, found = ask(tmp_path, "POST", "/v1/calls/write", body)
    assert (status, found["error"]["code"]) == (413, "E2BIG")


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/", "ENOENT"),
        ("GET", "/v1/calls/read", "ENOENT"),
        ("GET", "/v1/query/nothing", "ENOSYS"),
        ("GET", "/v1/events?pid=x", "EINVAL"),
        ("GET", "/v1/events?pid=-1", "EINVAL"),
        ("GET", "/v1/events?pid=3", "ESRCH"),
    ],
)
def test_what_is_not_there(machine, tmp_path, method, path, code) -> None:
    status, found = ask(tmp_path, method, path)
    assert status >= 400
    assert found["error"]["code"] == code


def test_a_bug_behind_the_door_is_an_error_of_one_request(machine, tmp_path, capfd) -> None:
    machine.answers["read"] = lambda _: 1 / 0
    assert ask(tmp_path, "POST", "/v1/calls/read")[1]["error"]["code"] == "EIO"
    assert "ZeroDivisionError" in capfd.readouterr().err
    assert ask(tmp_path, "GET", "/v1/status")[0] == 200


def test_a_machine_that_fails_tells_all_who_wait(tmp_path) -> None:
    """A call in flight, a stream, and whoever comes later hear the same reason."""
    full = NoSpace("the disk is full", "free some space")

    async def main() -> None:
        machine = FakeMachine()
        machine.loop = asyncio.get_running_loop()
        machine.answers["wait"] = lambda _: asyncio.sleep(60)
        machine.tell(7, Parked("message"))
        gate = Gate(machine, tmp_path)
        client = Client(tmp_path)
        async with gate.open():
            events = client.events(7)
            await asyncio.to_thread(next, events)
            waits = [
                asyncio.create_task(asyncio.to_thread(client.call, "wait", pid=7)),
                asyncio.create_task(asyncio.to_thread(list, events)),
            ]
            await until(lambda: machine.calls)
            gate.fail(full)
            late = asyncio.create_task(asyncio.to_thread(client.status))
            found = await asyncio.gather(*waits, late, return_exceptions=True)
        assert [type(e) for e in found] == [NoSpace] * 3
        assert {str(e) for e in found} == {str(full)}

    asyncio.run(main())


def test_a_panic_in_a_call_halts_the_machine_and_says_why(tmp_path) -> None:
    def panic(_):
        raise Panic("the journal can't be written") from NoSpace("the disk is full")

    machine = FakeMachine()
    machine.answers["kill"] = panic
    with serving(tmp_path, machine), pytest.raises(NoSpace, match="the disk is full"):
        Client(tmp_path).call("kill", pid=7)
    assert machine.halted.is_set()


def test_the_status_counts_the_other_requests(machine, tmp_path) -> None:
    assert Client(tmp_path).status()["guests"] == 0
    with socket.socket(socket.AF_UNIX) as reader:
        reader.connect(str(socket_path(tmp_path)))
        reader.sendall(b"GET /v1/events HTTP/1.0\r\n\r\n")
        reader.recv(1)
        assert Client(tmp_path).status()["guests"] == 1


def test_halt(machine, tmp_path) -> None:
    assert ask(tmp_path, "POST", "/v1/halt")[0] == 200
    assert machine.halted.is_set()


# ---- who ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "peer",
    [
        auth.Peer(1, os.getuid() + 1, auth.space_of("self")),
        auth.Peer(1, os.getuid(), "user:[1]"),
        auth.Peer(1, os.getuid(), ""),
    ],
)
def test_others_are_refused(tmp_path, peer, monkeypatch) -> None:
    monkeypatch.setattr(http.Gate.__init__, "__defaults__", (lambda _: peer,))
    with serving(tmp_path) as machine:
        for path in ("/v1/status", "/v1/events", "/nowhere"):
            status, found = ask(tmp_path, "GET", path)
            assert (status, found["error"]["code"]) == (403, "EACCES")
        assert machine.calls == []


def test_the_system_says_who_we_are() -> None:
    here, there = socket.socketpair()
    with here, there:
        assert auth.peer_of(here) == auth.Peer(os.getpid(), os.getuid(), auth.space_of("self"))
        auth.admit(here)


def test_a_program_in_another_user_namespace_is_refused(machine, tmp_path) -> None:
    program = (
        "import socket, sys\n"
        f"link = socket.socket(socket.AF_UNIX); link.connect({str(socket_path(tmp_path))!r})\n"
        "link.sendall(b'GET /v1/status HTTP/1.0\\r\\n\\r\\n')\n"
        "sys.exit(link.recv(100).split()[1] != b'403')\n"
    )
    unshare = ["unshare", "--user", "--map-root-user"]
    try:
        subprocess.run([*unshare, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no user namespaces here")
    found = subprocess.run([*unshare, sys.executable, "-c", program], check=False)
    assert found.returncode == 0
    assert machine.calls == []


# ---- the socket ---------------------------------------------------------------------------------


def test_the_door_is_closed_to_others_whatever_the_umask(tmp_path) -> None:
    old = os.umask(0)
    try:
        with serving(tmp_path):
            path = socket_path(tmp_path)
            assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
    finally:
        os.umask(old)


def test_a_folder_that_was_open_is_closed(tmp_path) -> None:
    socket_path(tmp_path).parent.mkdir(mode=0o755)
    with listening(tmp_path):
        assert stat.S_IMODE(socket_path(tmp_path).parent.stat().st_mode) == 0o700


def test_a_folder_that_is_a_link_is_refused(tmp_path) -> None:
    (tmp_path / "elsewhere").mkdir()
    socket_path(tmp_path).parent.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(AccessDenied, match="not a folder of yours"), listening(tmp_path):
        pass


def test_a_dead_machines_socket_is_taken_away(tmp_path) -> None:
    path = socket_path(tmp_path)
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with serving(tmp_path):
        assert Client(tmp_path).status()["version"] == "1"
    assert not path.exists()


def test_a_live_machine_is_not_pushed_aside(machine, tmp_path) -> None:
    with pytest.raises(Busy, match="runs at"), listening(tmp_path):
        pass
    assert Client(tmp_path).status()["version"] == "1"
