"""I give it rubbish; it says what is wrong and what to do, in one line, and loses nothing."""

from pathlib import Path

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
def test_unknown_things(shared, words, code, texts) -> None:
    says(shared.oros(*words), code, *texts)


@pytest.mark.parametrize(
    ("words", "texts"),
    [
        (("runn", "x"), ["there is no verb 'runn'", "run"]),
        (("ps", "--nosuch"), ["--nosuch", "oros ps --help"]),
        (("ps", "-o", "xml"), ["xml", "json"]),
        (("kill", "-WINCH", "2"), ["WINCH", "TERM"]),
        (("kill", "-NOSUCHSIGNAL", "2"), ["NOSUCHSIGNAL", "oros kill --help"]),
        (("wait", "two"), ["'two' is no process id", "oros ps"]),
        (("run", "--budget", "7 apples", "x"), ["7 apples", "20000tok"]),
        (("run", "--nice", "9", "x"), ["--nice", "9"]),
        (("models", "steal"), ["steal", "pull"]),
        (("explain", "2"), ["2", "oros"]),
        (("--home",), ["--home takes a folder"]),
    ],
    ids=lambda w: "-".join(w) if isinstance(w, tuple) else "",
)
def test_words_that_mean_nothing(machine, words, texts) -> None:
    """They end before the machine is even started."""
    says(machine.oros(*words), 2, "EINVAL", *texts)
    assert not (machine.home / "run").exists()


CONFIGS = [
    ("colour = 1", ["'colour'", "default_model"]),
    ("[models.m]\nbase_url = 'http://x'\ncolor = 1", ["models.m", "'color'", "base_url"]),
    ("[models.m]\nmodel = 'x'", ["base_url"]),
    ("default_model = 7", ["default_model"]),
    ("[models.m]\nbase_url = 'http://x'\nidle = 'long'", ["idle"]),
    ("models = 3", ["models"]),
    ("not toml at all", ["config.toml", "mend the file"]),
]


def test_a_configuration_that_is_wrong(machine) -> None:
    good = (machine.home / "config.toml").read_text()
    for text, words in CONFIGS:
        (machine.home / "config.toml").write_text(text)
        says(machine.oros("ps"), 2, "EINVAL", "config.toml", *words)
    (machine.home / "config.toml").write_text(good)
    assert machine.oros("ps").returncode == 0


def test_a_configuration_that_cant_be_read(machine) -> None:
    (machine.home / "config.toml").unlink()
    (machine.home / "config.toml").mkdir()
    says(machine.oros("ps"), 13, "EACCES", "config.toml")


def test_a_default_model_that_is_unknown(machine) -> None:
    machine.configure(default="nosuch")
    says(machine.oros("run", "hello"), 19, "ENODEV", "'nosuch'", "mock")
    assert machine.oros("ps").returncode == 0


def test_a_folder_without_rights(machine) -> None:
    """/sys takes no new files, not even root's."""
    work = machine.work
    machine.work = Path("/sys/kernel")
    says(machine.oros("write", "x.txt", "hello"), 13, "EACCES", "x.txt")
    found = machine.oros(
        "run", '[[mock turns=1 tool=write args={"path":"x.txt","text":"hi"} final=sorry]]'
    )
    assert (found.returncode, found.stdout.split()[0]) == (0, "sorry")
    machine.work = work
    back = next(f for f in machine.json("log", "2") if f["kind"] == "call_returned")
    assert back["event"]["outcome"]["error"]["code"] == "EACCES"
