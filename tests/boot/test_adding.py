"""The configuration edited as text: what was meant comes out, and nothing else changes."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oros.abi.errors import Corrupt, Exists, Invalid, NoDevice
from oros.boot.adding import edited, settings, weights
from oros.boot.config import parsed
from oros.services.weights.offers import PLATFORMS, Offer, Platform

HAND = """# my machine
default_model = "local"   # small but mine

[aliases]  # names
fast = "one"

# the office
[models."one"]
base_url = "http://127.0.0.1:9/v1"  # by the window
"""
TABLE = {"base_url": "http://h/v1", "model": "m", "window": 9, "price": [1, 2, 3]}

names = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=12)
values = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=30)


def test_comments_and_order_stay() -> None:
    text = edited(HAND, "acme/large", TABLE, ["best", "eyes"], default=True)
    for line in HAND.splitlines():
        if "default_model" not in line:
            assert line in text.splitlines()
    assert 'default_model = "acme/large"   # small but mine' in text
    found = tomllib.loads(text)
    assert found["models"]["acme/large"] == TABLE
    assert found["aliases"] == {"fast": "one", "best": "acme/large", "eyes": "acme/large"}


def test_into_an_empty_file() -> None:
    text = edited("", "m", TABLE, ["fast"], default=True)
    assert tomllib.loads(text) == {
        "default_model": "m", "aliases": {"fast": "m"}, "models": {"m": TABLE},
    }  # fmt: skip


@given(
    st.sampled_from(["", HAND]),
    names,
    values,
    st.lists(names, max_size=2, unique=True),
    st.booleans(),
)
def test_whatever_the_names_are(text, name, model, aliases, default) -> None:
    if name == "one" or "fast" in aliases:
        return
    table = TABLE | {"model": model}
    was, found = (
        tomllib.loads(text),
        tomllib.loads(edited(text, name, table, aliases, default=default)),
    )
    assert found["models"].pop(name) == table
    assert {a: found["aliases"].pop(a) for a in aliases} == dict.fromkeys(aliases, name)
    if default:
        assert found.pop("default_model") == name
        was.pop("default_model", None)
    assert {k: v for k, v in found.items() if v} == {k: v for k, v in was.items() if v}


def test_nothing_is_replaced() -> None:
    with pytest.raises(Exists, match="--as NAME"):
        edited(HAND, "one", TABLE, [], default=False)
    with pytest.raises(Exists, match="alias 'fast'"):
        edited(HAND, "two", TABLE, ["fast"], default=False)


@pytest.mark.parametrize(
    ("text", "aliases", "default"),
    [
        ('aliases = {fast = "one"}\n', ["best"], False),
        ("default_model = '''one'''\n", [], True),
        ('models = {one = {base_url = "http://h"}}\n', [], False),
        ("not toml", [], False),
    ],
)
def test_what_cant_be_edited_is_left_alone(text, aliases, default) -> None:
    with pytest.raises(Invalid):
        edited(text, "two", TABLE, aliases, default=default)


SERVER = Platform("http://127.0.0.1:8000/v1")


def test_a_server_that_says_whose_it_is_gets_its_quirks() -> None:
    told = settings(SERVER, Offer("m", platform="vllm"), {})
    assert (told["platform"], told["cans"]) == ("vllm", ["schema", "tools"])
    told = settings(PLATFORMS["vllm"], Offer("m"), {})
    assert (told["platform"], told["cans"]) == ("vllm", ["schema", "tools"])
    assert settings(SERVER, Offer("m"), {}).keys() == {"base_url", "model"}
    other = Platform("http://127.0.0.1:8080", dialect="anthropic")
    told = settings(other, Offer("m", platform="llama.cpp"), {})
    assert told.keys() == {"base_url", "model", "dialect"}  # it speaks another one, too


def test_what_a_model_can_is_what_was_told_of_it_and_what_is_said() -> None:
    told = settings(PLATFORMS["openai"], Offer("m", cans=("image",)), {"cans": ["audio"]})
    assert told["cans"] == ["audio", "image", "schema", "tools"]
    told = settings(PLATFORMS["ollama"], Offer("m", lacks=("tools",)), {})
    assert told["cans"] == ["cancel", "schema"]
    assert settings(SERVER, Offer("m"), {"cans": ["image"]})["cans"] == ["image", "tools"]


def test_a_file_of_weights(tmp_path) -> None:
    file = tmp_path / "own.gguf"
    with pytest.raises(NoDevice, match="own") as lost:
        weights(file, {})
    assert "models add" in lost.value.hint
    assert "pull" not in lost.value.hint
    file.write_bytes(b"text")
    with pytest.raises(Corrupt, match="no GGUF"):
        weights(file, {})
    file.write_bytes(b"GGUF...")
    table = weights(file, {"window": 4096, "fallbacks": ["local"]})
    text = edited(HAND, "mine/own", table, ["eyes"], default=False)
    made = parsed(text, "config.toml").models["mine/own"]
    assert (made.gguf, made.window, made.fallbacks) == (str(file), 4096, ("local",))
    with pytest.raises(Invalid, match="no whole path"):
        weights(file.relative_to(tmp_path), {})
