"""I give it rubbish; it says what is wrong and what to do, in one line, and loses nothing."""

import os
import sqlite3

import pytest


def says(found, code: int, *words: str) -> None:
    assert found.returncode == code, (found.returncode, found.stdout, found.stderr)
    lines = [x for x in found.stderr.splitlines() if x.startswith("oros: ")]
    assert len(lines) == 1, found.stderr
    for word in words:
        assert word in lines[0], lines[0]
    assert "Traceback" not in found.stderr


WORDS = [
    (("wait", "999"), 3, ["ESRCH", "999"]),
    (("kill", "999"), 3, ["ESRCH"]),
    (("trace", "999"), 3, ["ESRCH"]),
    (("replay", "999"), 3, ["ESRCH"]),
    (("cat", "/proc/999/status"), 3, ["ESRCH"]),
    (("cat", "nothing.txt"), 12, ["ENOENT"]),
    (("cat", "/nowhere/x"), 12, ["ENOENT", "mounted"]),
    (("cat", "../secret"), 12, ["ENOENT", "mounted"]),
    (("run", "--model", "nosuch", "hello"), 19, ["ENODEV", "nosuch", "mock"]),
    (("run", "--program", "nosuch", "hello"), 12, ["ENOENT", "steps"]),
    (("explain", "1:c99"), 12, ["ENOENT"]),
]


@pytest.mark.parametrize(
    ("words", "code", "texts"), WORDS, ids=lambda w: "-".join(w) if isinstance(w, tuple) else ""
)
def test_unknown_things(machine, words, code, texts) -> None:
    says(machine.oros(*words), code, *texts)


def test_unknown_verb_and_option(machine) -> None:
    found = machine.oros("runn", "x")
    assert found.returncode == 2
    assert "run" in found.stderr
    assert machine.oros("ps", "--nosuch").returncode == 2
    assert machine.oros("kill", "-WINCH", "2").returncode == 2


def test_unknown_config_key(machine) -> None:
    (machine.home / "config.toml").write_text("colour = 1\n")
    found = machine.oros("ps")
    assert found.returncode != 0
    assert "colour" in found.stderr
    assert "default_model" in found.stderr


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("401", ["EAUTH", "key"]),
        ("404", ["ENODEV"]),
        ("html", ["EPROTO"]),
        ("rubbish", ["EPROTO"]),
        ("error200", ["EPROTO", "cheese"]),
    ],
)
def test_a_server_that_fails_keeps_the_process(machine, fault, words) -> None:
    """It is paused with the reason; once the server is well, CONT goes on."""
    pid = machine.start(f"[[mock fault={fault} times=5 final=well]]")
    row = machine.until(pid, lambda r: r["state"] == "stopped", 60)
    for word in words:
        assert word in row["why"], row["why"]
    machine.oros("kill", "-CONT", str(pid))
    if row["why"].startswith(("EAUTH", "ENODEV")):
        row = machine.until(pid, lambda r: r["state"] == "stopped", 60)
        return
    assert "well" in machine.oros("wait", str(pid)).stdout


@pytest.mark.parametrize("fault", ["429", "500", "drop", "half", "noend"])
def test_what_may_pass_is_tried_again(machine, fault) -> None:
    found = machine.oros("run", f"[[mock fault={fault} times=2 final=well]]")
    assert found.returncode == 0, found.stderr
    assert "well" in found.stdout


def test_a_call_that_does_not_exist_and_one_with_broken_arguments(machine) -> None:
    for script in ("tool=format_disk args={}", "tool=read args={]", 'tool=read args={"pth":"x"}'):
        found = machine.oros("run", f"[[mock turns=1 {script} final=sorry]]")
        assert found.returncode == 0, found.stderr
        assert "sorry" in found.stdout


def test_endless_repetition_is_paused(machine) -> None:
    pid = machine.start('[[mock turns=99 tool=stat args={"path":"/proc/1"}]]')
    row = machine.until(pid, lambda r: r["state"] == "stopped")
    assert "same call" in row["why"]


def test_a_corrupt_store_and_one_of_a_newer_version(machine) -> None:
    (machine.home / "journal.db").write_bytes(b"this is no database" * 1000)
    found = machine.oros("ps")
    assert found.returncode != 0
    assert "ECORRUPT" in found.stderr
    (machine.home / "journal.db").unlink()
    assert machine.oros("ps").returncode == 0
    machine.oros("halt")
    with sqlite3.connect(machine.home / "journal.db") as db:
        db.execute("PRAGMA user_version=99")
    db.close()
    found = machine.oros("ps")
    assert found.returncode != 0
    assert "ENEWER" in found.stderr


def test_a_home_that_is_not_mine(machine) -> None:
    machine.env["OROS_HOME"] = "/proc/nothing"
    found = machine.oros("ps")
    assert found.returncode == 13
    assert "OROS_HOME" in found.stderr


def test_a_truncated_model_file(boxed) -> None:
    for file in (boxed.home / "models").glob("*.gguf"):
        file.unlink()
    from oros.services.weights.catalog import BY_NAME

    spec = BY_NAME["local/smollm2-135m"]
    (boxed.home / "models" / f"{spec.sha256}.gguf").write_bytes(b"GGUF" + os.urandom(5000))
    pid = boxed.start("hello", "--model", spec.name)
    row = boxed.until(pid, lambda r: r["state"] == "stopped", 60)
    assert "EIO" in row["why"] or "ECORRUPT" in row["why"]
