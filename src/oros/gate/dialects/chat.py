"""OpenAI's Chat Completions, as a server speaks it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from oros.abi.errors import Invalid, OrosError
from oros.abi.events import Finish
from oros.abi.grants import Usage
from oros.abi.message import Ask, Json, Message, Part, TextPart
from oros.abi.ports import ReasoningDelta, TextDelta, ToolSpec
from oros.gate.dialects.parts import (
    EVENTS,
    OBJECT,
    Blobs,
    Body,
    asks_of,
    chosen,
    event,
    listed,
    mapping,
    number,
    plain,
    refuse,
    spec,
    stops,
    text,
    whole,
)
from oros.services.doors.wanted import Begun, Said, Step, Wanted, arguments, filled

FINISH: dict[Finish, str] = {"stop": "stop", "length": "length", "calls": "tool_calls"}
PLAIN: dict[str, Sequence[Json]] = {
    "n": (1,),
    "logprobs": (False,),
    "audio": (),
    "modalities": (["text"],),
    "functions": ([],),
    "web_search_options": (),
}
"""Fields that would change the answer, with the values that don't."""
TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    404: "invalid_request_error",
    413: "invalid_request_error",
    429: "rate_limit_error",
}
CODES = {
    "E2BIG": "context_length_exceeded",
    "ENODEV": "model_not_found",
    "EAUTH": "invalid_api_key",
    "EDQUOT": "insufficient_quota",
    "EAGAIN": "rate_limit_exceeded",
}


class Chat:
    """The dialect."""

    mime = EVENTS

    def asked(self, body: Body) -> Wanted:
        """Raises: Invalid, Unsupported."""
        refuse(body, PLAIN)
        blobs = Blobs()
        rows = listed(body.get("messages"), "messages")
        messages = filled([message(m, f"messages[{n}]", blobs) for n, m in enumerate(rows)])
        tools, forced = offered(body)
        return Wanted(
            text(body.get("model"), "model"),
            messages,
            tools,
            forced,
            schema(body.get("response_format")),
            whole(body.get("max_completion_tokens") or body.get("max_tokens"), "max_tokens", 1),
            number(body.get("temperature"), "temperature"),
            whole(body.get("seed"), "seed"),
            stops(body.get("stop"), "stop"),
            body.get("stream") is True,
            mapping(body.get("stream_options") or {}, "stream_options").get("include_usage")
            is True,
            blobs.found,
        )

    def whole(self, begun: Begun, wanted: Wanted, said: Said) -> Json:
        """The answer."""
        found: dict[str, Json] = {
            "role": "assistant",
            "content": said.text or None,
            "refusal": None,
        }
        if thought := "".join(t.thought for t in said.thoughts):
            found["reasoning_content"] = thought
        if said.asks:
            found["tool_calls"] = [call(a.id, a.name, arguments(a)) for a in said.asks]
        finish = FINISH.get(said.finish, "stop")
        choice = {"index": 0, "message": found, "logprobs": None, "finish_reason": finish}
        head = {"id": name(begun), "object": "chat.completion", "created": int(begun.created)}
        return {**head, "model": wanted.model, "choices": [choice], "usage": usage(said.usage)}

    def stream(self, begun: Begun, wanted: Wanted) -> "ChatStream":
        """The answer as it comes."""
        return ChatStream(begun, wanted)

    def error(self, error: OrosError, status: int) -> Json:
        """An error."""
        why = error.why + (f" ({error.hint})" if error.hint else "")
        kind = TYPES.get(status, "server_error")
        return {"error": {"message": why, "type": kind, "param": None,
                          "code": CODES.get(error.code)}}  # fmt: skip


@dataclass(slots=True)
class ChatStream:
    """Chunks."""

    begun: Begun
    wanted: Wanted
    head: dict[str, Json] = field(init=False)

    def __post_init__(self) -> None:
        self.head = {
            "id": name(self.begun),
            "object": "chat.completion.chunk",
            "created": int(self.begun.created),
            "model": self.wanted.model,
        }

    def _chunk(self, delta: Json, finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return event(self.head | {"choices": [choice]})

    def begin(self) -> bytes:
        """Whose the words are."""
        return self._chunk({"role": "assistant", "content": ""})

    def take(self, step: Step) -> bytes:
        """Text, and thoughts as other servers of this dialect send them."""
        match step:
            case TextDelta(text=said):
                return self._chunk({"content": said})
            case ReasoningDelta(thought=thought) if thought:
                return self._chunk({"reasoning_content": thought})
            case _:
                return b""

    def wait(self) -> bytes:
        """A comment."""
        return b": wait\n\n"

    def end(self, said: Said) -> bytes:
        """The calls, why it ended, what it cost."""
        found = b"".join(
            self._chunk({"tool_calls": [{"index": n, **call(a.id, a.name, arguments(a))}]})
            for n, a in enumerate(said.asks)
        )
        found += self._chunk({}, FINISH.get(said.finish, "stop"))
        if self.wanted.usage:
            found += event(self.head | {"choices": [], "usage": usage(said.usage)})
        return found + b"data: [DONE]\n\n"

    def failed(self, error: OrosError) -> bytes:
        """An error where a chunk would stand."""
        return event(Chat().error(error, 500))


def name(begun: Begun) -> str:
    """The id of an answer: its process."""
    return f"chatcmpl-{begun.pid}"


def usage(used: Usage) -> Json:
    """What it cost, in tokens."""
    return {
        "prompt_tokens": used.tokens_in,
        "completion_tokens": used.tokens_out,
        "total_tokens": used.tokens,
        "prompt_tokens_details": {"cached_tokens": used.cached},
        "completion_tokens_details": {"reasoning_tokens": used.reasoning},
    }


def call(ident: str, tool: str, args: str) -> Json:
    """A call."""
    return {"id": ident, "type": "function", "function": {"name": tool, "arguments": args}}


def message(row: Body, where: str, blobs: Blobs) -> Message:
    """One message. Raises: Invalid, Unsupported."""
    parts = contents(row.get("content"), f"{where}.content", blobs)
    match row.get("role"):
        case "system" | "developer":
            return Message("system", parts)
        case "user":
            return Message("user", parts)
        case "assistant":
            calls = listed(row.get("tool_calls"), f"{where}.tool_calls")
            return Message("assistant", parts, tuple(asked(c, where) for c in calls))
        case "tool":
            ident = text(row.get("tool_call_id"), f"{where}.tool_call_id")
            return Message("tool", parts, answers=ident)
        case role:
            raise Invalid(f"{where}: there is no role {role!r}", "system, user, assistant, tool")


def asked(row: Body, where: str) -> Ask:
    """A call of an earlier turn. Raises: Invalid."""
    function = mapping(row.get("function"), f"{where}.tool_calls.function")
    return asks_of(function.get("name"), row.get("id"), function.get("arguments"), where)


def contents(value: Json, where: str, blobs: Blobs) -> tuple[Part, ...]:
    """Contents: a text, or parts. Raises: Invalid, Unsupported."""
    if value is None:
        return ()
    if isinstance(value, str):
        return plain(value, where)
    return tuple(part(p, f"{where}[{n}]", blobs) for n, p in enumerate(listed(value, where)))


def part(row: Body, where: str, blobs: Blobs) -> Part:
    """One part. Raises: Invalid, Unsupported."""
    match row.get("type"):
        case "text":
            return TextPart(text(row.get("text"), where))
        case "refusal":
            return TextPart(text(row.get("refusal"), where))
        case "image_url":
            return blobs.image(mapping(row.get("image_url"), where).get("url"), where)
        case "input_audio":
            sound = mapping(row.get("input_audio"), where)
            return blobs.sound(text(sound.get("format"), where), sound.get("data"), where)
        case "file":
            return blobs.file(mapping(row.get("file"), where), where)
        case kind:
            raise Invalid(f"{where}: parts of type {kind!r} are not known here")


def offered(body: Body) -> tuple[tuple[ToolSpec, ...], bool]:
    """The tools, and whether one must be called. Raises: Invalid."""
    tools = tuple(tool(t, f"tools[{n}]") for n, t in enumerate(listed(body.get("tools"), "tools")))
    match body.get("tool_choice"):
        case None | "auto":
            return tools, False
        case "none":
            return (), False
        case "required":
            return tools, bool(tools)
        case choice:
            wish = mapping(choice, "tool_choice")
            named = mapping(wish.get("function"), "tool_choice.function").get("name")
            return chosen(tools, text(named, "tool_choice"), "tool_choice"), True


def tool(row: Body, where: str) -> ToolSpec:
    """One tool. Raises: Invalid."""
    if row.get("type") != "function":
        raise Invalid(f"{where}: tools of type {row.get('type')!r} are not known here")
    function = mapping(row.get("function"), f"{where}.function")
    about, parameters = function.get("description"), function.get("parameters")
    return spec(function.get("name"), about, parameters, where)


def counted(body: Body) -> bool:
    """Whether a stream says at its end what it cost. Raises: Invalid."""
    options = mapping(body.get("stream_options") or {}, "stream_options")
    return options.get("include_usage") is True


def schema(wish: Json) -> Body | None:
    """The schema of the answer, if it has one. Raises: Invalid."""
    if wish is None:
        return None
    match mapping(wish, "response_format").get("type"):
        case "text":
            return None
        case "json_object":
            return OBJECT
        case "json_schema":
            inner = mapping(wish.get("json_schema"), "response_format.json_schema")
            return mapping(inner.get("schema"), "response_format.json_schema.schema")
        case kind:
            raise Invalid(f"response_format: there is no type {kind!r}")
