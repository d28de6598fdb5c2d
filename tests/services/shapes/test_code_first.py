"""The shape of small models, phase by phase: what is asked, run, looked at, said again."""

from oros.abi.actions import Do, Finish, Think
from oros.abi.events import CallEntered, CallReturned, ModelReplied, Spawned
from oros.abi.grants import NO_LIMITS, NO_USAGE
from oros.abi.ids import CallId
from oros.abi.labels import USER
from oros.abi.manifest import Program
from oros.abi.message import say
from oros.abi.syscalls import Outcome
from oros.kernel import shapes
from oros.kernel.image import Image
from oros.services.shapes import SHAPES

PROGRAM = Program("code", "", "code", "Do jobs.", ("list", "run"), tries=4)


class Run:
    """A process of this shape, driven by hand: facts in, the next act out."""

    def __init__(self, goal: str, *entries: dict, program: Program = PROGRAM) -> None:
        self.image, self.seq = Image(), 0
        self.fold(Spawned(0, program, goal, "m", 0, NO_LIMITS, (), 0, (), USER))
        self.returns({"entries": list(entries)})

    def fold(self, event) -> None:
        self.seq += 1
        shapes.absorb(SHAPES, self.image, event, self.seq)

    @property
    def next(self):
        return shapes.decide(SHAPES, self.image)

    def returns(self, value) -> None:
        act = self.next
        assert isinstance(act, Do), act
        self.fold(CallEntered(CallId(f"c{self.seq}"), act.ask.name, act.ask.args, "once", "k"))
        self.fold(CallReturned(CallId(f"c{self.seq - 1}"), Outcome(value=value)))

    def says(self, text: str) -> None:
        assert isinstance(self.next, Think), self.next
        self.fold(ModelReplied(say("assistant", text), NO_USAGE, "stop", "m"))

    def writes(self, source: str) -> None:
        self.says(f"```python\n{source}\n```")

    def ran(self, out="", changed=(), code=0, err="") -> None:
        changes = [{"path": f"/work/{n}", "change": "added", "size": 1} for n in changed]
        self.returns({"exit": code, "out": out, "err": err, "changed": changes})


TABLE = {
    "path": "/work/a.csv",
    "kind": "file",
    "size": 20,
    "lines": 2,
    "about": "CSV, 1 rows\n  x: 1",
}


def test_a_question_is_answered_by_what_the_program_prints() -> None:
    run = Run("How many rows?", TABLE)
    assert "x: 1" in run.next.messages[-1].text
    run.writes("print(1)")
    assert run.next.ask.args["python"].endswith("\nprint(1)")
    run.ran("1\n")
    run.says("yes")
    assert run.next == Finish(0, "1")


def test_an_error_is_shown_with_its_program_once() -> None:
    run = Run("How many rows?", TABLE)
    run.writes("print(y)")
    run.ran(code=1, err="NameError: y")
    told = run.next.messages
    assert "print(y)" in told[-2].text
    assert "NameError: y" in told[-1].text
    run.writes("print(z)")
    run.ran(code=1, err="NameError: z")
    assert "print(y)" not in str(run.next.messages)
    assert "NameError: z" in run.next.messages[-1].text


def test_what_was_refused_and_is_said_again_stands() -> None:
    run = Run("Save it as b.csv.", TABLE)
    run.writes("write_table('b.csv', rows)")
    run.ran("ok", ["b.csv"])
    run.returns({"entries": [TABLE, {"path": "/work/b.csv", "size": 9, "head": "x\n1\n"}]})
    run.says("no")
    assert "begins:\nx\n1" in run.next.messages[-1].text
    run.writes("write_table('b.csv', rows)")
    assert run.next == Finish(0, "ok")


def test_another_program_after_a_refusal_is_run_and_not_looked_at_again() -> None:
    run = Run("How many rows?", TABLE)
    run.writes("print(1)")
    run.ran("1")
    run.says("no")
    run.writes("print(2)")
    run.ran("2")
    assert run.next == Finish(0, "2")


def test_a_file_that_cant_be_meant_is_sent_back_before_the_second_look() -> None:
    run = Run("Write r.md with the means.", TABLE)
    run.writes("write_text('r.md', str(d))")
    run.ran("ok", ["r.md"])
    run.returns({"entries": [{"path": "/work/r.md", "size": 40, "head": "defaultdict(<class"}]})
    assert "one by one" in run.next.messages[-1].text


def test_it_gives_up_with_its_reason() -> None:
    run = Run("How many rows?", TABLE)
    for number in range(4):
        run.writes(f"print({number}")
    act = run.next
    assert isinstance(act, Finish)
    assert act.status == 1
    assert "gave up after 4 tries" in act.why


def test_a_script_is_run_before_and_after_its_repair() -> None:
    script = {"path": "/work/s.py", "size": 12, "lines": 1, "head": "print(nane)\n"}
    run = Run("Fix s.py.", script)
    run.returns({"exit": 1, "out": "", "err": "File s.py\nNameError: nane"})
    assert "Running s.py now ends with:" in run.next.messages[-1].text
    run.writes("replace_text('s.py', 'nane', 'name')")
    run.ran("ok", ["s.py"])
    assert run.next.ask.args["argv"] == ["python3", "s.py"]
    run.returns({"exit": 0, "out": "Ann", "err": ""})
    assert run.next == Finish(0, "ok")


def test_a_script_that_is_answered_whole_is_written_whole() -> None:
    text = "name = 'Ann'\nfor _ in range(3):\n    print(nane)\n"
    run = Run("Fix s.py.", {"path": "/work/s.py", "size": 40, "lines": 3, "head": text})
    run.returns({"exit": 1, "out": "", "err": "File s.py\nNameError"})
    run.writes(text.replace("nane", "name").rstrip())
    assert run.next.ask.args["python"].endswith(
        f"write_text('s.py', {text.replace('nane', 'name')!r})"
    )


def test_words_are_an_answer() -> None:
    run = Run("Say hello.")
    run.says("Hello!")
    assert run.next == Finish(0, "Hello!")
