"""The driver for Ollama's own API: the conformance suite, and a window that is never cut unseen."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.drivers.models.chatlines import SHOW, OllamaDialect, own
from tests.drivers.models.conformance import Conformance
from tests.drivers.models.playing import GO, Cases, answer, asking, served
from tests.drivers.models.served import Counts, Fault, Turn

from oros.abi.errors import Busy, NoDevice, TooBig, Unsupported
from oros.abi.message import say
from oros.abi.ports import ModelInfo
from oros.drivers.frames import Lines
from oros.drivers.models.ollama.dialect import Ollama, check, fits
from oros.drivers.models.ollama.driver import OllamaModel, window_of

LONG = "the quick brown fox jumps over the lazy dog. " * 500
TOKENS = 5000
"""About what LONG is, by any tokenizer."""


def make(url, info, key, idle):
    return OllamaModel(
        "acme/m", url, "there", info=info, key=key, idle=idle, how=Ollama(keep="10m")
    )


class TestOllama(Conformance):
    dialect = OllamaDialect(make)

    @served(window=16384)
    async def test_the_window_is_said_with_each_request(self, model, server) -> None:
        await answer(model, asking(seed=7, stop=("END",)))
        body = json.loads(server.requests[-1].body)
        assert body["options"]["num_ctx"] == 16384
        assert (body["options"]["seed"], body["options"]["stop"]) == (7, ["END"])
        assert body["keep_alive"] == "10m"

    @served(window=2048)
    async def test_a_prompt_over_the_window_is_not_sent(self, model, server) -> None:
        with pytest.raises(TooBig):
            await answer(model, asking(say("user", LONG)))
        assert server.requests == []

    @pytest.mark.parametrize(
        ("status", "why", "kind"),
        [
            (404, "model", NoDevice),
            (400, "tools", Unsupported),
            (503, "busy", Busy),
            (500, "memory", NoDevice),
        ],
    )
    @served
    async def test_errors_of_its_own(self, model, server, status, why, kind) -> None:
        server.turn = Fault("status", status, why)
        with pytest.raises(kind):
            await answer(model, asking(tools=(GO,)))


class TestWindows(Cases):
    """The model's own window, and servers that cut without a word."""

    dialect = OllamaDialect(make)

    @pytest.mark.parametrize("read", [900, 32768])
    @served
    async def test_a_prompt_that_was_cut_is_an_error(self, model, server, read) -> None:
        server.queue = [SHOW, Turn(("sure",), counts=Counts(read, 5))]
        with pytest.raises(TooBig, match="cut"):
            await answer(model, asking(say("user", LONG)))

    @served
    async def test_a_prompt_that_was_read_is_none(self, model, server) -> None:
        server.queue = [SHOW, Turn(("sure",), counts=Counts(TOKENS, 5))]
        assert (await answer(model, asking(say("user", LONG)))).whole == "sure"
        server.queue = [Turn(("again",), counts=Counts(TOKENS, 5))]
        assert (await answer(model, asking(say("user", LONG)))).whole == "again"
        assert [r.path for r in server.requests] == ["/api/show", "/api/chat", "/api/chat"]

    @served
    async def test_a_server_that_tells_nothing_is_asked_once(self, model, server) -> None:
        server.queue = [Fault("status", 500), Turn(("sure",), counts=Counts(TOKENS, 5))]
        assert (await answer(model, asking(say("user", LONG)))).whole == "sure"
        await answer(model, asking())
        assert [r.path for r in server.requests] == ["/api/show", "/api/chat", "/api/chat"]

    @served
    async def test_the_models_own_window_counts_if_it_is_smaller(self, model, server) -> None:
        server.dialect = OllamaDialect(make)
        server.dialect.window = 4096
        server.queue = [SHOW]
        with pytest.raises(TooBig, match="4096"):
            await answer(model, asking(say("user", LONG)))
        assert model.info.window == 4096
        await answer(model, asking())
        assert json.loads(server.requests[-1].body)["options"]["num_ctx"] == 4096


@pytest.mark.parametrize(
    ("shown", "window"),
    [
        (own(4096), 4096),
        ({}, None),
        (None, None),
        ([1], None),
        ({"model_info": [1]}, None),
        ({"model_info": None}, None),
        (own("x"), None),
        (own(0), None),
    ],
)
def test_what_a_server_tells_of_a_window(shown, window) -> None:
    assert window_of(shown) == window


@given(st.text(max_size=3000), st.integers(1, 5))
def test_whoever_reads_as_tokenizers_do_is_not_accused(text, characters) -> None:
    text *= 10
    info = ModelInfo("m", 1 << 20)
    check(len(text) // characters + 1, asking(say("user", text)), info)


@given(st.integers(0, 200))
def test_what_fits_is_sent_and_what_does_not_is_not(words) -> None:
    info = ModelInfo("m", 100)
    request = asking(say("user", "four" * words))
    if words * 4 * 10 // 32 + 1 > 100:
        with pytest.raises(TooBig):
            fits(request, info)
    else:
        fits(request, info)


@given(
    st.lists(st.binary(min_size=1, max_size=30).filter(lambda b: not {10, 13} & {*b})), st.data()
)
def test_lines_come_out_however_the_bytes_are_cut(datas, data) -> None:
    ends = st.sampled_from([b"\n", b"\r\n", b"\n\n"])
    stream = b"".join(d + data.draw(ends) for d in datas)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    lines, found = Lines(), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += lines.feed(stream[start:end])
    assert found == datas
    assert not lines.begun
