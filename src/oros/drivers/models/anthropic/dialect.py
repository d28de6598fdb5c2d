"""Anthropic's Messages: requests and events in this dialect, as values. Opens no connection."""

import json
import re
from collections.abc import Mapping, Sequence

from oros.abi.errors import (
    BadReply,
    Busy,
    DeviceFailed,
    NotAuthorized,
    OrosError,
    TimedOut,
    TooBig,
    Unsupported,
)
from oros.abi.events import Finish
from oros.abi.grants import Usage
from oros.abi.message import ImagePart, Json, Message, Part, ReasoningPart, stands
from oros.abi.ports import AskDelta, Delta, ModelInfo, ModelRequest, ReasoningDelta, TextDelta
from oros.drivers.media import shown
from oros.drivers.streaming import Dialect, Fold
from oros.drivers.wording import (
    GO_ON,
    Ids,
    Names,
    args_of,
    base64_of,
    closed,
    over_window,
    priced,
    worded,
)

BY = "anthropic:"
"""Before the model's name: a thought goes back to the model that had it, others refuse it."""

VERSION = "2023-06-01"
BINDING = "thinking-binding-controls-2026-08-01"
BOUND = re.compile(r"claude-[a-z]+-(?:5-[1-9]|[6-9]|\d\d)(?!\d)")
"""Models that check what stands before a thought, and can be told to drop those that fail."""

ANSWER = "answer"
"""The tool that a model without a native schema is made to call: what it fills in is the answer."""

PICTURES = ("image/jpeg", "image/png", "image/gif", "image/webp")
PICTURE_BYTES = (5 << 20) * 3 // 4
"""The platform takes 5 MiB of base64."""

MARK: Json = {"type": "ephemeral"}
"""Up to here the prompt is kept in the platform's cache, for five minutes after each use."""

KEYWORDS = frozenset(
    [
        "type",
        "description",
        "title",
        "enum",
        "const",
        "default",
        "format",
        "anyOf",
        "allOf",
        "items",
        "required",
        "$ref",
    ]
)
"""Of JSON Schema, what this platform's structured output takes; the rest is a 400."""

FINISHES: dict[str, Finish] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "calls",
}


class Anthropic(Dialect):
    """The dialect, for one model. `effort` (low to max): how much it thinks; "" leaves it to it."""

    def __init__(self, model: str, effort: str = "") -> None:
        self._model = model
        self._effort = effort

    def path(self, model: str) -> str:  # noqa: ARG002 - the body names it
        """One for all models."""
        return "/v1/messages"

    def headers(self, key: str | None) -> dict[str, str]:
        """The version of the API, what else the model needs, and the key."""
        found = {"anthropic-version": VERSION}
        if BOUND.match(self._model):
            found["anthropic-beta"] = BINDING
        return {**found, "x-api-key": key} if key else found

    def body(self, request: ModelRequest, model: str, info: ModelInfo) -> dict[str, Json]:
        """The body of a request.

        No temperature: the models of today refuse one.
        """
        if request.tools and "schema" not in info.cans:
            request = worded(request)
        names = names_of(request)
        system, messages = conversation(request, model, names, info)
        body: dict[str, Json] = {
            "model": model,
            "max_tokens": request.max_tokens,
            "stream": True,
            "messages": messages,
        }
        if system:
            body["system"] = [{"type": "text", "text": system, "cache_control": MARK}]
        if request.stop:
            body["stop_sequences"] = list(request.stop)
        if request.tools:
            body["tools"] = [
                {
                    "name": names.said(t.name),
                    "description": t.about,
                    "input_schema": {"type": "object", **t.schema},
                }
                for t in request.tools
            ]
            body["tools"][-1]["cache_control"] = MARK
        if thinking := self._thinking(model, messages):
            body["thinking"] = thinking
        self._bound(body, request, info)
        return body

    def _thinking(self, model: str, messages: Sequence[Mapping[str, Json]]) -> dict[str, Json]:
        """How to think, if that is not left to the model."""
        found: dict[str, Json] = {"type": "adaptive"} if self._effort else {}
        if self._effort:
            found["display"] = "summarized"
        if BOUND.match(model) and any(
            "thinking" in b["type"] for m in messages for b in m["content"]
        ):
            found |= {
                "type": "adaptive",
                "block_binding": {"prefix_mismatch_behavior": "drop_block"},
            }
        return found

    def _bound(self, body: dict[str, Json], request: ModelRequest, info: ModelInfo) -> None:
        """Put in the effort, and the shape of the answer."""
        config: dict[str, Json] = {"effort": self._effort} if self._effort else {}
        if request.schema is not None and "schema" in info.cans:
            shape = closed(request.schema, KEYWORDS)
            config["format"] = {"type": "json_schema", "schema": shape}
        elif is_forced(request, info):
            shape = {"type": "object", **(request.schema or {})}
            body["tools"] = [{"name": ANSWER, "description": "Answers.", "input_schema": shape}]
            body["tool_choice"] = {"type": "tool", "name": ANSWER}
        if config:
            body["output_config"] = config

    def fold(self, request: ModelRequest, info: ModelInfo) -> "Events":
        """What reads the answer to a request."""
        return Events(request, info, BY + self._model)

    def refused(
        self, why: str, status: int, error: Mapping[str, Json], wait: float | None
    ) -> OrosError | None:
        """By the type in the error, which stands in a stream as well as under a status."""
        return error_of(why, status, error, wait)

    def spoiled(self, error: OrosError) -> bool:
        """By its words: a signature is invalid, a block was modified, or the control is unknown."""
        return "thinking" in error.why and not isinstance(error, TooBig)


def names_of(request: ModelRequest) -> Names:
    """The names of a request's tools."""
    return Names(t.name for t in request.tools)


def is_forced(request: ModelRequest, info: ModelInfo) -> bool:
    """Whether an answer comes as the arguments of a tool: there is a schema and no other way."""
    return request.schema is not None and not request.tools and "schema" not in info.cans


def conversation(
    request: ModelRequest, model: str, names: Names, info: ModelInfo
) -> tuple[str, list[dict[str, Json]]]:
    """The system's text, and the turns of user and assistant, marked for the cache."""
    head, ids = 0, Ids()
    while head < len(request.messages) and request.messages[head].role == "system":
        head += 1
    turns: list[dict[str, Json]] = []
    for message in request.messages[head:]:
        role = "assistant" if message.role == "assistant" else "user"
        if message.role == "assistant":
            blocks = answered(message, BY + model, names, ids)
        else:
            blocks = told(message, request, info, ids)
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": role, "content": blocks})
    last = request.messages[-1]
    if last.role == "assistant" and last.partial and not gone_on(last, info):
        turns.append({"role": "user", "content": [{"type": "text", "text": GO_ON}]})
    for turn in [t for t in turns if t["role"] == "user"][-2:]:
        turn["content"][-1] = {**turn["content"][-1], "cache_control": MARK}
    return "\n\n".join(m.text for m in request.messages[:head] if m.text.strip()), turns


def gone_on(last: Message, info: ModelInfo) -> bool:
    """Whether the model goes on from a partial answer; the platform takes none that ends blank."""
    return "resume" in info.cans and last.text == last.text.rstrip() != ""


def told(
    message: Message, request: ModelRequest, info: ModelInfo, ids: Ids
) -> list[dict[str, Json]]:
    """What a user said or a tool gave, as blocks; a result of no call that is known is words."""
    parts = [b for part in message.parts for b in block(part, request, info)]
    known = ids.answered(message.answers) if message.role == "tool" else None
    if known is None:
        return parts
    return [{"type": "tool_result", "tool_use_id": known[0], "content": parts}]


def block(part: Part, request: ModelRequest, info: ModelInfo) -> list[dict[str, Json]]:
    """A part of a user's turn as a block; none for what this platform is not sent."""
    text = stands(part)
    if isinstance(part, ImagePart) and part.mime in PICTURES and "image" in info.cans:
        data = shown(part, request.fetch, PICTURE_BYTES)
        if isinstance(data, bytes):
            source = {"type": "base64", "media_type": part.mime, "data": base64_of(data)}
            return [{"type": "image", "source": source}]
        text = data
    return words(text)


def words(text: str) -> list[dict[str, Json]]:
    """A text as a block; a blank one is refused, and is none."""
    return [{"type": "text", "text": text}] if text.strip() else []


def answered(message: Message, by: str, names: Names, ids: Ids) -> list[dict[str, Json]]:
    """A model's turn as blocks: words, then calls, and each of its thoughts where it came."""
    text = "".join(stands(p) for p in message.parts)
    calls = [
        {"type": "tool_use", "id": ids.asked(a), "name": names.said(a.name), "input": args_of(a)}
        for a in message.asks
    ]
    found: list[dict[str, Json]] = []
    chars = asks = 0
    for part in message.parts:
        if not isinstance(part, ReasoningPart) or part.by != by or not part.opaque:
            continue
        kept = json.loads(part.opaque)
        found += words(text[chars : kept["chars"]]) + calls[asks : kept["asks"]]
        chars, asks = max(chars, kept["chars"]), max(asks, kept["asks"])
        if "data" in kept:
            found.append({"type": "redacted_thinking", "data": kept["data"]})
        else:
            seal = kept["signature"]
            found.append({"type": "thinking", "thinking": part.thought, "signature": seal})
    found += words(text[chars:]) + calls[asks:]
    while found and "thinking" in found[-1]["type"]:  # no turn may end with one
        found.pop()
    return found


class Events(Fold):
    """Folds the events of a stream into deltas; blocks keep their number as index."""

    def __init__(self, request: ModelRequest, info: ModelInfo, by: str) -> None:
        super().__init__(request, info)
        self._by = by
        self._at = {"chars": 0, "asks": 0}
        self._names = names_of(request)
        self._forced = is_forced(request, info)
        self._counted: dict[str, Json] = {}

    def heard(self, frame: dict[str, Json], found: list[Delta]) -> None:
        """Add the deltas of an event; kinds that are not known yet say nothing."""
        match frame["type"]:
            case "message_start":
                self._counted.update(frame["message"].get("usage") or {})
            case "content_block_start":
                self._begun(int(frame["index"]), frame["content_block"], found)
            case "content_block_delta":
                self._more(int(frame["index"]), frame["delta"], found)
            case "message_delta":
                self._ending(frame)
            case "message_stop":
                self.done = True
            case "error":
                error = frame["error"]
                why = " ".join(str(error.get("message")).split())[:300]
                raise error_of(why, 200, error, None) or BadReply(f"the server said: {why}")
            case _:
                pass

    def _begun(self, index: int, start: Mapping[str, Json], found: list[Delta]) -> None:
        match start["type"]:
            case "text" if start.get("text"):
                self._said(start["text"], found)
            case "thinking":
                found.append(ReasoningDelta(index, start["thinking"] + "", self._by))
            case "redacted_thinking":
                self._sealed(index, {"data": start["data"] + ""}, found)
            case "tool_use" if not self._forced:
                self._at["asks"] += 1
                found.append(AskDelta(index, start["id"], self._names.meant(start["name"])))
            case _:
                pass

    def _more(self, index: int, delta: Mapping[str, Json], found: list[Delta]) -> None:
        match delta["type"]:
            case "text_delta":
                self._said(delta["text"], found)
            case "input_json_delta" if self._forced:
                self._said(delta["partial_json"], found)
            case "input_json_delta":
                found.append(AskDelta(index, args=delta["partial_json"] + ""))
            case "thinking_delta":
                found.append(ReasoningDelta(index, delta["thinking"] + "", self._by))
            case "signature_delta" if delta["signature"]:
                self._sealed(index, {"signature": delta["signature"] + ""}, found)
            case _:
                pass

    def _said(self, text: str, found: list[Delta]) -> None:
        self._at["chars"] += len(text)
        found.append(TextDelta(text + ""))

    def _sealed(self, index: int, what: dict[str, Json], found: list[Delta]) -> None:
        """What goes back with a thought: its seal, and how much was said and asked before it."""
        found.append(ReasoningDelta(index, "", self._by, json.dumps(what | self._at)))

    def _ending(self, frame: Mapping[str, Json]) -> None:
        self._counted.update({k: v for k, v in (frame.get("usage") or {}).items() if v is not None})
        self.usage = priced(usage_of(self._counted), self.info)
        reason = frame["delta"].get("stop_reason")
        if reason == "refusal":
            details = frame["delta"].get("stop_details") or {}
            kind = details.get("category") or "without a reason"
            raise Unsupported(f"the model declined: {kind}", "another model, or other words")
        if reason:
            self.finish = FINISHES.get(reason, "stop")
            if self._forced and self.finish == "calls":
                self.finish = "stop"


def usage_of(counted: Mapping[str, Json]) -> Usage:
    """What the platform counted: its input tokens are those beside the cache."""
    cached = int(counted.get("cache_read_input_tokens") or 0)
    written = int(counted.get("cache_creation_input_tokens") or 0)
    thought = (counted.get("output_tokens_details") or {}).get("thinking_tokens")
    return Usage(
        int(counted["input_tokens"]) + cached + written,
        int(counted["output_tokens"]),
        cached,
        written=written,
        reasoning=int(thought or 0),
    )


def error_of(
    why: str, status: int, error: Mapping[str, Json], wait: float | None
) -> OrosError | None:
    """What an error means by its type; None if the type says no more than the status."""
    code = str((error.get("details") or {}).get("error_code") or "")
    match error.get("type"):
        case _ if "spend_limit" in code or "credit balance" in why:
            return NotAuthorized(why, "look at the account's limits and billing")
        case "overloaded_error" | "rate_limit_error":
            return Busy(why, "it is tried again", wait)
        case "authentication_error" | "permission_error":
            return NotAuthorized(why, "look at its key or key_env in config.toml")
        case "billing_error":
            return NotAuthorized(why, "look at the account's limits and billing")
        case "request_too_large":
            return TooBig(why)
        case _ if over_window(why):
            return TooBig(why, "a model with a larger window, or a smaller job")
        case "timeout_error":
            return TimedOut(why, retry_after=wait)
        case "api_error" if status == 200:
            return DeviceFailed(why, retry_after=wait)
        case _:
            return None
