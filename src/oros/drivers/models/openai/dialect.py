"""Chat Completions: requests and chunks in this dialect, as values. Opens no connection."""

import json
from collections.abc import Mapping
from dataclasses import replace

from pydantic_core import from_json

from oros.abi.errors import BadReply, Busy, OrosError, TooBig
from oros.abi.events import Finish
from oros.abi.grants import Usage
from oros.abi.message import Ask, Json, Message, stands
from oros.abi.ports import AskDelta, Delta, Finished, ModelInfo, ModelRequest, TextDelta

GO_ON = "Go on exactly where you stopped; repeat nothing."
SLACK = 4096
"""Pieces or characters over the limit that a server may count otherwise than we do."""

FINISHES: dict[str, Finish] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "calls",
    "function_call": "calls",
    "content_filter": "stop",
}


def body_of(request: ModelRequest, model: str, info: ModelInfo) -> dict[str, Json]:
    """The body of a request."""
    messages = [told(m) for m in request.messages]
    last = request.messages[-1]
    if last.role == "assistant" and last.partial and "resume" not in info.cans:
        messages.append({"role": "user", "content": GO_ON})
    body: dict[str, Json] = {
        "model": model,
        "messages": messages,
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if request.seed:
        body["seed"] = request.seed
    if request.stop:
        body["stop"] = list(request.stop)
    if request.tools:
        body["tools"] = [
            {
                "type": "function",
                "function": {"name": t.name, "description": t.about, "parameters": dict(t.schema)},
            }
            for t in request.tools
        ]
    if request.schema is not None:
        named = {"name": "answer", "schema": dict(request.schema), "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": named}
    return body


def told(message: Message) -> dict[str, Json]:
    """A message in this dialect."""
    found: dict[str, Json] = {"role": message.role, "content": content(message)}
    if message.role == "tool":
        found["tool_call_id"] = message.answers
    if message.asks:
        found["tool_calls"] = [asked(a) for a in message.asks]
        found["content"] = found["content"] or None
    return found


def asked(ask: Ask) -> dict[str, Json]:
    """A call that was asked for; arguments that were no object go back as they came."""
    args = ask.args if isinstance(ask.args, str) else json.dumps(dict(ask.args))
    return {"id": ask.id, "type": "function", "function": {"name": ask.name, "arguments": args}}


def content(message: Message) -> Json:
    """The parts as text; what this driver sends no bytes of is told by what stands for it."""
    return "".join(map(stands, message.parts))


def parsed(data: bytes) -> Json:
    """A chunk's JSON, by the parser that takes a third of the time; half surrogates by the other.

    Raises: ValueError, RecursionError.
    """
    try:
        found: Json = from_json(data)
    except ValueError:
        found = json.loads(data)
    return found


class Chunks:
    """Folds chunks into deltas; remembers how the answer ended until its usage came."""

    def __init__(self, price: tuple[int, ...] | None, most: int = 1 << 30) -> None:
        self._price = price
        self._most = most
        self._pieces = self._chars = 0
        self._finish: Finish | None = None
        self._usage: Usage | None = None

    def take(self, data: bytes) -> list[Delta]:
        """The deltas of one chunk. Raises: BadReply, Busy, TooBig as the chunk says."""
        try:
            chunk = parsed(data)
        except (ValueError, RecursionError) as e:
            raise BadReply(f"the server sent no JSON: {data[:80]!r}") from e
        if not isinstance(chunk, dict):
            raise BadReply(f"the server sent no object: {data[:80]!r}")
        if chunk.get("error"):
            raise error_of(200, chunk["error"], None)
        found: list[Delta] = []
        try:
            if chunk.get("usage"):
                self._usage = usage_of(chunk["usage"], self._price)
            for choice in chunk.get("choices") or ():
                self._choice(choice, found)
        except (AttributeError, TypeError, ValueError) as e:
            raise BadReply(f"the server sent what is no chunk: {data[:80]!r}") from e
        self._pieces += len(found)
        return found

    @property
    def flooded(self) -> bool:
        """Whether far more came than was asked for: this server will not end by itself."""
        return self._pieces > 2 * self._most + SLACK or self._chars > 32 * self._most + SLACK

    def cut(self, request: ModelRequest) -> Finished:
        """The last delta of an answer that is cut off here; its usage is an estimate."""
        read = sum(len(m.text) for m in request.messages) // 4
        counted = {"prompt_tokens": read, "completion_tokens": self._pieces}
        return Finished("length", usage_of(counted, self._price))

    def _choice(self, choice: Mapping[str, Json], found: list[Delta]) -> None:
        delta = choice.get("delta") or {}
        text = text_of(delta.get("content"))
        if text:
            self._chars += len(text)
            found.append(TextDelta(text))
        for call in delta.get("tool_calls") or ():
            function = call.get("function") or {}
            name, args = text_of(function.get("name")), text_of(function.get("arguments"))
            self._chars += len(args)
            index, mark = int(call.get("index") or 0), text_of(call.get("id"))
            found.append(AskDelta(index, mark, name, args))
        ended = choice.get("finish_reason")
        if ended:
            self._finish = FINISHES.get(ended, "stop")

    def end(self) -> Finished:
        """The last delta. Raises: BadReply if the stream stopped without an end."""
        if self._finish is None:
            raise BadReply("the stream stopped without an end")
        return Finished(
            self._finish, self._usage or Usage(micros=None if self._price is None else 0)
        )


def text_of(value: Json) -> str:
    """A text in a chunk; none is an empty one. Raises: TypeError."""
    if value is not None and not isinstance(value, str):
        raise TypeError(f"no text: {value!r:.80}")
    return value or ""


def usage_of(data: Mapping[str, Json], price: tuple[int, ...] | None) -> Usage:
    """What the server counted; micro-dollars by the price, None if it is not known."""
    read, wrote = int(data.get("prompt_tokens") or 0), int(data.get("completion_tokens") or 0)
    cached = int((data.get("prompt_tokens_details") or {}).get("cached_tokens") or 0)
    used = Usage(read, wrote, cached)
    return replace(used, micros=ModelInfo("", 0, price=price).cost(used))


def error_of(status: int, error: Json, retry_after: float | None) -> OrosError:
    """What an error in a body means. `status` is the one it came with, or the one in it."""
    why = str(error.get("message") if isinstance(error, dict) else error)[:300]
    code = str(error.get("code") or error.get("type") or "") if isinstance(error, dict) else ""
    if "context" in code or "context length" in why.lower() or "maximum context" in why.lower():
        return TooBig(why, "a model with a larger window, or a smaller job")
    if "rate" in code or status == 429:
        return Busy(why, "it is tried again", retry_after)
    return BadReply(f"the server said: {why}", retry_after=retry_after)
