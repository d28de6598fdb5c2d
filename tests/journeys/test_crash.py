"""The machine dies under me; nothing is lost, nothing is done twice."""

import subprocess
import sys

from tests.journeys.conftest import ROOT

STEPS = (
    '[[mock turns=3 tool=write args={"path":"note.txt","text":"hello"} tokens=8 final=finished]]'
)


def test_a_process_goes_on_after_kill_9(slow) -> None:
    pid = slow.start(STEPS)
    slow.until(pid, lambda r: r["calls"] >= 2)
    slow.kill_daemon()

    waited = slow.oros("wait", str(pid))

    assert waited.returncode == 0, waited.stderr
    assert "finished" in waited.stdout
    assert (slow.work / "note.txt").read_text() == "hello"
    assert slow.json("replay", str(pid))["same"]


def test_many_deaths(tmp_path) -> None:
    """The short form of `make crash`: real kills, real store, an external ledger."""
    found = subprocess.run(
        [sys.executable, "-m", "tests.crash", "--processes", "30", "--kills", "16"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr
    assert "once effects, each once          60" in found.stdout
