"""The driver of Chat Completions: the suite of its port on several platforms, and odd servers."""

import json
from dataclasses import replace

import pytest
from tests.drivers.models.chat import ChatDialect
from tests.drivers.models.conformance import Conformance
from tests.drivers.models.playing import INFO, LOOK, SCHEMA, Cases, answer, asking, served
from tests.drivers.models.responses import ResponsesDialect
from tests.drivers.models.served import Counts, Fault, Turn

from oros.abi.errors import BadReply, Busy, NoDevice, NotAuthorized, OrosError, Unsupported
from oros.abi.message import Ask, ImagePart, Message, ReasoningPart, TextPart, say
from oros.abi.ports import ModelRequest
from oros.drivers.models.openai.chat import Chat
from oros.drivers.models.openai.driver import OpenAIModel, ResponsesModel
from oros.drivers.models.openai.quirks import PLATFORMS, quirks_of
from oros.paging.draft import Draft


def maker(platform: str = ""):
    def make(url, info, key, idle):
        base = f"{url}/v1"
        return OpenAIModel(
            info.name, base, "there", info=info, key=key, idle=idle, platform=platform
        )

    return make


class TestGeneric(Conformance):
    dialect = ChatDialect(maker())


class TestOpenAI(Conformance):
    dialect = ChatDialect(maker("openai"), "openai", without="resume")


class TestVllm(Conformance):
    dialect = ChatDialect(maker("vllm"), "vllm", "reasoning")


class TestDeepSeek(Conformance):
    dialect = ChatDialect(maker("deepseek"), "deepseek", "reasoning_content", without="schema")


class TestMistral(Conformance):
    dialect = ChatDialect(maker("mistral"), "mistral", "thinking", without="named")


class TestOpenRouter(Conformance):
    dialect = ChatDialect(maker("openrouter"), "openrouter", "reasoning_details", more="sealed")


class OddServer(Cases):
    """Cases of servers that do things in their own way."""

    dialect = ChatDialect(maker())


def body(request: ModelRequest, platform: str = "generic", **changes) -> dict:
    info = replace(INFO, **changes)
    return Chat(PLATFORMS[platform], "m").body(request, "m", info)


# ---- quirks --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("platform", "url", "found"),
    [
        ("", "https://api.openai.com/v1", "openai"),
        ("", "https://eu.api.mistral.ai/v1", "mistral"),
        ("", "https://notapi.x.ai.example.com/v1", "generic"),
        ("", "https://evil-api.x.ai/v1", "generic"),
        ("", "http://127.0.0.1:8000/v1", "generic"),
        ("", "http://[broken", "generic"),
        ("vllm", "https://api.openai.com/v1", "vllm"),
    ],
)
def test_the_platform_is_named_or_known_by_its_host(platform, url, found) -> None:
    assert quirks_of(platform, url).platform == found


def test_an_unknown_platform_is_refused_with_the_known_ones() -> None:
    with pytest.raises(NoDevice, match="mistral"):
        OpenAIModel("m", "http://127.0.0.1:1/v1", platform="mistrall")


def test_the_limit_has_the_platforms_name() -> None:
    for name, quirks in PLATFORMS.items():
        sent = body(asking(max_tokens=7), name)
        assert sent[quirks.limit] == 7
        assert ("max_tokens" in sent) != ("max_completion_tokens" in sent)


def test_what_a_platform_does_not_take_is_not_sent() -> None:
    request = asking(seed=3, nice=1, affinity="7", grammar="root ::= x")
    mistral = body(request, "mistral")
    assert mistral["random_seed"] == 3
    assert not {"seed", "stream_options", "priority", "prompt_cache_key", "grammar"} & set(mistral)
    assert "seed" not in body(request, "deepseek")
    assert body(request, "llama.cpp")["grammar"] == "root ::= x"
    assert body(request, "xai")["prompt_cache_key"] == "oros-7"


@pytest.mark.parametrize(
    ("platform", "keys"),
    [
        ("openai", ["oros-7", "oros-7", "oros-3:beef"]),
        ("xai", ["oros-7/8", "oros-7/9", "oros-3:beef"]),
        ("generic", [None, None, None]),
    ],
)
@pytest.mark.parametrize("dialect", [ChatDialect, ResponsesDialect])
def test_what_begins_alike_is_sent_with_one_key(platform, keys, dialect) -> None:
    """Whole requests, as a server gets them."""
    kind = {ChatDialect: OpenAIModel, ResponsesDialect: ResponsesModel}[dialect]

    def make(url, info, key, idle):
        return kind(info.name, f"{url}/v1", "m", info=info, key=key, idle=idle, platform=platform)

    class Case(Cases):
        @served
        async def sent(self, model, server):
            for who in ("7/8", "7/9", "3:beef"):
                await answer(model, asking(affinity=who))
            sent = [json.loads(r.body).get("prompt_cache_key") for r in server.requests]
            assert sent == keys

    Case.dialect = dialect(make)
    Case().sent()


def test_background_work_gives_way_at_servers_that_have_priorities() -> None:
    assert "priority" not in body(asking(nice=0), "vllm")
    assert body(asking(nice=1), "vllm")["priority"] > 0  # lower comes first there
    assert body(asking(nice=1), "sglang")["priority"] < 0  # and here higher does


def test_a_schema_is_strict_only_if_it_can_be() -> None:
    def sent(schema, platform="openai"):
        return body(asking(schema=schema), platform)["response_format"]["json_schema"]

    assert sent(SCHEMA)["strict"] is True
    open_one = {"type": "object", "properties": {"n": {"type": "integer"}}}
    assert sent(open_one)["strict"] is False
    nested = {**SCHEMA, "properties": {"n": {"type": "array", "items": open_one}}}
    assert sent(nested)["strict"] is False
    assert "strict" not in sent(SCHEMA, "vllm")


def test_how_a_partial_answer_is_gone_on_with() -> None:
    part = Message("assistant", (TextPart("so fa"),), partial=True)
    request = asking(say("user", "sing"), part)
    assert body(request, "mistral")["messages"][-1]["prefix"] is True
    vllm = body(request, "vllm")
    assert (vllm["continue_final_message"], vllm["add_generation_prompt"]) == (True, False)
    assert body(request, "generic")["messages"][-1] == {"role": "assistant", "content": "so fa"}


def test_calls_have_ids_that_mistral_takes() -> None:
    ask = Ask("call_that_is_long", "look", {})
    result = Message("tool", (TextPart("7"),), answers=ask.id)
    told = body(asking(say("user", "x"), Message("assistant", (), (ask,)), result), "mistral")
    mark = told["messages"][1]["tool_calls"][0]["id"]
    assert len(mark) == 9
    assert mark.isalnum()
    assert told["messages"][2]["tool_call_id"] == mark


def test_deepseek_is_owed_the_thoughts_of_turns_with_calls() -> None:
    ask = Ask("k", "look", {})
    turns = (say("user", "x"), Message("assistant", (TextPart("I look"),), (ask,)))
    told = body(asking(*turns, Message("tool", (TextPart("7"),), answers="k")), "deepseek")
    assert told["messages"][1]["reasoning_content"] == ""


def test_thoughts_of_another_model_of_the_platform_stay_here() -> None:
    mine = ReasoningPart("mine", "vllm/m")
    other = ReasoningPart("another's", "vllm/other")
    turn = Message("assistant", (mine, other, TextPart("four")))
    told = body(asking(say("user", "x"), turn, say("user", "y")), "vllm")
    assert told["messages"][1] == {"role": "assistant", "content": "four", "reasoning": "mine"}


def test_pictures_of_tools_come_after_all_results() -> None:
    asks = (Ask("a", "look", {}), Ask("b", "look", {}))
    picture = ImagePart("png", "image/png", "a cat")
    told = body(
        asking(
            say("user", "x"),
            Message("assistant", (), asks),
            Message("tool", (TextPart("see: "), picture), answers="a"),
            Message("tool", (TextPart("none"),), answers="b"),
            say("assistant", "a cat"),
        )
    )["messages"]
    roles = ["user", "assistant", "tool", "tool", "user", "assistant"]
    assert [m["role"] for m in told] == roles
    assert told[2]["content"] == "see: [shown below]"
    assert [p["type"] for p in told[4]["content"]] == ["text", "image_url"]


# ---- servers that refuse, and servers that are odd -----------------------------------------------


def refusing(error: dict, status: int = 400):
    """A dialect whose first answer is this refusal."""

    class Refusing(ChatDialect):
        def error(self, _: int, why: str) -> bytes:
            return json.dumps(error).encode()

    return Refusing(maker()), Fault("status", status)


class TestKept(Cases):
    """A conversation has a key, for servers that keep its prefix by one."""

    dialect = ChatDialect(maker("xai"), "xai")

    @served
    async def test_who_asks_goes_with_the_request(self, model, server) -> None:
        await answer(model, asking(affinity="7"))
        assert json.loads(server.requests[-1].body)["prompt_cache_key"] == "oros-7"


REFUSALS = [
    ({"error": {"message": "Unsupported parameter: 'temperature' is not supported with this model.",
                "param": "temperature", "code": "unsupported_parameter"}}, 400, "temperature"),
    ({"object": "error", "message": {"detail": [{"type": "extra_forbidden",
      "loc": ["body", "stream_options", "include_usage"],
      "msg": "Extra inputs are not permitted"}]}}, 422, "stream_options"),
    ({"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"],
                  "msg": "Extra inputs are not permitted"}]}, 422, "seed"),
    ({"error": {"message": "Got priority 1 but Priority scheduling is not enabled."}}, 400,
     "priority"),
    ({"error": {"message": "Unrecognized request argument supplied: stop"}}, 400, "stop"),
    ({"error": {"message": "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens'.",
                "param": "max_tokens"}}, 400, "max_tokens"),
]  # fmt: skip


@pytest.mark.parametrize(("error", "status", "name"), REFUSALS, ids=[r[2] for r in REFUSALS])
def test_what_a_server_refuses_is_left_out_from_then_on(error, status, name) -> None:
    class Case(OddServer):
        dialect, fault = refusing(error, status)

        @served
        async def play(self, model, server) -> None:
            model._dialect.quirks = replace(model._dialect.quirks, nice=1)
            server.queue = [self.fault]
            request = asking(seed=3, stop=("END",), nice=1, max_tokens=9)
            server.turn = Turn(("one ", "two E", "ND three"))
            for count in (2, 3):
                draft = await answer(model, request)
                assert len(server.requests) == count
            sent = [json.loads(r.body) for r in server.requests]
            assert name in sent[0]
            assert name not in sent[1]
            assert name not in sent[2]
            assert server.heard.most == 9
            if name == "stop":
                assert draft.whole == "one two "

    Case().play()


@pytest.mark.parametrize(
    ("times", "error"),
    [
        (1, {"message": "response_format is not supported by this model"}),
        (1, {"message": "json_schema can't go with tools", "param": "response_format"}),
        (2, {"message": "Invalid schema for response_format 'x'", "param": "response_format"}),
    ],
)
def test_a_schema_that_a_server_refuses_is_told_in_words(times, error) -> None:
    class Case(OddServer):
        dialect, fault = refusing({"error": error})

        @served
        async def play(self, model, server) -> None:
            server.queue = [self.fault] * times
            await answer(model, asking(schema=SCHEMA, tools=(LOOK,)))
            first, *_, last = (json.loads(r.body) for r in server.requests)
            assert [first["response_format"]["json_schema"]["schema"], last["tools"]] == [
                SCHEMA,
                first["tools"],
            ]
            assert len(server.requests) == times + 1  # one that is only not strict before it
            assert "response_format" not in last
            assert last["messages"][0]["role"] == "system"
            assert json.dumps(SCHEMA) in last["messages"][0]["content"]

    Case().play()


def test_a_server_that_refuses_everything_is_given_up() -> None:
    class Case(OddServer):
        dialect, fault = refusing({"error": {"message": "bad", "param": "temperature"}})

        @served
        async def play(self, model, server) -> None:
            server.turn = self.fault
            with pytest.raises(NoDevice):
                await answer(model, asking())
            assert len(server.requests) < 20

    Case().play()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}},
         NotAuthorized),
        ({"error": {"message": "slow down", "type": "requests"}}, Busy),
    ],
)  # fmt: skip
def test_no_credit_is_no_rate_limit(error, kind) -> None:
    class Case(OddServer):
        dialect, fault = refusing(error, 429)

        @served
        async def play(self, model, server) -> None:
            server.turn = self.fault
            with pytest.raises(OrosError) as caught:
                await answer(model, asking())
            assert type(caught.value) is kind

    Case().play()


def chunks(*deltas, finish="stop", usage=None):
    """The draft that comes of these deltas."""
    fold = Chat(PLATFORMS["generic"], "m").fold(asking(), INFO)
    draft = Draft()
    for delta in deltas:
        draft.take(fold.take(json.dumps({"choices": [{"delta": delta}]}).encode()))
    last = {"choices": [{"delta": {}, "finish_reason": finish}], "usage": usage}
    draft.take(fold.take(json.dumps(last).encode()))
    draft.take([fold.end()])
    return draft


def call(index, mark, name, args):
    function = {"name": name, "arguments": args}
    return {"tool_calls": [{"index": index, "id": mark, "function": function}]}


def test_whole_calls_that_all_have_one_index_are_kept_apart() -> None:
    draft = chunks(call(0, "a", "look", '{"x": "1"}'), call(0, "b", "look", '{"x": "2"}'))
    assert [a.args for a in draft.asked()] == [{"x": "1"}, {"x": "2"}]
    assert draft.finish == "calls"


def test_a_name_that_is_said_with_each_piece_is_said_once() -> None:
    pieces = (call(0, "a", "look", '{"x": '), call(0, "a", "look", '"1"}'))
    assert [(a.name, a.args) for a in chunks(*pieces).asked()] == [("look", {"x": "1"})]


def test_calls_without_ids_or_numbers() -> None:
    one = {"tool_calls": [{"function": {"name": "go", "arguments": ""}}]}
    draft = chunks(one)
    assert [(a.name, a.args) for a in draft.asked()] == [("go", {})]
    assert draft.asked()[0].id


def test_a_refusal_is_heard() -> None:
    assert chunks({"refusal": "I can't help "}, {"refusal": "with that"}).whole == (
        "I can't help with that"
    )


def test_a_filter_that_lets_nothing_be_said_is_an_error() -> None:
    assert chunks({"content": "so "}, finish="content_filter").whole == "so "
    with pytest.raises(Unsupported):
        chunks(finish="content_filter")


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        ({"prompt_tokens": 9, "completion_tokens": 4, "prompt_cache_hit_tokens": 5},
         Counts(9, 4, 5)),
        ({"prompt_tokens": 9, "completion_tokens": 4, "cached_tokens": 5}, Counts(9, 4, 5)),
        ({"prompt_tokens": 9, "completion_tokens": 4,
          "prompt_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 3}},
         Counts(9, 4, 5, 3)),
        ({"prompt_tokens": 9, "completion_tokens": 4, "prompt_tokens_details": None,
          "completion_tokens_details": {"reasoning_tokens": 2}}, Counts(9, 4, 0, 0, 2)),
        ({"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 99}}, Counts(9, 0, 9)),
    ],
)  # fmt: skip
def test_what_servers_call_their_counts(usage, counts) -> None:
    used = chunks({"content": "x"}, usage=usage).usage
    found = (used.tokens_in, used.tokens_out, used.cached, used.written, used.reasoning)
    assert Counts(*found) == counts
    assert used.micros == INFO.cost(used) > 0


def test_thoughts_that_are_counted_apart_are_paid_for() -> None:
    fold = Chat(PLATFORMS["xai"], "m").fold(asking(), INFO)
    usage = {"prompt_tokens": 9, "completion_tokens": 4}
    usage["completion_tokens_details"] = {"reasoning_tokens": 20}
    fold.take(json.dumps({"choices": [{"finish_reason": "stop"}], "usage": usage}).encode())
    assert (fold.end().usage.tokens_out, fold.end().usage.reasoning) == (24, 20)


@pytest.mark.parametrize(
    "chunk",
    [
        b"[" * 100_000,
        b"[1]",
        b'{"choices":7}',
        b'{"choices":["x"]}',
        b'{"choices":[{"delta":{"content":7}}]}',
        b'{"choices":[{"delta":{"content":[7]}}]}',
        b'{"choices":[{"delta":{"content":[{"type":"thinking","thinking":"x"}]}}]}',
        b'{"choices":[{"delta":{"tool_calls":{"index":0}}}]}',
        b'{"choices":[{"delta":{"tool_calls":[{"index":"first"}]}}]}',
        b'{"choices":[{"delta":{"tool_calls":[{"function":{"arguments":{"x":1}}}]}}]}',
        b'{"choices":[{"delta":{"reasoning_details":[7]}}]}',
        b'{"choices":[],"usage":{"prompt_tokens":"many"}}',
        b'{"choices":[],"usage":[1]}',
        b"\xff\xfe",
    ],
)
def test_what_is_no_chunk_is_a_bad_reply(chunk) -> None:
    with pytest.raises(BadReply):
        Chat(PLATFORMS["generic"], "m").fold(asking(), INFO).take(chunk)
