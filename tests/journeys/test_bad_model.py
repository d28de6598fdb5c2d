"""My model or its server fails, hangs or talks rubbish; I am told what, and no work is lost."""

import pytest
from tests.journeys.conftest import ends

IDLE = "idle = 0.3"
"""Seconds of silence that count as hung here, so that a test does not wait for minutes."""


def stopped(found, code: int, *words: str) -> None:
    """The command ended with the code of the error, and said in one line what and how to go on."""
    assert found.returncode == code, (found.returncode, found.stdout, found.stderr)
    lines = [x for x in found.stderr.splitlines() if "is stopped" in x]
    assert len(lines) == 1, found.stderr
    for word in (*words, "go on: oros kill -CONT"):
        assert word in lines[0], lines[0]
    assert "Traceback" not in found.stderr


AT_ONCE = [
    ("401", 14, ["EAUTH", "401", "key_env"]),
    ("404", 19, ["ENODEV", "404", "config.toml"]),
    ("window", 7, ["E2BIG", "larger window"]),
]


@pytest.mark.parametrize(("fault", "code", "words"), AT_ONCE, ids=[f[0] for f in AT_ONCE])
def test_what_trying_again_cant_help(machine, fault, code, words) -> None:
    """It is paused with the reason; once that is mended, CONT goes on."""
    found = machine.oros("run", f"[[mock fault={fault} times=1 final=well]]")
    stopped(found, code, *words)
    machine.oros("kill", "-CONT", "2")
    assert machine.oros("wait", "2").stdout.startswith("well")
    assert machine.json("replay", "2")["same"]


IN_THE_END = {
    "429": (11, ["EAGAIN", "429"]),
    "500": (5, ["EIO", "500"]),
    "drop": (6, ["ECONN"]),
    "hang": (24, ["ETIMEDOUT", "silent for 0.3 seconds"]),
    "html": (15, ["EPROTO", "no event stream"]),
    "rubbish": (15, ["EPROTO", "no JSON"]),
    "shape": (15, ["EPROTO", "no chunk"]),
    "noend": (15, ["EPROTO", "without an end"]),
    "error200": (5, ["EIO", "cheese"]),
}
TRIES = 5


def test_a_server_that_stays_broken(machine) -> None:
    """Each is tried again, then paused with its own reason and code; CONT goes on. Side by side."""
    none = '[models.none]\nbase_url = "http://127.0.0.1:1/v1"\n'
    # Each on its own: what is dropped on a connection that others kept is tried again at once, who
    # is refused by a 429 slows the others down, and where little silence counts as hung, an answer
    # that is late on a busy machine is hung, too.
    same = f'base_url = "{machine.base_url}"\nmodel = "mock-1"\n'
    own = [f"[models.{f}]\n{same}{IDLE * (f == 'hang')}\n" for f in IN_THE_END]
    machine.configure(none + "".join(own))
    assert machine.oros("ps").returncode == 0
    runs = {
        fault: machine.begin(
            "run", "--model", fault, f"[[mock fault={fault} times={TRIES} final=well]]"
        )
        for fault in IN_THE_END
    }
    nobody = machine.begin("run", "--model", "none", "hello")
    for fault, run in runs.items():
        code, words = IN_THE_END[fault]
        stopped(ends(run), code, *words)
    stopped(ends(nobody), 6, "ECONN", "nobody answers", "127.0.0.1:1")

    for row in machine.json("ps"):
        if row["pid"] == 1 or row["model"] == "none":
            continue
        machine.oros("kill", "-CONT", str(row["pid"]))
        waited = machine.oros("wait", str(row["pid"]))
        assert waited.returncode == 0, (row["why"], waited.stderr)
        assert "well" in waited.stdout, row["why"]
        assert machine.json("replay", str(row["pid"]))["same"]


@pytest.mark.parametrize("fault", ["429", "500", "drop", "half", "noend", "hang"])
def test_what_may_pass_is_tried_again(machine, fault) -> None:
    machine.configure(more=IDLE if fault == "hang" else "")
    found = machine.oros("run", f"[[mock fault={fault} times=2 final=well]]")
    assert found.returncode == 0, found.stderr
    assert "well" in found.stdout


def test_a_stream_that_falls_silent_is_gone_on_with(machine) -> None:
    """What was said before is kept, and nothing is said twice."""
    machine.configure(more=IDLE)
    whole = machine.oros("run", "[[mock final=well]]").stdout
    found = machine.oros("run", "[[mock fault=stall times=1 final=well]]")
    assert (found.returncode, found.stdout) == (0, whole), found.stderr


WRONG_CALLS = [
    ("tool=format_disk args={}", "ENOSYS"),
    ("tool=read args={]", "EINVAL"),
    ('tool=read args={"pth":"x"}', "EINVAL"),
    ('tool=read args=["x"]', "EINVAL"),
    ('tool=read args={"path":7}', "EINVAL"),
]


def test_calls_that_make_no_sense(machine) -> None:
    """The model hears what was wrong, and goes on."""
    for pid, (script, code) in enumerate(WRONG_CALLS, 2):
        found = machine.oros("run", f"[[mock turns=1 {script} final=sorry]]")
        assert found.returncode == 0, found.stderr
        assert "sorry" in found.stdout
        back = next(f for f in machine.json("log", str(pid)) if f["kind"] == "call_returned")
        assert back["event"]["outcome"]["error"]["code"] == code, script
        assert machine.json("replay", str(pid))["same"]


def test_the_same_call_again_and_again(machine) -> None:
    found = machine.oros("run", '[[mock turns=99 tool=stat args={"path":"/proc/1"}]]')
    stopped(found, 1, "it made the same call 5 times", "stat")
    assert machine.row(2)["calls"] < 20


def test_words_without_an_end(machine) -> None:
    """The stream is cut at the limit of the answer, also if the server knows no limit."""
    found = machine.oros("run", "[[mock fault=flood times=1 final=well]]")
    assert found.returncode == 0, found.stderr
    assert found.stdout.startswith("well again again")
    assert len(found.stdout) < 200_000
    replied = next(f for f in machine.json("log", "2") if f["kind"] == "model_replied")
    assert replied["event"]["finish"] == "length"
    assert machine.json("replay", "2")["same"]


def test_empty_answers(machine) -> None:
    """It is told so a few times; then that is the end, and not an answer."""
    found = machine.oros("run", "[[mock empty=1]]")
    assert (found.returncode, found.stdout) == (15, "")
    assert found.stderr.count("EPROTO: the model gave empty answers") == 1
    assert machine.row(2)["calls"] < 10
