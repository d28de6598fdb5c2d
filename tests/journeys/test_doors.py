"""Other clients at the machine: a person opens the doors, gives keys, takes them back."""

import base64
import http.client
import json
import socket
import threading
import time
import urllib.error
import urllib.request

import pytest
from tests.services.index.samples import pdf, xlsx

from oros.sdk.address import socket_path

HELLO = {"model": "mock", "messages": [{"role": "user", "content": "one two"}]}


def post(url: str, key: str, body=HELLO, path: str = "/v1/chat/completions"):
    """Status and JSON."""
    head = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{url}{path}", json.dumps(body).encode(), head)
    try:
        with urllib.request.urlopen(request, timeout=20) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as e:
        with e:
            return e.code, json.load(e)


def said(found) -> str:
    return found["choices"][0]["message"]["content"]


def test_a_person_gives_a_key_and_takes_it_back(machine) -> None:
    url = machine.json("serve", "--port", "0")["url"]
    assert url.startswith("http://127.0.0.1:")
    shown = machine.oros("keys", "add", "editor", "--models", "mock", "-b", "5usd", "--for", "30d")
    assert "only its hash is kept" in shown.stderr
    key = next(x for x in shown.stdout.splitlines() if x.startswith("key: ")).split()[1]
    status, found = post(url, key)
    assert (status, said(found).strip()) == (200, "echo: one two")
    assert "editor" in machine.oros("keys").stdout
    (row,) = machine.json("keys")
    assert row["spent"]["micros"] > 0
    assert row["limits"]["micros"] == 5_000_000
    assert key not in json.dumps(row)
    assert key.encode() not in (machine.home / "journal.db").read_bytes()
    listed = machine.json("ps", "-a")
    door = next(p for p in listed if p["program"] == "door")
    assert (door["ppid"], door["status"], door["goal"]) == (row["pid"], 0, "one two")
    assert "replied" in machine.oros("log", str(door["pid"])).stdout
    assert machine.oros("replay", str(door["pid"])).returncode == 0
    assert post(url, key, {**HELLO, "model": "oros/steps"})[0] == 404
    machine.json("keys", "revoke", "editor")
    assert post(url, key)[0] == 401
    assert machine.json("keys") == []
    assert next(p for p in machine.json("ps", "-a") if p["pid"] == row["pid"])["status"] == 137


def test_doors_and_keys_are_there_after_kill_9(machine) -> None:
    machine.oros("serve", "--port", "0")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = machine.json("serve", "--port", str(port))["url"]
    key = machine.json("keys", "add", "editor", "-b", "3calls")["key"]
    assert post(url, key)[0] == 200
    machine.kill_daemon()
    assert machine.oros("status").returncode == 6
    machine.oros("boot")
    ends = time.monotonic() + 10
    while True:
        try:
            statuses = [post(url, key)[0] for _ in range(3)]
            break
        except urllib.error.URLError:
            assert time.monotonic() < ends
            time.sleep(0.05)
    assert statuses == [200, 200, 402]  # one call was made before
    machine.json("serve", "--off")
    with pytest.raises(urllib.error.URLError):
        post(url, key)


def test_a_program_of_ones_own_is_a_model_at_the_doors(machine) -> None:
    url = machine.json("serve", "--port", "0")["url"]
    key = machine.json("keys", "add", "editor", "--apps", "look")["key"]
    body = {**HELLO, "model": "oros/look"}
    assert post(url, key, body)[0] == 404
    (machine.home / "programs").mkdir()
    text = 'name = "look"\nabout = ""\nshape = "steps"\nprompt = "You look."\n'
    (machine.home / "programs" / "look.toml").write_text(text)
    status, found = post(url, key, body)
    assert (status, said(found).strip()) == (200, "echo: one two")
    assert "look" in {p["program"] for p in machine.json("ps", "-a")}


def test_nothing_is_open_unless_it_is_wanted_and_the_socket_serves_too(machine) -> None:
    assert machine.oros("boot").returncode == 0
    assert machine.client().query("doors") == {"url": "", "listen": ""}
    key = machine.json("keys", "add", "local")["key"]
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(str(socket_path(machine.home)))
        client = http.client.HTTPConnection("oros")
        client.sock = link
        head = {"x-api-key": key}
        client.request("POST", "/v1/messages", json.dumps({**HELLO, "max_tokens": 9}), head)
        found = json.load(client.getresponse())
    assert found["content"][0]["text"].strip() == "echo: one two"


def test_a_program_over_the_door_works_in_the_keys_folder(machine) -> None:
    machine.configure(extra='[door]\nlisten = "127.0.0.1:0"')
    machine.oros("boot")
    url = machine.client().query("doors")["url"]
    add = ("keys", "add", "mine", "--apps", "steps", "--folder", str(machine.work), "--mine")
    key = machine.json(*add)["key"]
    script = '[[mock turns=1 tool=write args={"path":"/work/a.txt","text":"hi"} final=written]]'
    body = {"model": "oros/steps", "messages": [{"role": "user", "content": script}]}
    status, found = post(url, key, body)
    assert (status, said(found).startswith("written")) == (200, True)
    assert (machine.work / "a.txt").read_text() == "hi"


def test_what_others_ask_of_a_program_waits_for_the_persons_review(machine) -> None:
    url = machine.json("serve", "--port", "0")["url"]
    add = ("keys", "add", "theirs", "--apps", "steps", "--folder", str(machine.work))
    key = machine.json(*add)["key"]
    script = '[[mock turns=1 tool=write args={"path":"/work/a.txt","text":"hi"} final=written]]'
    body = {"model": "oros/steps", "messages": [{"role": "user", "content": script}]}
    assert post(url, key, body)[0] == 200
    assert not (machine.work / "a.txt").exists()
    pid = next(p["pid"] for p in machine.json("ps", "-a") if p["program"] == "steps")
    assert "a.txt" in machine.oros("diff", str(pid)).stdout
    # without a folder it has none: the same is an error that the model reads
    plain = machine.json("keys", "add", "plain", "--apps", "steps")["key"]
    assert post(url, plain, body)[0] == 200
    assert not (machine.work / "a.txt").exists()


def test_a_killed_key_opens_nothing_and_a_wrong_one_is_said(machine) -> None:
    assert machine.oros("keys", "add", "No Name").returncode == 2
    assert machine.oros("keys", "revoke", "nobody").returncode == 12
    assert machine.oros("serve", "--host", "0.0.0.0").returncode == 2
    assert machine.oros("keys", "add").returncode == 2
    url = machine.json("serve", "--port", "0")["url"]
    made = machine.json("keys", "add", "one")
    assert machine.oros("keys", "add", "one").returncode == 17
    machine.oros("kill", str(made["pid"]))
    status, found = post(url, made["key"])
    assert status == 401
    assert "ended" in found["error"]["message"]


def test_a_halt_amid_an_answer_tells_the_client(slow) -> None:
    url = slow.json("serve", "--port", "0")["url"]
    key = slow.json("keys", "add", "one")["key"]
    text = "[[mock tokens=400]]"
    body = {"model": "mock", "stream": True, "messages": [{"role": "user", "content": text}]}
    got: list[bytes] = []
    begun = threading.Event()

    def read() -> None:
        head = {"Authorization": f"Bearer {key}"}
        request = urllib.request.Request(
            f"{url}/v1/chat/completions", json.dumps(body).encode(), head
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as reply:
                for line in reply:
                    got.append(line)
                    begun.set()
        except (OSError, http.client.HTTPException):
            got.append(b"cut")

    thread = threading.Thread(target=read)
    thread.start()
    assert begun.wait(10)
    assert slow.oros("halt").returncode == 0
    thread.join(10)
    assert b"[DONE]" not in b"".join(got)
    slow.oros("boot")
    door = next(p for p in slow.json("ps", "-a") if p["program"] == "door")
    assert door["status"] == 130


def test_a_document_comes_with_a_question(machine, mock_url, tmp_path) -> None:
    """A PDF, a sheet and a text, in three dialects: the model is shown their text, as others'."""
    url = machine.json("serve", "--port", "0")["url"]
    key = machine.json("keys", "add", "editor", "--mine", "--apps", "*")["key"]
    pdf(tmp_path / "a.pdf", ["The fee is 417 pounds."])
    xlsx(tmp_path / "b.xlsx", {"Costs": [["what", "sum"], ["paint", 93]]})
    a, b = (base64.b64encode((tmp_path / n).read_bytes()).decode() for n in ("a.pdf", "b.xlsx"))
    ask = {"type": "text", "text": "How much?"}
    sheet = {"type": "file", "file": {"filename": "b.xlsx", "file_data": b}}
    chat = [{"role": "user", "content": [ask, sheet]}]
    source = {"type": "base64", "media_type": "application/pdf", "data": a}
    theirs = [{"role": "user", "content": [{"type": "document", "source": source}, ask]}]
    data = {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{a}"}
    items = [{"role": "user", "content": [{"type": "input_file", **data}]}]
    more = {"model": "mock", "max_tokens": 500}
    asked = [
        ("/v1/chat/completions", {"model": "mock", "messages": chat}, "paint"),
        ("/v1/messages", {**more, "messages": theirs}, "417 pounds"),
        ("/v1/responses", {"model": "mock", "input": items}, "417 pounds"),
    ]
    for path, body, fact in asked:
        status, found = post(url, key, body, path)
        assert status == 200, found
        pid = max(p["pid"] for p in machine.json("ps", "-a") if p["program"] == "door")
        log = machine.oros("log", str(pid), "-o", "json").stdout
        received = [f for f in json.loads(log) if f["kind"] == "received"]
        (text,) = [p["text"] for p in received[0]["event"]["message"]["parts"] if fact in str(p)]
        assert text.startswith("[the file ")
        assert received[0]["event"]["message"]["label"]["integrity"] == 0
    status, found = post(url, key, {**HELLO, "model": "oros/steps", "messages": chat})
    assert (status, "put it in the folder" in str(found)) == (400, True)
    broken = {"filename": "c.pdf", "file_data": base64.b64encode(b"%PDF-1.4 no more").decode()}
    body = {
        "model": "mock",
        "messages": [{"role": "user", "content": [{"type": "file", "file": broken}]}],
    }
    status, found = post(url, key, body)
    assert status == 400
    assert "c.pdf: no text can be had of it" in found["error"]["message"]
