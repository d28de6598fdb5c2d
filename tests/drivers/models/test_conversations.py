"""Whatever was said, by whichever models: each platform takes it, and nothing of it is lost."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.drivers.models.chat import ChatDialect
from tests.drivers.models.chatlines import OllamaDialect
from tests.drivers.models.generate import GenerateDialect
from tests.drivers.models.messages import MessagesDialect
from tests.drivers.models.playing import BLOBS, INFO
from tests.drivers.models.responses import ResponsesDialect
from tests.drivers.models.served import Request

from oros.abi.message import Ask, ImagePart, Message, ReasoningPart, TextPart, say
from oros.abi.ports import ModelRequest, ToolSpec
from oros.drivers.models.anthropic.dialect import Anthropic
from oros.drivers.models.gemini.dialect import Gemini
from oros.drivers.models.ollama.dialect import Ollama
from oros.drivers.models.openai.chat import Chat
from oros.drivers.models.openai.quirks import PLATFORMS
from oros.drivers.models.openai.responses import Responses
from oros.drivers.streaming import encoded

NAMES = ["look", "mail.send", "mail_send", "mail-send", "käse", "x" * 80]
TOOLS = tuple(ToolSpec(n, "Does.", {"type": "object", "properties": {}}) for n in NAMES)
TEXTS = st.text(max_size=12) | st.just(" \n")
PICTURE = ImagePart("png", "image/png", "a cat")
SEAL = {"signature": "c2VhbA==", "chars": 2, "asks": 1}
ITEM = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "c2VhbA=="}
THOUGHTS = st.sampled_from(
    [
        ReasoningPart("hm", "anthropic:there", json.dumps(SEAL)),
        ReasoningPart(
            "", "anthropic:there", json.dumps({"data": "c2VhbA==", "chars": 0, "asks": 0})
        ),
        ReasoningPart("hm", "anthropic:elsewhere", json.dumps(SEAL)),
        ReasoningPart("cut", "anthropic:there"),
        ReasoningPart("", "gemini", json.dumps({"at": 0, "signature": "c2VhbA=="})),
        ReasoningPart(
            "", "gemini", json.dumps({"at": "text", "signature": "c2VhbA==", "from": 1, "to": 3})
        ),
        ReasoningPart("hm", "ollama"),
        ReasoningPart("hm", "openai/gpt", '{"type": "reasoning"}'),
        ReasoningPart("hm", "openai/there", json.dumps(ITEM)),
        ReasoningPart("hm", "deepseek/there"),
        ReasoningPart("hm", "mistral/there"),
        ReasoningPart("", "openrouter/there", json.dumps([{"text": "hm", "signature": "x"}])),
    ]
)
ARGS = st.dictionaries(st.text(max_size=3), st.integers(), max_size=2) | st.just("{not json")


BASES = {"gemini": "/v1beta", **dict.fromkeys(PLATFORMS, "/v1")}


@st.composite
def turns(draw) -> list[Message]:
    """A user's words, what a model answered, and what came of its calls."""
    said = [TextPart(draw(TEXTS)), *draw(st.lists(st.just(PICTURE), max_size=1))]
    thoughts = draw(st.lists(THOUGHTS, max_size=2, unique_by=lambda p: p.by))
    ids = draw(st.lists(st.sampled_from(["a", "t1:c0", "call-0", "ü"]), max_size=3, unique=True))
    asks = tuple(Ask(i, draw(st.sampled_from(NAMES)), draw(ARGS)) for i in ids)
    text = draw(TEXTS)
    words = [TextPart(text)] if text or not asks else []
    found = [
        Message("user", (TextPart("go"), *said)),
        Message("assistant", (*thoughts, *words), asks),
    ]
    for ask in asks:
        parts = [TextPart(draw(TEXTS)), *draw(st.lists(st.just(PICTURE), max_size=1))]
        found.append(Message("tool", tuple(parts), answers=ask.id))
    return found


@st.composite
def conversations(draw) -> tuple[Message, ...]:
    found = [m for turn in draw(st.lists(turns(), max_size=4)) for m in turn]
    end = [say("user", "so?")]
    if draw(st.booleans()):
        end.append(Message("assistant", (TextPart(draw(TEXTS)),), partial=True))
    return (say("system", draw(TEXTS)), *found, *end)


@pytest.mark.parametrize(
    ("spoken", "said"),
    [
        (MessagesDialect(None), Anthropic("there")),
        (GenerateDialect(None), Gemini()),
        (OllamaDialect(None), Ollama()),
        (ResponsesDialect(None), Responses(PLATFORMS["openai"], "there")),
        (ChatDialect(None, "openai"), Chat(PLATFORMS["openai"], "there")),
        (ChatDialect(None, "deepseek", "reasoning_content"), Chat(PLATFORMS["deepseek"], "there")),
        (ChatDialect(None, "mistral", "thinking"), Chat(PLATFORMS["mistral"], "there")),
        (
            ChatDialect(None, "openrouter", "reasoning_details"),
            Chat(PLATFORMS["openrouter"], "there"),
        ),
    ],
    ids=lambda x: getattr(x, "platform", ""),
)
@given(conversations())
def test_each_platform_takes_what_was_said(spoken, said, messages) -> None:
    request = ModelRequest(messages, TOOLS, fetch=BLOBS.__getitem__)
    body = encoded(said.body(request, "there", INFO))
    base = BASES.get(spoken.platform, "")
    headers = {k.lower(): v for k, v in said.headers("k").items()}
    heard = spoken.heard(Request(base + said.path("there"), headers, body))
    assert len(heard.tools) == len(TOOLS), "no two tools have one name"
    asks = [a for m in messages for a in m.asks]
    calls = [c for m in heard.messages for c in m.calls]
    assert len(calls) == len(asks)
    marks = [c.id for c in calls]
    assert len(set(marks)) == len(marks)
    assert [m.answers for m in heard.messages if m.answers] == marks
    text = "".join(m.text for m in heard.messages if m.role != "system")
    for message in messages[1:]:
        assert message.text.strip() in text or not message.text.strip()
