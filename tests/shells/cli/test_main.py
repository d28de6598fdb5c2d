"""The table of verbs, help, errors and exit codes, and what a command costs to start."""

import importlib
import json
import resource
import statistics
import subprocess
import sys

import pytest

from oros.abi import errors
from oros.abi.syscalls import Failure, Outcome
from oros.shells.cli.main import GROUPS, VERBS, main


def verb_of(name):
    return importlib.import_module(f"oros.shells.cli.{VERBS[name][0]}").VERBS[name]


@pytest.mark.parametrize("name", VERBS)
def test_help_ends_with_two_examples_that_parse(name, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    tail = capsys.readouterr().out.rstrip().split("examples:\n")[1].splitlines()
    assert len(tail) == 2
    assert all("oros " + name in line for line in tail)


@pytest.mark.parametrize("name", VERBS)
def test_the_examples_are_right(name) -> None:
    import shlex

    from oros.shells.cli.parse import signals

    for example in verb_of(name).examples:
        line = example.split("&&")[0].split("|")[-1]
        words = shlex.split(line)[2:]
        verb_of(name).parser(name, "").parse_args(signals(words) if name == "kill" else words)


def test_each_verb_is_on_the_overview_once(capsys) -> None:
    assert sorted(n for _, names in GROUPS for n in names) == sorted(VERBS)
    assert main(["--help"]) == 0
    page = capsys.readouterr().out
    assert all(f"  {n} " in page for n in VERBS)
    assert page.rstrip().splitlines()[-2].startswith("  oros ")


@pytest.mark.parametrize(("word", "near"), [("pss", "ps"), ("statu", "status"), ("kil", "kill")])
def test_an_unknown_verb_suggests_the_nearest(word, near, capsys) -> None:
    assert main([word]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"did you mean {near}?" in said


def test_a_goal_without_run(capsys) -> None:
    assert main(["count the lines"]) == 2
    assert 'oros run "count the lines"' in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["ps", "--nope"], ["kill"], ["trace", "x"], ["run", "-b", "7"], ["kill", "-FOO", "1"]]
)
def test_wrong_words_end_with_two_and_one_line(words, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    said = capsys.readouterr().err
    assert (ended.value.code, said.count("\n")) == (2, 1)
    assert said.startswith("oros: EINVAL: ")


@pytest.mark.parametrize("kind", [errors.NoProcess, errors.OverBudget, errors.Busy])
def test_an_error_is_one_line_and_its_own_exit_code(kind, oros, machine) -> None:
    machine.answers["kill"] = Outcome(error=Failure.of(kind("why it is", "what to do")))
    code, out, err = oros("kill", "9")
    assert (code, out, err) == (kind.exit_code, "", f"oros: {kind.code}: why it is (what to do)\n")


def test_status_does_not_start_a_machine(home, capsys) -> None:
    assert main(["status"]) == errors.Unreachable.exit_code
    assert "no machine runs" in capsys.readouterr().err
    assert main(["halt"]) == 0
    assert not home.exists()


def test_version_needs_no_machine(home, capsys) -> None:
    assert main(["--version"]) == 0
    assert main(["version", "-o", "json"]) == 0
    text, data = capsys.readouterr().out.splitlines()
    assert text == f"oros {json.loads(data)['version']}"


def test_home_by_option(machine, home, monkeypatch, capsys) -> None:
    monkeypatch.setenv("OROS_HOME", "/nowhere")
    assert main(["--home", str(home), "status"]) == 0
    assert str(home) in capsys.readouterr().out


def cpu(*words) -> float:
    """Median milliseconds of user and system time."""
    found = []
    for _ in range(7):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *words], stdout=subprocess.DEVNULL, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        found.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(found) * 1000


def test_a_command_costs_at_most_fifteen_bare_pythons(machine, home) -> None:
    machine.answers["list"] = {"entries": [], "more": False}
    bare = cpu("-c", "pass")
    for words in (["--help"], ["ps"]):
        assert cpu("-m", "oros.shells.cli.main", *words) < 15 * bare


def test_a_command_imports_nothing_heavy(machine, home) -> None:
    heavy = {"asyncio", "pydantic", "aiohttp", "subprocess", "http.client", "email", "dataclasses"}
    program = (
        "import sys; from oros.shells.cli.main import main; main(['ps']);"
        "drivers = {m for m in sys.modules if m.startswith('oros.drivers')};"
        f"sys.exit(' '.join(({heavy!r} & set(sys.modules)) | drivers) or 0)"
    )
    machine.answers["list"] = {"entries": [], "more": False}
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert (found.returncode, found.stderr) == (0, b"")
