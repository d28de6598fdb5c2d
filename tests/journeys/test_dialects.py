"""I name a model of another vendor; a job with a call is done, and its thoughts go back to it."""

import json

import pytest
from tests.drivers.models.chatlines import SHOW, OllamaDialect
from tests.drivers.models.generate import GenerateDialect
from tests.drivers.models.messages import MessagesDialect
from tests.drivers.models.served import Call, Counts, Turn
from tests.journeys.apart import Apart

WRITE = json.dumps({"path": "/work/note.txt", "text": "seven cats\n"})
TURNS = [
    Turn(
        ("I write. ",),
        (Call("a", "write", WRITE),),
        ("hm",),
        "c2VhbA==",
        "calls",
        Counts(1000, 20, 600),
    ),
    Turn(("There is a note.",), counts=Counts(2000, 10, 900)),
]


@pytest.mark.parametrize(
    ("dialect", "base"),
    [
        (MessagesDialect(None), ""),
        (GenerateDialect(None), "/v1beta"),
        (OllamaDialect(None), ""),
    ],
    ids=["anthropic", "gemini", "ollama"],
)
def test_a_job_in_another_dialect(machine, dialect, base) -> None:
    shown = [SHOW] if dialect.platform == "ollama" else []
    with Apart(dialect, [*shown, *TURNS]) as server:
        extra = f'[models.other]\nbase_url = "{server.url}{base}"\nmodel = "there"\n'
        extra += f'dialect = "{dialect.platform}"\nprice = [1000000, 2000000, 100000]\n'
        machine.configure(extra, default="other")
        found = machine.oros("run", "Write a note.")
        assert found.returncode == 0, found.stderr
        assert "There is a note." in found.stdout
        assert (machine.work / "note.txt").read_text() == "seven cats\n"
        told = [dialect.heard(r) for r in server.requests if b"Write a note" in r.body][-1]
        assert [c.name for m in told.messages for c in m.calls] == ["write"]
        assert [bool(m.answers) for m in told.messages].count(True) == 1
        ((thought, seal),) = [t for m in told.messages for t in m.thoughts]
        assert seal == "c2VhbA==" if "sealed" in dialect.can else thought == "hm"
        assert machine.json("replay", "2")["same"]
        cached = 1500 if "cached" in dialect.can else 0
        assert machine.row(2)["micros"] == 3000 - cached + cached // 10 + 2 * 30
