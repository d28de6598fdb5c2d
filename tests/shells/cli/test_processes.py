"""ps, wait, kill, nice, fork, send, top: what they ask and what they show."""

import pytest
from tests.shells.cli.conftest import row

from oros.abi.errors import Invalid
from oros.shells.cli import processes

TREE = [
    row(pid=1, ppid=0, goal="", program="shell", on="message"),
    row(pid=12, ppid=1),
    row(pid=14, ppid=12, goal="a child with\nan escape \x1b[31m", state="running", on=""),
    row(pid=13, ppid=0, state="zombie", status=1, why="x", micros=None),
]


def test_ps_draws_a_tree(oros, machine) -> None:
    machine.answers["list"] = {"entries": TREE, "more": False}
    code, out, _ = oros("ps")
    lines = out.splitlines()
    assert code == 0
    assert machine.calls[-1] == ("list", {"path": "/proc", "depth": 1, "limit": 100000})
    assert [line.split()[0] for line in lines] == ["PID", "1", "12", "14", "13"]
    goals = [line[lines[0].index("GOAL") :] for line in lines]
    assert goals[1:4] == [
        "(shell)",
        "  count the penguins in the table",
        "    a child with an escape \x1b[31m",
    ]
    assert "waits:model" in lines[2]
    assert "failed 1" in lines[4]


@pytest.mark.parametrize("columns", [20, 40, 60, 80, 200])
def test_no_line_is_wider_than_the_terminal(oros, machine, monkeypatch, columns) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    wide = row(pid=15, goal="数える " * 40)
    bare = {"mounts": [], "limits": {}}
    machine.answers["list"] = {"entries": [r | bare for r in (*TREE, wide)], "more": False}
    machine.queries["doctor"] = {"works": True, "held": [], "not_held": {}, "fix": ""}
    for words in (["ps"], ["ps", "-v"]):
        lines = oros(*words)[1].splitlines()
        assert len(lines) == 6
        assert all(processes.draw.cells(line) <= columns for line in lines)


def test_ps_at_length_tells_what_each_may_do_and_what_is_not_enforced(
    oros, oros_json, machine
) -> None:
    mounts = [
        {"at": "/work", "source": "review:/home/ann/x", "right": "rw", "needs": ["mem", "net"]},
        {"at": "/web", "source": "web:example.com,example.org", "right": "r", "needs": []},
        {"at": "/proc", "source": "proc:", "right": "r", "needs": []},
    ]
    told = row(pid=12) | {"mounts": mounts, "race": 12}
    told["limits"] = {"tokens": 20000, "models": ["acme/*", "tiny"]}
    plain = row(pid=13) | {"mounts": mounts[2:], "limits": {}}
    machine.answers["list"] = {"entries": [told, plain], "more": False}
    found = {"works": True, "held": ["net"], "not_held": {"mem": "no group"}, "fix": "do so"}
    machine.queries["doctor"] = found
    _, out, err = oros("ps", "-v")
    assert machine.calls[-2] == ("list", {"path": "/proc", "depth": 1, "limit": 100000, "head": 1})
    assert "[race 12] count the" in out.splitlines()[1]
    assert out.splitlines()[3:] == [
        "12: /home/ann/x after a review · needs mem net · reaches example.com,example.org"
        " · at most 20000 tokens · asks acme/* tiny · runs no program: mem is not held here"
    ]
    assert err.splitlines() == ["not enforced here: mem: no group", "what would help: do so"]
    sandboxes = [r["sandbox"] for r in oros_json("ps", "-v")]
    assert sandboxes == [
        {"runs": False, "missing": ["mem"], "not_held": {"mem": "no group"}},
        {"runs": True, "missing": [], "not_held": {"mem": "no group"}},
    ]
    machine.queries["doctor"] = found | {"works": False}
    assert oros_json("ps", "-v")[1]["sandbox"]["runs"] is False
    assert "no program is run" in oros("ps", "-v")[2]


def test_ps_as_json_is_the_rows(oros_json, machine) -> None:
    machine.answers["list"] = {"entries": TREE, "more": False}
    assert oros_json("ps", "-a") == TREE
    assert machine.calls[-1][1]["depth"] == 2


def test_wait_prints_the_answer_and_fails_with_the_process(oros, machine) -> None:
    machine.answers["wait"] = {"pid": 12, "status": 0, "answer": "three"}
    assert oros("wait", "12", "--timeout", "5m") == (0, "three\n", "")
    assert machine.calls[-1] == ("wait", {"pid": 12, "timeout": 300.0})
    machine.answers["wait"] = {"pid": 12, "status": 137, "answer": "", "why": "killed"}
    assert oros("wait", "12") == (1, "", "process 12 failed, status 137: killed\n")
    machine.answers["wait"] |= {"status": 22, "why": "EDQUOT: no tokens are left"}
    assert oros("wait", "12")[0] == 22


@pytest.mark.parametrize(
    ("words", "signal", "text", "tree"),
    [
        (["12"], "TERM", "", True),
        (["-INT", "12"], "INT", "", True),
        (["-9", "12"], "KILL", "", True),
        (["-SIGSTOP", "12", "--only"], "STOP", "", False),
        (["-s", "CONT", "12"], "CONT", "", True),
        (["-USR1", "12", "only", "csv"], "USR1", "only csv", True),
    ],
)
def test_kill(oros, machine, words, signal, text, tree) -> None:
    machine.answers["kill"] = {"pids": [12]}
    assert oros("kill", *words) == (0, "", "")
    args = {"pid": 12, "signal": signal, "text": text, "tree": tree}
    assert machine.calls[-1] == ("kill", args)


def test_nice_fork_send(oros, machine, tmp_path) -> None:
    machine.answers |= {"nice": {"level": 1}, "fork": {"pids": [13, 14]}, "send": {"seq": 9}}
    assert oros("nice", "12", "bg")[0] == 0
    assert oros("fork", "12", "-n", "2", "--goal", "again") == (0, "13\n14\n", "")
    assert oros("send", "12", "yes,", "do", "-o", "json")[1] == '{"seq": 9}\n'
    assert machine.calls == [
        ("query status", {}),
        ("nice", {"pid": 12, "level": 1}),
        ("query status", {}),
        ("fork", {"pid": 12, "n": 2, "at": 0, "goal": "again"}),
        ("query status", {}),
        ("send", {"pid": 12, "text": "yes, do", "folder": str(tmp_path / "work")}),
    ]


def test_top_without_a_terminal_is_one_page(oros, oros_json, machine) -> None:
    machine.answers["list"] = {"entries": TREE, "more": False}
    machine.queries["slots"] = [
        {"model": "local", "slots": 4, "running": [12], "waiting": [14], "preemptions": 0}
    ]
    machine.queries["status"] = {"version": "1", "processes": {"running": 2}, "awake": 2}
    code, out, _ = oros("top")
    assert code == 0
    assert out.splitlines()[:2] == [
        "oros 1 · 2 running · 49.7k tokens · ?",
        "local  █░░░ 1/4  1 wait",
    ]
    assert oros_json("top")["processes"] == TREE
    owners = {"program": 300, "calls": 1200, "pinned": 20, "turn": 2480}
    TREE[0]["window"] = owners
    try:
        lines = oros("top")[1].splitlines()
    finally:
        TREE[0]["window"] = {}
    assert lines[-2].split() == ["PID", "WINDOW", "PROGRAM", "CALLS", "PINNED", "TURN"]
    assert lines[-1].split() == [str(TREE[0]["pid"]), "4.0k", "300", "1.2k", "20", "2.5k"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("20000tok", ("tokens", 20000)),
        ("20ktok", ("tokens", 20000)),
        ("1.5mtokens", ("tokens", 1500000)),
        ("$0.10", ("micros", 100000)),
        ("$2", ("micros", 2000000)),
        ("0.5usd", ("micros", 500000)),
        ("60s", ("seconds", 60)),
        ("5m", ("seconds", 300)),
        ("1h", ("seconds", 3600)),
        ("30calls", ("calls", 30)),
    ],
)
def test_budgets(text, found) -> None:
    from oros.shells.cli.parse import budget

    assert budget(text) == found


@pytest.mark.parametrize(
    "text", ["", "7", "7k", "$", "$1k", "-5s", "5 parsecs", "$0.1tok", "nan", "$5usd", "usd"]
)
def test_what_is_no_budget(text) -> None:
    from argparse import ArgumentTypeError

    from oros.shells.cli.parse import budget

    with pytest.raises((ArgumentTypeError, Invalid)):
        budget(text)
