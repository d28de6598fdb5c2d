"""Anthropic's Messages, as a server speaks it."""

from dataclasses import dataclass, field, replace

from oros.abi.errors import Invalid, OrosError, Unsupported
from oros.abi.events import Finish
from oros.abi.grants import Usage
from oros.abi.message import Ask, Json, Message, Part, ReasoningPart, TextPart
from oros.abi.ports import ReasoningDelta, TextDelta, ToolSpec
from oros.gate.dialects.parts import (
    EVENTS,
    Blobs,
    Body,
    chosen,
    decoded,
    event,
    listed,
    mapping,
    number,
    plain,
    spec,
    stops,
    text,
    whole,
)
from oros.services.doors.wanted import (
    Begun,
    Said,
    Step,
    Wanted,
    arguments,
    filled,
    packed,
    unpacked,
)

STOP: dict[Finish, str] = {"stop": "end_turn", "length": "max_tokens", "calls": "tool_use"}
TYPES = {400: "invalid_request_error", 401: "authentication_error", 402: "billing_error",
         403: "permission_error", 404: "not_found_error", 413: "request_too_large",
         429: "rate_limit_error", 503: "overloaded_error", 504: "timeout_error"}  # fmt: skip


class NoThread(Unsupported):
    """Conversations are not kept for a client; those who can do without are told in a word."""


class Messages:
    """The dialect."""

    mime = EVENTS

    def asked(self, body: Body) -> Wanted:
        """Raises: Invalid, Unsupported."""
        if body.get("thread") is not None:
            raise NoThread("thread: no conversation is stored here", "send all of its messages")
        blobs = Blobs()
        found: list[Message] = []
        if parts := contents(body.get("system"), "system", blobs):
            found.append(Message("system", parts))
        for n, row in enumerate(listed(body.get("messages"), "messages")):
            found += turn(row, f"messages[{n}]", blobs)
        messages = filled(found)
        last = messages[-1]
        if last.role == "assistant" and not last.asks:
            messages = (*messages[:-1], replace(last, partial=True))
        tools, forced = offered(body)
        most = whole(body.get("max_tokens"), "max_tokens", 1)
        if not most:
            raise Invalid("max_tokens: a whole number is needed")
        return Wanted(
            text(body.get("model"), "model"),
            messages,
            tools,
            forced,
            schema(body),
            most,
            number(body.get("temperature"), "temperature"),
            stop=stops(body.get("stop_sequences"), "stop_sequences"),
            stream=body.get("stream") is True,
            blobs=blobs.found,
        )

    def whole(self, begun: Begun, wanted: Wanted, said: Said) -> Json:
        """The answer."""
        content: list[Json] = [thought(t.thought, t.by, t.opaque) for t in said.thoughts]
        if said.text:
            content.append({"type": "text", "text": said.text, "citations": None})
        content += [{"type": "tool_use", "id": a.id, "name": a.name, "input": given(a)}
                    for a in said.asks]  # fmt: skip
        reason = STOP.get(said.finish, "end_turn")
        found = head(begun, wanted, usage(said.usage))
        return found | {"content": content, "stop_reason": reason}

    def stream(self, begun: Begun, wanted: Wanted) -> "MessageStream":
        """The answer as it comes."""
        return MessageStream(begun, wanted)

    def error(self, error: OrosError, status: int) -> Json:
        """An error."""
        why = error.why + (f" ({error.hint})" if error.hint else "")
        found: dict[str, Json] = {"type": TYPES.get(status, "api_error"), "message": why}
        if isinstance(error, NoThread):
            known = {"error_code": "thread_unsupported_request", "unsupported": ["thread"]}
            found["details"] = known
        return {"type": "error", "error": found}


@dataclass(slots=True)
class MessageStream:
    """Events: blocks that begin, grow and end."""

    begun: Begun
    wanted: Wanted
    index: int = -1
    open: tuple[str, int] | None = None
    last: ReasoningDelta = field(default_factory=lambda: ReasoningDelta(0))

    def begin(self) -> bytes:
        """The message, before anything of it is there."""
        message = head(self.begun, self.wanted, usage(Usage()))
        return named("message_start", message=message)

    def take(self, step: Step) -> bytes:
        """Text, and thoughts."""
        match step:
            case TextDelta(text=said) if said:
                found = self._enter("text", 0, {"type": "text", "text": ""})
                return found + self._delta({"type": "text_delta", "text": said})
            case ReasoningDelta(index=index, thought=said):
                hidden = bool(step.opaque and not said) and self.open != ("thinking", index)
                blank: Json = {"type": "thinking", "thinking": "", "signature": ""}
                new = thought("", step.by, step.opaque) if hidden else blank
                found = self._enter("redacted" if hidden else "thinking", index, new)
                self.last = step
                return found + self._delta({"type": "thinking_delta", "thinking": said}, said)
            case _:
                return b""

    def wait(self) -> bytes:
        """A ping."""
        return named("ping")

    def end(self, said: Said) -> bytes:
        """The calls, why it ended, what it cost."""
        found = self._leave()
        for ask in said.asks:
            block = {"type": "tool_use", "id": ask.id, "name": ask.name, "input": {}}
            found += self._enter("tool_use", self.index, block)
            found += self._delta({"type": "input_json_delta", "partial_json": arguments(ask)})
            found += self._leave()
        delta = {"stop_reason": STOP.get(said.finish, "end_turn"), "stop_sequence": None}
        found += named("message_delta", delta=delta, usage=usage(said.usage))
        return found + named("message_stop")

    def failed(self, error: OrosError) -> bytes:
        """An error amid the stream."""
        return event(Messages().error(error, 500), "error")

    def _enter(self, kind: str, index: int, block: Json) -> bytes:
        if self.open == (kind, index):
            return b""
        found = self._leave()
        self.open, self.index = (kind, index), self.index + 1
        return found + named("content_block_start", index=self.index, content_block=block)

    def _leave(self) -> bytes:
        if self.open is None:
            return b""
        found = b""
        if self.open[0] == "thinking":
            seal = packed(self.last.by, self.last.opaque)
            found = self._delta({"type": "signature_delta", "signature": seal})
        self.open = None
        return found + named("content_block_stop", index=self.index)

    def _delta(self, delta: Json, said: str = "-") -> bytes:
        return named("content_block_delta", index=self.index, delta=delta) if said else b""


def named(kind: str, **fields: Json) -> bytes:
    """An event of a kind."""
    return event({"type": kind, **fields}, kind)


def head(begun: Begun, wanted: Wanted, used: Json) -> dict[str, Json]:
    """What a message begins with."""
    return {
        "id": f"msg_{begun.pid}",
        "type": "message",
        "role": "assistant",
        "model": wanted.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": used,
    }


def usage(used: Usage) -> Json:
    """What it cost, in tokens; those that came from a cache, or went there, are counted apart."""
    return {
        "input_tokens": max(0, used.tokens_in - used.cached - used.written),
        "cache_creation_input_tokens": used.written,
        "cache_read_input_tokens": used.cached,
        "output_tokens": used.tokens_out,
    }


def thought(said: str, by: str, opaque: str) -> Json:
    """What was thought, or what stands for it where the platform keeps it."""
    if not said and opaque:
        return {"type": "redacted_thinking", "data": packed(by, opaque)}
    return {"type": "thinking", "thinking": said, "signature": packed(by, opaque)}


def given(ask: Ask) -> Json:
    """The arguments of a call; here they are an object, be they none."""
    return ask.args if not isinstance(ask.args, str) else {"": ask.args}


def turn(row: Body, where: str, blobs: Blobs) -> list[Message]:
    """One turn: answers to calls are messages of their own. Raises: Invalid, Unsupported."""
    content, role = row.get("content"), row.get("role")
    if role == "system":
        return [Message("system", contents(content, where, blobs))]
    if isinstance(content, str) and role in ("user", "assistant"):
        return [Message(role, plain(content, where))]
    blocks = listed(content, f"{where}.content")
    if role == "assistant":
        kept = [b for b in blocks if b.get("type") != "tool_use"]
        parts = tuple(p for n, b in enumerate(kept) if (p := part(b, f"{where}[{n}]", blobs)))
        asks = tuple(called(b, where) for b in blocks if b.get("type") == "tool_use")
        return [Message("assistant", parts, asks)]
    if role != "user":
        raise Invalid(f"{where}: there is no role {role!r}", "user, assistant")
    found = [answer(b, where, blobs) for b in blocks if b.get("type") == "tool_result"]
    rest = [b for b in blocks if b.get("type") != "tool_result"]
    parts = contents(rest, where, blobs)
    return [*found, Message("user", parts)] if parts or not found else found


def called(row: Body, where: str) -> Ask:
    """A call of an earlier turn. Raises: Invalid."""
    args = mapping(row.get("input") or {}, f"{where}.input")
    return Ask(text(row.get("id"), f"{where}.id"), text(row.get("name"), f"{where}.name"), args)


def answer(row: Body, where: str, blobs: Blobs) -> Message:
    """What a call came to. Raises: Invalid, Unsupported."""
    parts = contents(row.get("content"), f"{where}.content", blobs)
    if row.get("is_error"):
        parts = (TextPart("error: "), *parts)
    return Message("tool", parts, answers=text(row.get("tool_use_id"), f"{where}.tool_use_id"))


def contents(value: Json, where: str, blobs: Blobs) -> tuple[Part, ...]:
    """Contents: a text, or blocks. Raises: Invalid, Unsupported."""
    if isinstance(value, str):
        return plain(value, where)
    made = (part(b, f"{where}[{n}]", blobs) for n, b in enumerate(listed(value, where)))
    return tuple(p for p in made if p is not None)


def part(row: Body, where: str, blobs: Blobs) -> Part | None:
    """One block; None for a thought that is none of ours. Raises: Invalid, Unsupported."""
    match row.get("type"):
        case "text":
            return TextPart(text(row.get("text"), where))
        case "image":
            source = mapping(row.get("source"), f"{where}.source")
            if source.get("type") != "base64":
                return blobs.image(source.get("url"), where)
            return blobs.picture(text(source.get("media_type"), where), source.get("data"), where)
        case "document":
            return document(row, where, blobs)
        case "thinking":
            return kept(row.get("signature"), str(row.get("thinking") or ""))
        case "redacted_thinking":
            return kept(row.get("data"), "")
        case kind:
            raise Invalid(f"{where}: blocks of type {kind!r} are not known here")


def document(row: Body, where: str, blobs: Blobs) -> Part:
    """A document: in base64, or its text. Raises: Invalid, Unsupported."""
    source = mapping(row.get("source"), f"{where}.source")
    name, mime = row.get("title") or "document", str(source.get("media_type") or "")
    match source.get("type"):
        case "base64":
            return blobs.document(name, mime, decoded(source.get("data"), where), where)
        case "text":
            said = text(source.get("data"), where)
        case "content":
            said = "".join(p.text for p in words(source.get("content"), where, blobs))
        case kind:
            hint = "nothing is fetched or kept for a client"
            raise Unsupported(f"{where}: documents of type {kind!r} can't be had", hint)
    return blobs.document(name, "text/plain", said.encode(errors="replace"), where)


def words(value: Json, where: str, blobs: Blobs) -> list[TextPart]:
    """The parts of a document that is given in parts. Raises: Invalid, Unsupported."""
    parts = contents(value, where, blobs)
    if not all(isinstance(p, TextPart) for p in parts):
        raise Unsupported(f"{where}: a document's content is text here", "send pictures beside it")
    return [p for p in parts if isinstance(p, TextPart)]


def kept(seal: Json, said: str) -> ReasoningPart | None:
    """A thought as it was sent before."""
    return unpacked(seal, said) if isinstance(seal, str) and seal else None


def offered(body: Body) -> tuple[tuple[ToolSpec, ...], bool]:
    """The tools, and whether one must be called. Raises: Invalid."""
    tools = tuple(tool(t, f"tools[{n}]") for n, t in enumerate(listed(body.get("tools"), "tools")))
    choice = mapping(body.get("tool_choice") or {"type": "auto"}, "tool_choice")
    match choice.get("type"):
        case "auto":
            return tools, False
        case "none":
            return (), False
        case "any":
            return tools, bool(tools)
        case "tool":
            return chosen(tools, text(choice.get("name"), "tool_choice.name"), "tool_choice"), True
        case kind:
            raise Invalid(f"tool_choice: there is no type {kind!r}")


def tool(row: Body, where: str) -> ToolSpec:
    """One tool. Raises: Invalid."""
    if row.get("type", "custom") not in ("custom", None):
        raise Invalid(f"{where}: tools of type {row.get('type')!r} are not known here")
    return spec(row.get("name"), row.get("description"), row.get("input_schema"), where)


def schema(body: Body) -> Body | None:
    """The schema of the answer, if it has one. Raises: Invalid."""
    config = mapping(body.get("output_config") or {}, "output_config")
    form = config.get("format") or body.get("output_format")
    if form is None:
        return None
    return mapping(mapping(form, "output_format").get("schema"), "output_format.schema")
