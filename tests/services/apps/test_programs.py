"""The person's own programs beside the machine's: a file each, read when it is asked for."""

import asyncio

import pytest

from oros.abi.errors import Invalid, NotFound
from oros.abi.ports import ModelInfo
from oros.sdk.testing.scripted import ScriptedModel
from oros.services.apps.programs import Programs, builtin

MODEL = ScriptedModel([], ModelInfo("m", 8192))
LOOK = """
name = "look"
about = "tells what is on a picture"
shape = "steps"
calls = ["read"]
needs = ["sight", "here"]
window = 8000
price = 2000000
prompt = "You look."
"""


@pytest.fixture
def own(tmp_path):
    (tmp_path / "look.toml").write_text(LOOK)
    return Programs(tmp_path)


def test_a_program_of_ones_own(own, tmp_path) -> None:
    found = own("look", MODEL)
    assert (found.needs, found.window, found.price) == (("sight", "here"), 8000, 2_000_000)
    (tmp_path / "look.toml").write_text(LOOK.replace("8000", "9000"))
    assert own("look", MODEL).window == 9000
    assert own("steps", MODEL) is builtin()["steps"]
    assert own("", MODEL) is builtin()["steps"]


def test_they_are_listed_with_the_machines(own, tmp_path) -> None:
    (tmp_path / "broken.toml").write_text("name = ")
    (tmp_path / "steps.toml").write_text(LOOK.replace("look", "steps"))
    rows = {r["name"]: r["about"] for r in asyncio.run(own.told({}))}
    assert rows.keys() == {*builtin(), "look"}
    assert rows["look"] == "tells what is on a picture"
    assert own("steps", MODEL) is builtin()["steps"]


def test_none_of_ones_own_is_no_fault(tmp_path) -> None:
    own = Programs(tmp_path / "nothing")
    assert [p.name for p in own.listed()] == list(builtin())
    with pytest.raises(NotFound, match="programs: code"):
        own("look", MODEL)


@pytest.mark.parametrize("name", ["../look", "/etc/passwd", "a/b", "Look", "lo\x00ok", ".look"])
def test_a_name_is_no_path(own, tmp_path, name) -> None:
    (tmp_path.parent / "look.toml").write_text(LOOK)
    with pytest.raises(NotFound):
        own(name, MODEL)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("name = ", "look.toml"),
        (LOOK.replace('"sight"', '"smell"'), "no need 'smell'"),
        (LOOK.replace('"read"', '"reed"'), "no call reed"),
        (LOOK.replace('"look"', '"watch"'), "its program is 'watch'"),
        (LOOK.replace("window", "windo"), "windo"),
        (LOOK + "standing = true\n", "stands"),
        ("\x00", "look.toml"),
        (LOOK.replace("8000", '"many"'), "look.toml: .*window"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(own, tmp_path, text, why) -> None:
    (tmp_path / "look.toml").write_text(text)
    with pytest.raises(Invalid, match=why):
        own("look", MODEL)
