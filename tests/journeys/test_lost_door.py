"""The server of a model dies while a client of the doors reads: another goes on, if the key may."""

import json
import urllib.request

import pytest
from tests.journeys.conftest import mortal_server
from tests.journeys.test_doors import post
from tests.journeys.test_lost_model import configured

SAYS = "[[mock tokens=1000]]"
"""So much that the slow server has still to say most of it when the client has read a few."""


@pytest.fixture
def server():
    """A slow model server, that a test may kill: (process, base URL)."""
    with mortal_server("--tps", "40") as found:
        yield found


def body(model: str, **more):
    return {"model": model, "messages": [{"role": "user", "content": SAYS}], **more}


def test_words_go_on_where_they_were(machine, server) -> None:
    """The client reads one text to its end; its journal says that two models wrote it."""
    process, base = server
    configured(machine, base)
    url = machine.json("serve", "--port", "0")["url"]
    key = machine.json("keys", "add", "editor", "--models", "best")["key"]
    head = {"Authorization": f"Bearer {key}"}
    asked = json.dumps(body("best", stream=True)).encode()
    request = urllib.request.Request(f"{url}/v1/chat/completions", asked, head)
    pieces = []
    with urllib.request.urlopen(request, timeout=60) as reply:
        for line in reply:
            data = line.decode().removeprefix("data: ").strip()
            if data and data != "[DONE]" and not data.startswith(":"):
                delta = json.loads(data)["choices"][0]["delta"]
                pieces.append(delta.get("content") or "")
            if len(pieces) == 6:
                process.kill()
    assert data == "[DONE]" or not data
    whole = post(url, key, body("best"))[1]["choices"][0]["message"]["content"]
    assert "".join(pieces) == whole
    assert len(pieces) > 8
    row = next(p for p in machine.json("ps", "-a") if p["program"] == "door")
    assert (row["status"], row["model"]) == (0, "mock")
    assert "goes on with mock in the place of first" in machine.oros("log", str(row["pid"])).stdout
    assert machine.oros("replay", str(row["pid"])).returncode == 0


def test_a_key_that_names_one_model_reaches_no_other(machine) -> None:
    """Neither its requests nor its programs, be it by a list, by name or by what they start."""
    configured(machine, machine.base_url)
    text = (machine.home / "config.toml").read_text()
    listed = text.replace("[models.first]", '[models.first]\nkey = "none"\nfallbacks = ["mock"]')
    (machine.home / "config.toml").write_text(listed)
    url = machine.json("serve", "--port", "0")["url"]
    narrow = machine.json("keys", "add", "narrow", "--models", "first", "--apps", "steps")["key"]
    status, found = post(url, narrow, body("first"))
    assert (status, "error" in found) == (502, True)
    assert post(url, narrow, body("best"))[0] == 502  # its first, and not the rest of the list
    status, found = post(url, narrow, body("oros/steps"))
    assert (status, "waits for its user" in str(found)) == (200, True)
    assert not any(p["model"] == "mock" for p in machine.json("ps", "-a"))
    assert "asks first" in machine.oros("ps", "-a", "-v").stdout
    wide = machine.json("keys", "add", "wide", "--models", "first", "--models", "mock")["key"]
    assert post(url, wide, body("first"))[0] == 200
    machine.kill_daemon()  # what bound the program binds it after a restart
    machine.oros("boot")
    pid = next(p["pid"] for p in machine.json("ps", "-a") if p["program"] == "steps")
    machine.oros("kill", "-CONT", str(pid))
    machine.until(pid, lambda row: row["state"] == "stopped")
    signals = [
        f["event"]["signal"] for f in machine.json("log", str(pid)) if f["kind"] == "signalled"
    ]
    assert signals == ["STOP", "CONT", "STOP"]
    assert machine.row(pid)["model"] == "first"
