"""A real terminal: colours, escapes that are shown and not obeyed, Ctrl-C once and twice."""

import io
import os
import pty
import select
import signal
import subprocess
import sys
import time

import pytest
from tests.shells.cli.conftest import life, row

from oros.abi.events import Parked, Signalled
from oros.abi.ids import Pid
from oros.shells.cli.terminal import Terminal, harmless


class Screen:
    """A program on a pseudo-terminal."""

    def __init__(self, *words: str, **env: str) -> None:
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as shells start what is behind `&`
            signal.signal(signal.SIGINT, signal.default_int_handler)
        self.main, side = pty.openpty()
        command = [sys.executable, "-m", "oros.shells.cli.main", *words]
        env = {k: v for k, v in os.environ.items() if k != "NO_COLOR"} | {"TERM": "xterm"} | env
        self.program = subprocess.Popen(
            command, stdin=side, stdout=side, stderr=side, env=env, start_new_session=True
        )
        os.close(side)
        self.seen = ""

    def until(self, mark: str) -> str:
        while mark not in self.seen:
            try:
                chunk = os.read(self.main, 65536)
            except OSError:
                chunk = b""
            assert chunk, f"{mark!r} did not come: {self.seen!r}"
            self.seen += chunk.decode("utf-8", "replace")
        return self.seen

    def end(self) -> int:
        while True:
            try:
                chunk = os.read(self.main, 65536)
            except OSError:
                break
            if not chunk:
                break
            self.seen += chunk.decode("utf-8", "replace")
        os.close(self.main)
        return self.program.wait(60)


def waiting_process(machine) -> None:
    """Process 12 thinks until it is told otherwise."""
    machine.soon(machine.tell, 12, *life()[:2])
    machine.answers["spawn"] = {"pid": 12}


def test_ctrl_c_stops_the_turn_and_says_how_to_go_on(machine) -> None:
    waiting_process(machine)

    def kill(args):
        machine.tell(12, Signalled("INT", Pid(0)), Parked("message"))
        return {"pids": [12]}

    machine.answers["kill"] = kill
    screen = Screen("run", "count")
    screen.until("model local")
    screen.program.send_signal(signal.SIGINT)
    assert screen.end() == 130
    assert "go on: oros send 12 TEXT" in screen.seen
    assert ("kill", {"pid": 12, "signal": "INT"}) in machine.calls


def test_a_second_ctrl_c_leaves_it_running(machine) -> None:
    waiting_process(machine)
    machine.answers["kill"] = {"pids": [12]}
    screen = Screen("run", "count")
    screen.until("model local")
    screen.program.send_signal(signal.SIGINT)
    screen.until("once more leaves it running")
    screen.program.send_signal(signal.SIGINT)
    assert screen.end() == 130
    assert "process 12 goes on: oros trace 12" in screen.seen


def test_what_takes_long_is_shown(machine) -> None:
    waiting_process(machine)
    screen = Screen("run", "count")
    screen.until("process 12 · local thinks · 1")
    machine.soon(machine.say, 12, "a", "b")
    screen.until("writing, 2 tokens")
    machine.soon(machine.tell, 12, *life()[2:])
    assert screen.end() == 0
    assert "three" in screen.seen


def test_a_question_is_answered_in_place(machine) -> None:
    from oros.abi.events import CallEntered, CallReturned
    from oros.abi.ids import CallId
    from oros.abi.syscalls import Outcome

    waiting_process(machine)
    args = {"question": "Which year?", "options": ["2007", "2008"]}
    machine.soon(machine.tell, 12, CallEntered(CallId("c3"), "ask", args, "read", "k"))

    def send(args):
        machine.tell(12, CallReturned(CallId("c3"), Outcome(value={"text": args["text"]})))
        machine.tell(12, *life()[-1:])
        return {"seq": 5}

    machine.answers["send"] = send
    screen = Screen("run", "count")
    screen.until("Which year?  [2007 / 2008]")
    screen.until("> ")
    os.write(screen.main, b"2008\n")
    assert screen.end() == 0
    assert ("send", {"pid": 12, "text": "2008"}) in machine.calls


def test_a_child_that_asks_is_heard(machine) -> None:
    from oros.abi.events import CallEntered
    from oros.abi.ids import CallId

    waiting_process(machine)
    machine.soon(machine.tell, 12, CallEntered(CallId("c3"), "wait", {"pid": 13}, "control", "k"))
    ask = CallEntered(CallId("c2"), "ask", {"question": "Which?"}, "read", "k")
    machine.soon(machine.tell, 13, ask)
    machine.answers["list"] = {"entries": [row(pid=13, on="person")], "more": False}
    screen = Screen("run", "count")
    screen.until("process 13 asks: c2 ask question=Which?")
    screen.until("oros send 13 TEXT")
    machine.soon(machine.tell, 12, *life()[-1:])
    assert screen.end() == 0


@pytest.mark.parametrize("env", [{}, {"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_colour_only_where_it_is_wanted(machine, env) -> None:
    machine.soon(machine.tell, 12, *life(answer="\x1b]0;owned\x07"))
    screen = Screen("trace", "12", **env)
    assert screen.end() == 0
    assert ("\x1b[36m" in screen.seen) == (not env)
    assert "\x1b]0;" not in screen.seen
    assert "␛]0;owned" in screen.seen


def test_top_ends_with_q_and_restores_the_screen(machine) -> None:
    machine.answers["list"] = {"entries": [row()], "more": False}
    machine.queries["slots"] = []
    screen = Screen("top", "--every", "10s")
    screen.until("q ends")
    time.sleep(0.05)
    os.write(screen.main, b"q")
    assert screen.end() == 0
    assert screen.seen.startswith("\x1b[?1049h\x1b[?25l")
    assert screen.seen.rstrip().endswith("\x1b[?25h\x1b[?1049l")
    assert "count the penguins" in screen.seen


def test_ctrl_c_at_the_prompt_ends_nothing(machine) -> None:
    screen = Screen()
    screen.until("oros> ")
    # A signal between the prompt and the read behind it is seen at the next one only.
    while screen.seen.count("oros> ") < 2:
        screen.program.send_signal(signal.SIGINT)
        while select.select([screen.main], [], [], 0.5)[0]:
            screen.seen += os.read(screen.main, 65536).decode()
    os.write(screen.main, b"/quit\n")
    assert screen.end() == 0


def test_text_that_steers_is_shown() -> None:
    assert harmless("a\x1b[2J\rb\x9b\u202e\tc\n") == "a␛[2J␍b\ufffd\ufffd\tc\n"


def test_a_terminal_that_knows_no_unicode() -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    Terminal(out, out).out("1 → 2 · …ü")
    assert raw.getvalue() == b"1 -> 2 - ...\\xfc\n"


def test_a_reader_that_goes_away_ends_quietly(machine) -> None:
    machine.soon(machine.tell, 12, *[Parked("timer")] * 20000)
    shell = f"{sys.executable} -m oros.shells.cli.main log 12 | head -n 1"
    found = subprocess.run(["sh", "-c", shell], capture_output=True, check=False)
    assert len(found.stdout.splitlines()) == 1
    assert found.stderr == b""
