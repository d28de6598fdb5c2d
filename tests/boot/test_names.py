"""What names of models mean: aliases, lists, needs; and what a configuration may not say."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oros.abi.errors import Invalid, NoDevice, NotAuthorized, Unsupported
from oros.abi.manifest import Program
from oros.abi.message import say
from oros.abi.ports import ModelInfo, ModelRequest
from oros.boot.config import Config, RemoteModel, load
from oros.boot.models import Models
from oros.boot.names import Names, suited
from oros.sdk.testing.scripted import ScriptedModel

WORDS = ("a", "b", "c", "d")


def remote(*fallbacks: str, **more) -> RemoteModel:
    return RemoteModel("https://api.example.com/v1", fallbacks=fallbacks, **more)


def registry(tmp_path, models=(), aliases=(), default="acme/large", secret=None) -> Models:
    config = Config(default, models=dict(models), aliases=dict(aliases))
    return Models(config, tmp_path / "models", secret or (lambda _, __: None))


def test_an_alias_is_a_model_or_a_list() -> None:
    names = Names("big", {"fast": ["small"], "best": ["big", "fast"]}, {"small": ["tiny"]})
    assert names.chain("") == ["big"]
    assert names.chain("fast") == ["small", "tiny"]
    assert names.chain("best") == ["big", "small"]
    assert names.chain("small") == ["small", "tiny"]
    assert names.chain("other") == ["other"]
    assert names.means("best") == ["big", "small"]
    assert names.means("small") == ["small"]  # what it falls back on is not what it stands for


def test_a_list_goes_on_behind_the_model_in_use() -> None:
    names = Names("a", {"best": ["a", "b", "c"]}, {"b": ["d"]})
    full = str.upper
    assert names.onward("best", "A", full) == ["B", "C"]
    assert names.onward("best", "C", full) == []
    assert names.onward("", "", full) == []
    # It is on no list any more: it has its own.
    assert Names("a", {}, {"x": ["b"]}).onward("a", "x", str) == ["b"]


@given(
    st.dictionaries(st.sampled_from(WORDS), st.lists(st.sampled_from(WORDS), max_size=4)),
    st.dictionaries(st.sampled_from(WORDS), st.lists(st.sampled_from(WORDS), max_size=4)),
    st.sampled_from(WORDS),
)
def test_every_list_has_an_end_and_nothing_twice(aliases, fallbacks, name) -> None:
    names = Names("a", aliases, fallbacks)
    chain = names.chain(name)
    assert len(chain) == len(set(chain))
    assert set(chain) <= {*WORDS}
    seen, now = [], chain[0] if chain else ""
    while now:
        seen.append(now)
        left = names.onward(name, now, str)
        now = left[0] if left else ""
    assert seen == chain


def test_names_of_the_configuration(tmp_path) -> None:
    models = registry(
        tmp_path,
        {"acme/large": remote("acme/small"), "acme/small": remote()},
        {"fast": "acme/small", "best": ("acme/large", "fast")},
    )
    assert models("").info.name == "acme/large"
    assert models("fast").info.name == "acme/small"
    assert models("best") is models("acme/large")
    assert [m.info.name for m in models.ways("", "acme/large")] == ["acme/small"]
    assert [m.info.name for m in models.ways("best", "acme/large")] == ["acme/small"]
    assert list(models.ways("best", "acme/small")) == []
    assert list(models.ways("", "gone")) == []
    with pytest.raises(NoDevice, match="fast"):
        models("nosuch")


@pytest.mark.parametrize(
    ("models", "aliases", "words"),
    [
        ({"m": remote("nosuch")}, {}, "models.m.fallbacks: there is no model 'nosuch'"),
        ({"m": remote()}, {"fast": "nosuch"}, "aliases.fast: there is no model 'nosuch'"),
        ({"m": remote()}, {"fast": "fast"}, "aliases.fast: there is no model 'fast'"),
        ({"m": remote()}, {"x": "y", "y": "x"}, "there is no model"),
        ({"m": remote()}, {"none": ()}, "aliases.none names no model"),
    ],
)
def test_names_that_mean_nothing(tmp_path, models, aliases, words) -> None:
    with pytest.raises(Invalid, match=words):
        registry(tmp_path, models, aliases)


def test_the_built_in_name_can_be_an_alias_of_another(tmp_path) -> None:
    models = registry(tmp_path, {"acme/large": remote()}, {"local": "acme/large"})
    assert models("local").info.name == "acme/large"


def test_it_is_read_from_the_file(tmp_path) -> None:
    (tmp_path / "config.toml").write_text(
        'default_model = "best"\n[aliases]\nbest = ["m", "local"]\nfast = "m"\n'
        '[models.m]\nbase_url = "http://127.0.0.1:9/v1"\nfallbacks = ["local"]\nkey = "acme"\n'
    )
    models = Models(load(tmp_path), tmp_path / "models")
    found = models("")
    assert found.info.name == "m"
    assert "here" in found.info.cans
    assert (found.info.slots, found.info.widest) == (4, 64)


def test_a_key_is_a_secret_of_its_host(tmp_path) -> None:
    asked = []

    def secret(name, host):
        asked.append((name, host))

    models = registry(tmp_path, {"acme/large": remote(key="acme", slots=3)}, secret=secret)
    model = models("acme/large")
    assert "here" not in model.info.cans
    assert (model.info.slots, model.info.widest) == (3, 3)

    async def ask() -> None:
        try:
            async for _ in model.generate(ModelRequest((say("user", "hello"),))):
                pass
        finally:
            await model.close()

    with pytest.raises(NotAuthorized, match=r"oros secret set acme --host api\.example\.com"):
        asyncio.run(ask())
    assert asked == [("acme", "api.example.com")]


def able(name: str, *cans: str, window: int = 8000, price=(1, 2, 0)) -> ScriptedModel:
    return ScriptedModel([], ModelInfo(name, window, 1, frozenset(cans), price))


PLAIN, EYES, WIDE = (
    able("plain", "tools"),
    able("eyes", "tools", "image"),
    able("wide", window=99000),
)


def test_a_program_gets_a_model_that_has_what_it_needs() -> None:
    others = [WIDE, EYES]
    assert suited(PLAIN, Program("p", "", "steps", ""), "", others) is PLAIN
    seeing = Program("p", "", "steps", "", needs=("sight",))
    assert suited(PLAIN, seeing, "", others) is EYES
    assert suited(PLAIN, Program("p", "", "steps", "", window=50000), "", others) is WIDE
    cheap = Program("p", "", "steps", "", price=1)
    free = able("free", price=(0, 0, 0))
    assert (
        suited(PLAIN, cheap, "", [able("dear", price=(1, 9, 0)), able("?", price=None), free])
        is free
    )


def test_what_is_lacking_is_said() -> None:
    seeing = Program("look", "", "steps", "", needs=("sight", "hearing"), window=9000)
    with pytest.raises(Unsupported, match="look needs sight, hearing, a window of 9000 tokens"):
        suited(PLAIN, seeing, "", [])
    with pytest.raises(Unsupported, match="models that have: eyes"):
        suited(PLAIN, Program("p", "", "steps", "", needs=("sight",)), "plain", [EYES])


def test_nothing_leaves_the_machine_unsaid(tmp_path) -> None:
    """A model that is here is changed for one that is not only if an alias or the list names it."""
    here, seeing = able("box", "here"), Program("p", "", "steps", "", needs=("sight",))
    far = {"acme/eyes": remote(cans=("image",))}
    with pytest.raises(Unsupported):
        registry(tmp_path, far, default="local").suited(here, seeing, "")
    said = registry(tmp_path, far, {"eyes": "acme/eyes"}, default="local")
    assert said.suited(here, seeing, "").info.name == "acme/eyes"
    away = able("other")
    assert (
        registry(tmp_path, far, default="local").suited(away, seeing, "").info.name == "acme/eyes"
    )
