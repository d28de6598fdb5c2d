"""Facts as server-sent events: resuming, slow readers, heartbeats."""

import socket
import time

import pytest

from oros.abi.events import Parked
from oros.gate import events
from oros.sdk.address import socket_path
from oros.sdk.client import Client
from oros.services import hub


def stream(home, path: str, *headers: str):
    """Open a stream by hand."""
    link = socket.socket(socket.AF_UNIX)
    link.settimeout(60)
    link.connect(str(socket_path(home)))
    lines = "".join(f"{h}\r\n" for h in headers)
    link.sendall(f"GET {path} HTTP/1.0\r\n{lines}\r\n".encode())
    return link


def until(link, mark: bytes) -> bytes:
    found = b""
    while mark not in found:
        chunk = link.recv(65536)
        assert chunk, found
        found += chunk
    return found


def test_a_reader_goes_on_after_the_last_id_it_saw(machine, tmp_path) -> None:
    machine.soon(machine.tell, 5, *[Parked("message")] * 600)
    with stream(tmp_path, "/v1/events?pid=5", "Last-Event-ID: 598") as link:
        found = until(link, b"id: 600\n")
    assert b"id: 598\n" not in found
    assert b"id: 599\n" in found
    assert b"text/event-stream" in found
    assert [f["seq"] for f in Client(tmp_path).history(5)] == list(range(1, 601))


def test_what_is_committed_while_looking_back_comes_once(machine, tmp_path) -> None:
    old = machine.history

    def history(pid, after=0):
        machine.tell(5, Parked("timer"))
        return old(pid, after)

    machine.history = history
    facts = Client(tmp_path).events(5)
    assert next(facts)["seq"] == 1
    machine.soon(machine.tell, 5, Parked("child"))
    assert next(facts)["seq"] == 2
    facts.close()


def test_all_processes_from_now_on(machine, tmp_path) -> None:
    machine.soon(machine.tell, 5, Parked("message"))
    with stream(tmp_path, "/v1/events") as link:
        until(link, b"\r\n\r\n")
        machine.soon(machine.tell, 6, Parked("timer"))
        machine.soon(machine.say, 7, "hi")
        found = until(link, b'"token": "hi"')
    assert b'"pid": 6' in found
    assert b'"pid": 5' not in found


def test_a_reader_that_falls_behind_misses_no_fact(machine, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(hub, "QUEUE", 8)
    machine.soon(machine.tell, 5, Parked("message"))
    facts = Client(tmp_path).events(5)
    assert next(facts)["seq"] == 1
    machine.soon(machine.tell, 5, *[Parked("timer")] * 100)
    machine.soon(machine.tell, 5, *[Parked("timer")] * 100)
    assert [next(facts)["seq"] for _ in range(200)] == list(range(2, 202))
    facts.close()


def test_it_is_told_so(machine, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(hub, "QUEUE", 8)
    machine.soon(machine.tell, 5, Parked("message"))
    with stream(tmp_path, "/v1/events?pid=5") as link:
        until(link, b"id: 1\n")
        machine.soon(machine.tell, 5, *[Parked("timer")] * 100)
        found = until(link, b'event: end\ndata: {"why": "behind"}')
    assert b"id: 9\n" in found


def test_a_reader_that_reads_nothing_is_cut_off(machine, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(events, "STALL", 0.05)
    machine.soon(machine.tell, 5, Parked("message"))
    with stream(tmp_path, "/v1/events?pid=5") as link:
        until(link, b"id: 1\n")
        for _ in range(40):
            machine.soon(machine.say, 5, "x" * 100_000)
        for _ in range(6000):  # it reads nothing until it was cut off
            if not machine.hub._watchers:
                break
            time.sleep(0.01)
        with pytest.raises(AssertionError):
            until(link, b"never")
    assert not machine.hub._watchers


def test_a_quiet_stream_shows_that_it_is_there(machine, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(events, "HEARTBEAT", 0.01)
    machine.soon(machine.tell, 5, Parked("message"))
    with stream(tmp_path, "/v1/events?pid=5") as link:
        until(link, b": still here\n\n: still here\n\n")
    machine.soon(machine.tell, 5, Parked("timer"))
    for _ in range(100):
        if not machine.hub._watchers:
            break
        machine.soon(lambda: None)
    assert len(Client(tmp_path).history(5)) == 2
