"""The dialects, pure: nothing but our own errors for any body; answers come back as they went."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oros.abi.errors import Invalid, TooBig, Unsupported
from oros.abi.grants import Usage
from oros.abi.ids import Pid
from oros.abi.message import Ask, ReasoningPart
from oros.abi.ports import Progress, ReasoningDelta, TextDelta
from oros.gate.dialects import embeddings, ollama
from oros.gate.dialects.chat import Chat
from oros.gate.dialects.messages import Messages
from oros.gate.dialects.responses import Responses
from oros.services.doors.wanted import Begun, Said, Wanted

DIALECTS = [Chat(), Responses(), Messages(), ollama.Chat(), ollama.Generate()]
NAMED = ["chat", "responses", "messages", "ollama", "generate"]
EACH = pytest.mark.parametrize("dialect", DIALECTS, ids=NAMED)
BEGUN, WANTED = Begun(Pid(7), 1000.5), Wanted("m", (), usage=True)

SIMPLE = st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.text(max_size=8)
KEYS = st.sampled_from(
    [
        "role",
        "content",
        "type",
        "text",
        "image_url",
        "url",
        "input",
        "source",
        "data",
        "media_type",
        "tool_calls",
        "function",
        "id",
        "name",
        "arguments",
        "tool_call_id",
        "call_id",
        "output",
        "input_audio",
        "format",
        "schema",
        "json_schema",
        "output_format",
        "encrypted_content",
        "summary",
        "signature",
        "thinking",
        "tool_use_id",
        "input_schema",
        "parameters",
        "images",
        "tool_name",
    ]
)
WORDS = st.sampled_from(
    [
        "user",
        "assistant",
        "system",
        "tool",
        "message",
        "function",
        "function_call",
        "function_call_output",
        "reasoning",
        "text",
        "input_text",
        "input_image",
        "image_url",
        "image",
        "input_audio",
        "tool_use",
        "tool_result",
        "thinking",
        "required",
        "any",
        "redacted_thinking",
        "json_schema",
        "json_object",
        "auto",
        "none",
        "data:image/png;base64,AAAA",
        "base64",
    ]
)
VALUES = st.recursive(
    SIMPLE | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=12,
)
FIELDS = st.sampled_from(
    [
        "model",
        "messages",
        "input",
        "system",
        "instructions",
        "tools",
        "tool_choice",
        "response_format",
        "text",
        "max_tokens",
        "max_output_tokens",
        "temperature",
        "stop",
        "stop_sequences",
        "seed",
        "stream",
        "stream_options",
        "metadata",
        "n",
        "output_config",
        "output_format",
        "thread",
        "previous_response_id",
        "encoding_format",
        "format",
        "options",
        "prompt",
        "images",
    ]
)
BODIES = st.dictionaries(FIELDS, VALUES, max_size=8)


@EACH
@given(body=BODIES, turns=st.lists(VALUES, max_size=3))
def test_any_body_is_a_request_or_an_error_of_ours(dialect, body, turns) -> None:
    for fields in (
        body,
        {"model": "m", "max_tokens": 5, **body, "messages": turns, "input": turns, "images": turns},
    ):
        try:
            wanted = dialect.asked(fields)
        except (Invalid, Unsupported):
            continue
        assert wanted.messages or isinstance(dialect, ollama.Ollama)  # there, it loads a model
        known = {a.id for m in wanted.messages for a in m.asks}
        assert {m.answers for m in wanted.messages if m.role == "tool"} <= known
        blobs = {p.blob for m in wanted.messages for p in m.parts if p.kind in ("image", "audio")}
        assert blobs == set(wanted.blobs)


@given(body=BODIES | st.fixed_dictionaries({"input": VALUES}))
def test_any_body_for_vectors_too(body) -> None:
    for asked in (embeddings.asked, ollama.texts):
        try:
            _, texts, _ = asked(body)
        except Invalid:
            continue
        assert texts
        assert all(isinstance(t, str) for t in texts)


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NAMES = st.text("abcdefgh_", min_size=1, max_size=8)
ARGS = st.dictionaries(NAMES, st.integers() | TEXTS, max_size=3)
ASKS = st.lists(st.builds(Ask, NAMES, NAMES, ARGS), max_size=3, unique_by=lambda a: a.id)
THOUGHTS = st.lists(st.builds(ReasoningPart, TEXTS, NAMES, NAMES), max_size=2)


@st.composite
def answers(draw):
    """A whole answer, and the steps that it came in."""
    pieces = draw(st.lists(TEXTS.filter(bool), max_size=4))
    thoughts, asks = tuple(draw(THOUGHTS)), tuple(draw(ASKS))
    finish = "calls" if asks else draw(st.sampled_from(["stop", "length"]))
    used = Usage(*(draw(st.integers(0, 99)) for _ in range(3)))
    said = Said("".join(pieces), thoughts, asks, finish, used)
    steps = [ReasoningDelta(n, t.thought, t.by, t.opaque) for n, t in enumerate(thoughts)]
    return said, [Progress("reads", 1, 2), *steps, *(TextDelta(p) for p in pieces)]


def frames(data: bytes) -> list:
    """Server-sent events: their data; or lines of JSON."""
    if data.startswith(b"{"):
        return [json.loads(x) for x in data.splitlines()]
    found = []
    for block in data.decode().split("\n\n"):
        lines = [x.removeprefix("data: ") for x in block.split("\n") if x.startswith("data: ")]
        found += [json.loads(x) for x in lines if x != "[DONE]"]
    return found


def streamed(dialect, said: Said, steps) -> list:
    """All events of an answer as it comes."""
    stream = dialect.stream(BEGUN, WANTED)
    data = stream.begin() + stream.wait() + stream.take(BEGUN)
    return frames(data + b"".join(map(stream.take, steps)) + stream.end(said))


def chat_of(events):
    """What a client makes of the chunks."""
    text, thought, calls, finish = "", "", [], None
    for event in events:
        for choice in event["choices"]:
            delta, finish = choice["delta"], choice["finish_reason"] or finish
            text += delta.get("content") or ""
            thought += delta.get("reasoning_content") or ""
            calls += [(c["id"], c["function"]) for c in delta.get("tool_calls", [])]
    return text, thought, calls, finish, events[-1]["usage"]


@given(answers())
def test_a_streamed_chat_is_the_whole_one(answer) -> None:
    said, steps = answer
    whole = Chat().whole(BEGUN, WANTED, said)
    (choice,) = whole["choices"]
    message = choice["message"]
    calls = [(c["id"], c["function"]) for c in message.get("tool_calls", [])]
    thought = message.get("reasoning_content", "")
    expected = (message["content"] or "", thought, calls, choice["finish_reason"], whole["usage"])
    assert chat_of(streamed(Chat(), said, steps)) == expected


@given(answers())
def test_a_streamed_response_is_the_whole_one(answer) -> None:
    said, steps = answer
    events = streamed(Responses(), said, steps)
    whole = Responses().whole(BEGUN, WANTED, said)
    assert events[-1]["response"] == whole
    assert [e["sequence_number"] for e in events] == list(range(len(events)))
    done = [e["item"] for e in events if e["type"] == "response.output_item.done"]
    assert done == whole["output"]
    added = [e["output_index"] for e in events if e["type"] == "response.output_item.added"]
    assert added == list(range(len(done)))


def blocks_of(events) -> list:
    """What a client makes of the blocks."""
    found: list = []
    for event in events:
        if event["type"] == "content_block_start":
            assert event["index"] == len(found)
            found.append(dict(event["content_block"]))
        elif event["type"] == "content_block_delta":
            assert event["index"] == len(found) - 1
            delta, block = event["delta"], found[-1]
            match delta["type"]:
                case "text_delta":
                    block["text"] += delta["text"]
                case "thinking_delta":
                    block["thinking"] += delta["thinking"]
                case "signature_delta":
                    block["signature"] += delta["signature"]
                case "input_json_delta":
                    block["input"] = json.loads(delta["partial_json"])
    return found


@given(answers())
def test_a_streamed_message_is_the_whole_one(answer) -> None:
    said, steps = answer
    events = streamed(Messages(), said, steps)
    whole = Messages().whole(BEGUN, WANTED, said)
    plain = [{k: v for k, v in b.items() if k != "citations"} for b in whole["content"]]
    assert blocks_of(events) == plain
    starts = [e["type"] for e in events].count("content_block_start")
    assert starts == [e["type"] for e in events].count("content_block_stop")
    assert events[-2]["delta"]["stop_reason"] == whole["stop_reason"]
    assert events[-2]["usage"] == whole["usage"]


@given(answers())
def test_what_was_said_comes_back_as_it_was(answer) -> None:
    said, _ = answer
    hello = {"role": "user", "content": "hello"}
    chat = Chat().whole(BEGUN, WANTED, said)["choices"][0]["message"]
    items = Responses().whole(BEGUN, WANTED, said)["output"]
    blocks = Messages().whole(BEGUN, WANTED, said)["content"]
    turns = [
        Chat().asked({"model": "m", "messages": [hello, chat]}),
        Responses().asked({"model": "m", "input": [hello, *items]}),
        Messages().asked(
            {"model": "m", "max_tokens": 1, "messages": [hello, {"role": "assistant",
             "content": blocks}, hello]}
        ),
    ]  # fmt: skip
    for wanted in turns:
        mine = [m for m in wanted.messages if m.role == "assistant"]
        assert "".join(m.text for m in mine) == said.text
        assert tuple(a for m in mine for a in m.asks) == said.asks
    for wanted in turns[1:]:  # Chat Completions has no place for what a platform wants back
        parts = [p for m in wanted.messages for p in m.parts if p.kind == "reasoning"]
        assert tuple(parts) == said.thoughts


@pytest.mark.parametrize("dialect", [ollama.Chat(), ollama.Generate()], ids=NAMED[3:])
@given(answers())
def test_streamed_lines_are_the_whole_answer(dialect, answer) -> None:
    said, steps = answer
    whole, lines = dialect.whole(BEGUN, WANTED, said), streamed(dialect, said, steps)
    assert [x["done"] for x in lines] == [False] * (len(lines) - 1) + [True]
    pieces = [x.get("message") or {"content": x["response"], **x} for x in lines]
    one = whole.get("message") or {"content": whole["response"], **whole}
    assert "".join(p["content"] for p in pieces) == one["content"] == said.text
    assert "".join(p.get("thinking", "") for p in pieces) == one.get("thinking", "")
    if "message" in whole:
        calls = [c for p in pieces for c in p.get("tool_calls", [])]
        assert calls == one.get("tool_calls", [])
        assert [(c["function"]["name"], c["function"]["arguments"]) for c in calls] == [
            (a.name, a.args) for a in said.asks
        ]
    ends = {k: v for k, v in whole.items() if k not in ("message", "response", "thinking")}
    assert {k: v for k, v in lines[-1].items() if k not in ("message", "response")} == ends


@given(answers(), st.booleans(), st.randoms(use_true_random=False))
def test_answers_to_calls_find_them_with_ids_or_without(answer, ids, chance) -> None:
    said, _ = answer
    message = ollama.Chat().whole(BEGUN, WANTED, said)["message"]
    back = [{"role": "tool", "content": a.name, "tool_name": a.name} for a in said.asks]
    for row, ask in zip(back, said.asks, strict=True):
        row |= {"tool_call_id": ask.id} if ids else {}
    if not ids:
        for call in message.get("tool_calls", []):
            del call["id"]
    chance.shuffle(back)
    hello = {"role": "user", "content": "hello"}
    body = {"model": "m", "messages": [hello, message, *back, hello]}
    wanted = ollama.Chat().asked(body)
    asks = {a.id: a.name for m in wanted.messages for a in m.asks}
    told = [(m.text, m.answers) for m in wanted.messages if m.role == "tool"]
    assert [text for text, _ in told] == [asks[ident] for _, ident in told]
    assert sorted(asks) == sorted(ident for _, ident in told)


@EACH
def test_an_error_amid_a_stream_and_before_it(dialect) -> None:
    error = TooBig("too long", "shorter")
    stream = dialect.stream(BEGUN, WANTED)
    events = frames(stream.begin() + stream.take(TextDelta("a")) + stream.failed(error))
    assert "too long" in json.dumps(events[-1])
    assert "too long (shorter)" in json.dumps(dialect.error(error, 400))
