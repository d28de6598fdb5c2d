"""A program of my own says what it needs of a model, and gets one that has it."""

LOOK = """
name = "look"
about = "tells what is on a picture"
shape = "steps"
calls = ["read"]
needs = ["sight"]
prompt = "You look."
"""
SEES = """
[models.eyes]
base_url = "{url}"
model = "mock-1"
cans = ["tools", "image"]
window = 16000
"""


def test_a_program_gets_a_model_with_what_it_needs(machine, mock_url) -> None:
    folder = machine.home / "programs"
    folder.mkdir()
    (folder / "look.toml").write_text(LOOK)
    none = machine.oros("run", "-p", "look", "[[mock final=seen]]")
    assert none.returncode != 0
    assert "look needs sight, and mock has not" in none.stderr

    machine.oros("halt")
    machine.configure(more=SEES.format(url=mock_url) + '[aliases]\nview = "eyes"\n')
    found = machine.oros("run", "-p", "look", "[[mock final=seen]]")
    assert found.stdout.startswith("seen"), found.stderr
    assert [r["model"] for r in machine.json("ps", "-a") if r["program"] == "look"] == ["eyes"]

    named = machine.oros("run", "-p", "look", "--model", "mock", "[[mock final=seen]]")
    assert "models that have: eyes" in named.stderr

    (folder / "look.toml").write_text(LOOK.replace("sight", "smell"))
    wrong = machine.oros("run", "-p", "look", "[[mock final=seen]]")
    assert "look.toml: there is no need 'smell'" in wrong.stderr
    assert "there is no program 'lok'" in machine.oros("run", "-p", "lok", "x").stderr
