"""The client against the real gate, with a fake machine behind it."""

import asyncio
import itertools
import json
import socket
import subprocess
import sys
import threading

import pytest
from tests.gate.fake import serving

from oros.abi import errors
from oros.abi.events import Exited, Parked
from oros.abi.rows import rows as rows_of
from oros.abi.syscalls import Failure, Outcome
from oros.sdk.address import address, home_of, socket_path
from oros.sdk.client import Client


@pytest.fixture
def machine(tmp_path):
    with serving(tmp_path) as found:
        yield found


def test_a_call_goes_down_and_its_value_comes_back(machine, tmp_path) -> None:
    machine.answers["spawn"] = {"pid": 7}
    found = Client(tmp_path).call("spawn", goal="häh? \udc80", limits={"tokens": 5})
    assert found["value"] == {"pid": 7}
    assert machine.calls == [("spawn", {"goal": "häh? \udc80", "limits": {"tokens": 5}})]


def test_a_table_is_what_was_listed_by_columns(machine, tmp_path) -> None:
    rows = [{"pid": n, "goal": f"häh? {n}", "window": {"calls": n}} for n in (7, 8)]
    machine.answers["list"] = {"entries": rows, "more": False}
    client = Client(tmp_path)
    table = client.table("list", path="/proc")
    assert machine.calls == [("list", {"path": "/proc"})]
    assert table["pid"] == [7, 8]
    assert rows_of(table) == client.call("list")["value"]["entries"] == rows
    assert client.text("list", path="/proc") == json.dumps(rows)
    machine.answers["list"] = {"entries": [], "more": False}
    assert rows_of(client.table("list")) == []


def test_rows_of_different_fields_are_no_table(machine, tmp_path) -> None:
    for other in ({"pid": 8}, {"pid": 8, "name": "x"}):
        machine.answers["list"] = {"entries": [{"pid": 7, "goal": ""}, other]}
        with pytest.raises(KeyError):
            Client(tmp_path).table("list")


def test_an_error_of_a_listing_comes_back(machine, tmp_path) -> None:
    machine.answers["list"] = Outcome(error=Failure.of(errors.NotFound("x")))
    with pytest.raises(errors.NotFound):
        Client(tmp_path).table("list", path="/x")
    with pytest.raises(errors.NotFound):
        Client(tmp_path).text("list", path="/x")
    for value in (None, {"more": False}, [1]):
        machine.answers["list"] = value
        with pytest.raises(errors.Invalid, match="has no 'entries'"):
            Client(tmp_path).text("list", path="/x")


def test_an_argument_may_be_called_name(machine, tmp_path) -> None:
    machine.queries["x"] = lambda args: dict(args)
    assert Client(tmp_path).query("x", name="a b&c=ü") == {"name": "a b&c=ü"}


@pytest.mark.parametrize("kind", sorted(errors.BY_CODE.values(), key=lambda e: e.code))
def test_every_error_comes_back_as_what_it_was(kind, tmp_path) -> None:
    with serving(tmp_path) as machine:
        machine.answers["read"] = Outcome(error=Failure.of(kind("why", "hint")))
        with pytest.raises(kind) as caught:
            Client(tmp_path).call("read", path="/x")
        assert (caught.value.why, caught.value.hint) == ("why", "hint")


def test_no_machine_is_unreachable(tmp_path) -> None:
    with pytest.raises(errors.Unreachable, match="no machine runs"):
        Client(tmp_path).status()


def test_a_listener_that_is_no_machine(tmp_path) -> None:
    path = socket_path(tmp_path)
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(path))
        door.listen()

        def answer(line: bytes) -> None:
            link, _ = door.accept()
            link.recv(4096)
            link.sendall(line)
            link.close()

        for line, kind in ((b"", errors.Unreachable), (b"220 mail\r\n", errors.BadReply)):
            thread = threading.Thread(target=answer, args=(line,))
            thread.start()
            with pytest.raises(kind):
                Client(tmp_path).status()
            thread.join()


def test_history_then_live_facts_and_tokens(machine, tmp_path) -> None:
    machine.soon(machine.tell, 5, Parked("message"), Parked("timer"))
    client = Client(tmp_path)
    assert [f["seq"] for f in client.history(5)] == [1, 2]
    assert [f["seq"] for f in client.history(5, after=1)] == [2]
    facts = client.events(5, after=1)
    assert next(facts)["event"]["on"] == "timer"
    machine.soon(machine.say, 5, "Hel", "lo")
    machine.soon(machine.tell, 5, Exited(0, "done"))
    assert [next(facts)["token"] for _ in range(2)] == ["Hel", "lo"]
    last = next(facts)
    assert (last["kind"], last["seq"], last["event"]["answer"]) == ("exited", 3, "done")
    facts.close()


def test_no_process_no_events(machine, tmp_path) -> None:
    with pytest.raises(errors.NoProcess, match="no process 9"):
        next(Client(tmp_path).events(9))


def test_progress_ends_with_its_result_or_its_error(machine, tmp_path) -> None:
    step = {"what": "download", "done": 1, "total": 2}
    machine.longs["models.pull"] = [step, {"result": {"name": "m"}}]
    assert list(Client(tmp_path).progress("models.pull", name="m")) == [
        step,
        {"result": {"name": "m"}},
    ]
    machine.longs["models.pull"] = [{"error": {"code": "ENOSPC", "why": "full", "hint": ""}}]
    with pytest.raises(errors.NoSpace, match="full"):
        list(Client(tmp_path).progress("models.pull", name="m"))
    with pytest.raises(errors.NoCall):
        list(Client(tmp_path).progress("no.such"))


def test_progress_that_a_halt_cuts_off_is_not_done(machine, tmp_path) -> None:
    machine.longs["models.pull"] = itertools.repeat({"what": "download", "done": 1, "total": 2})
    steps = Client(tmp_path).progress("models.pull", name="m")
    next(steps)
    Client(tmp_path).halt()
    with pytest.raises(errors.Unreachable, match="halted"):
        list(steps)


def test_a_halt_ends_streams_and_says_so(machine, tmp_path) -> None:
    machine.soon(machine.tell, 5, Parked("message"))
    facts = Client(tmp_path).events(5)
    next(facts)
    Client(tmp_path).halt()
    with pytest.raises(errors.Unreachable, match="halted"):
        next(facts)


def test_a_client_that_goes_away_cancels_its_call(machine, tmp_path) -> None:
    entered = threading.Event()

    async def forever(_) -> None:
        entered.set()
        await asyncio.Event().wait()

    machine.answers["wait"] = forever
    program = f"from oros.sdk.client import Client; Client({str(tmp_path)!r}).call('wait', pid=3)"
    child = subprocess.Popen([sys.executable, "-c", program])
    assert entered.wait(60)
    child.kill()
    child.wait()
    for _ in range(6000):
        if machine.cancelled:
            break
        machine.soon(lambda: None)
        threading.Event().wait(0.01)
    assert machine.cancelled == ["wait"]


def test_a_home_too_deep_for_a_socket_address(tmp_path) -> None:
    home = tmp_path / ("d" * 120)
    with serving(home) as machine:
        machine.answers["stat"] = {"size": 1}
        assert Client(home).call("stat", path="/")["value"] == {"size": 1}


def test_where_the_home_is(tmp_path) -> None:
    assert home_of({"OROS_HOME": "/x", "XDG_DATA_HOME": "/y"}) == home_of({"OROS_HOME": "/x"})
    assert str(home_of({"XDG_DATA_HOME": "/y"})) == "/y/oros"
    assert home_of({"HOME": "/h"}).name == "oros"
    with address(tmp_path / "s") as short:
        assert short == str(tmp_path / "s")


def test_the_client_is_light() -> None:
    heavy = "{'asyncio', 'pydantic', 'aiohttp', 'http.client', 'dataclasses'}"
    program = f"import sys, oros.sdk.client; sys.exit(str({heavy} & set(sys.modules) or ''))"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert found.stderr.strip() == b""
