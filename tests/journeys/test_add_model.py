"""I add a model by the address of its server, and use it at once; my own lines stay as they are."""

import json


def test_a_server_by_its_address(machine, mock_url) -> None:
    path = machine.home / "config.toml"
    path.write_text("# mine\n" + path.read_text())
    before = path.read_text()
    found = machine.json(
        "models", "add", mock_url, "--window", "64000", "--price", "1,2", "--alias", "quick"
    )
    name = found["added"]
    assert name.endswith("/mock-1")
    assert path.read_text().startswith(before.rstrip())
    assert machine.oros("run", "--model", "quick", "[[mock final=well]]").stdout.startswith("well")
    row = next(m for m in machine.json("models") if m["name"] == name)
    assert (row["window"], row["aliases"]) == (64000, ["quick"])
    assert machine.row(2)["model"] == name

    again = machine.oros("models", "add", mock_url)
    assert again.returncode == 17, again.stderr
    assert "--as" in again.stderr
    machine.oros("halt")
    assert machine.oros("run", "--model", "quick", "[[mock final=well]]").returncode == 0


def test_a_file_of_weights_by_its_path(machine) -> None:
    file = machine.work / "own.gguf"
    file.write_bytes(b"GGUF" + bytes(64))
    told = machine.oros("models", "add", "own.gguf", "--alias", "mine", "--window", "2048")
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout == "added mine/own: oros models test mine/own\n"
    row = next(m for m in machine.json("models") if m["name"] == "mine/own")
    assert (row["state"], row["about"], row["window"]) == ("here", str(file), 2048)
    assert row["aliases"] == ["mine"]
    file.unlink()
    row = next(m for m in machine.json("models") if m["name"] == "mine/own")
    assert row["state"] == "not there"
    assert "own.gguf" in machine.oros("models", "test", "mine").stderr
    lost = machine.oros("models", "add", "lost.gguf")
    assert (lost.returncode, "lost.gguf" in lost.stderr) == (19, True)


def test_it_is_tried(machine) -> None:
    told = machine.oros("models", "test", "-o", "json", "mock")
    assert told.returncode == 0, told.stderr
    found = json.loads(told.stdout)
    assert (found["name"], found["said"]) == ("mock", "echo: Say the word ready.")
    assert found["tools"].startswith("does not work: it said 'echo: What is the weather")
    assert found["micros"] > 0


def test_what_it_can_is_said(machine, mock_url) -> None:
    told = machine.json("models", "add", mock_url, "--can", "image", "--can", "schema")
    assert told["cans"] == ["image", "schema", "tools"]
    assert machine.oros("models", "add", mock_url, "--can", "fly").returncode == 2


def test_what_is_wrong_is_said_and_changes_nothing(machine, mock_url) -> None:
    before = (machine.home / "config.toml").read_text()
    for words, code, text in (
        (("nonsense",), 2, "openai"),
        (("http://127.0.0.1:1/v1",), 6, "nobody answers"),
        ((mock_url, "--model", "nosuch"), 19, "mock-1"),
        ((mock_url, "--key", "nosuch"), 19, "oros secret set nosuch --host 127.0.0.1"),
        ((mock_url, "--fallback", "nosuch"), 2, "nosuch"),
        ((), 2, "which server"),
    ):
        found = machine.oros("models", "add", *words)
        assert found.returncode == code, (words, found.stderr)
        assert text in found.stderr, found.stderr
        assert "Traceback" not in found.stderr
    assert (machine.home / "config.toml").read_text() == before
