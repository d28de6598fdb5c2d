"""OpenAI's Responses, and Open Responses, as a server speaks them.

What is gone on from (`previous_response_id`) is the journal of the process that answered. Its id
says how many messages of that request were for it alone: instructions are not carried over.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from oros.abi.errors import Invalid, OrosError
from oros.abi.grants import Usage
from oros.abi.ids import Pid
from oros.abi.message import Ask, Json, Message, Part, ReasoningPart, TextPart
from oros.abi.ports import ToolSpec
from oros.gate.dialects import chat
from oros.gate.dialects.items import ItemStream, packed_items
from oros.gate.dialects.parts import (
    EVENTS,
    OBJECT,
    Blobs,
    Body,
    asks_of,
    chosen,
    listed,
    mapping,
    number,
    plain,
    refuse,
    spec,
    text,
    whole,
)
from oros.services.doors.wanted import After, Begun, Said, Wanted, filled, unpacked

PLAIN: dict[str, Sequence[Json]] = {
    "background": (False,),
    "conversation": (),
    "prompt": (),
    "top_logprobs": (0,),
}
"""Fields that would change the answer, with the values that don't."""
IDENT = re.compile(r"resp_([0-9]{1,18})(?:_([0-9]{1,2}))?")


class Responses:
    """The dialect."""

    mime = EVENTS

    def asked(self, body: Body) -> Wanted:
        """Raises: Invalid, Unsupported."""
        after = earlier(body.get("previous_response_id"))
        refuse(body, PLAIN)
        blobs = Blobs()
        messages, head = conversation(body.get("input"), blobs), 0
        if body.get("instructions"):
            told = TextPart(text(body["instructions"], "instructions"))
            messages.insert(0, Message("system", (told,)))
            head = 1
        tools, forced = offered(body)
        return Wanted(
            text(body.get("model"), "model"),
            tuple(messages) if after else filled(messages),
            tools,
            forced,
            schema(body),
            whole(body.get("max_output_tokens"), "max_output_tokens", 1),
            number(body.get("temperature"), "temperature"),
            stream=body.get("stream") is True,
            blobs=blobs.found,
            told=repeated(body, tools),
            after=after,
            head=head,
        )

    def whole(self, begun: Begun, wanted: Wanted, said: Said) -> Json:
        """The answer."""
        return response(begun, wanted, said, packed_items(begun, said))

    def stream(self, begun: Begun, wanted: Wanted) -> ItemStream:
        """The answer as it comes."""

        def made(said: Said | None, items: Sequence[Json], error: Json) -> Json:
            return response(begun, wanted, said, items, error)

        return ItemStream(begun, made)

    def error(self, error: OrosError, status: int) -> Json:
        """An error."""
        return chat.Chat().error(error, status)


def earlier(ident: Json) -> After | None:
    """What an id means that a client goes on from. Raises: Invalid."""
    if ident is None:
        return None
    found = IDENT.fullmatch(text(ident, "previous_response_id"))
    if found is None:
        raise Invalid(f"previous_response_id: no response {ident[:80]!r} was made here")
    return After(Pid(int(found[1])), int(found[2] or 0))


def response(
    begun: Begun, wanted: Wanted, said: Said | None, items: Sequence[Json], error: Json = None
) -> Json:
    """The response object: in progress, failed, whole, or cut at the limit of its tokens."""
    cut = said is not None and said.finish == "length"
    status = "failed" if error else "in_progress" if said is None else "completed"
    reason = {"reason": "max_output_tokens"} if cut else None
    return {
        "id": f"resp_{begun.pid}_{wanted.head}" if wanted.head else f"resp_{begun.pid}",
        "object": "response",
        "created_at": int(begun.created),
        "completed_at": None if said is None else int(begun.created + said.usage.seconds),
        "status": "incomplete" if cut else status,
        "incomplete_details": reason,
        "error": error,
        "model": wanted.model,
        "output": list(items),
        "usage": None if said is None else usage(said.usage),
        **wanted.told,
    }


def repeated(body: Body, tools: Sequence[ToolSpec]) -> Mapping[str, Json]:
    """What the answer repeats of the request."""
    found: dict[str, Json] = {
        "instructions": body.get("instructions"),
        "previous_response_id": body.get("previous_response_id"),
        "tools": [
            {
                "type": "function",
                "name": t.name,
                "description": t.about,
                "parameters": dict(t.schema),
                "strict": False,
            }
            for t in tools
        ],
        "tool_choice": body.get("tool_choice") or "auto",
        "truncation": "disabled",
        "parallel_tool_calls": True,
        "text": {"format": form(body)},
        "top_p": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "top_logprobs": 0,
        "temperature": number(body.get("temperature"), "temperature"),
        "reasoning": None,
        "max_output_tokens": body.get("max_output_tokens"),
        "max_tool_calls": None,
        "store": body.get("store") is not False,
        "background": False,
        "service_tier": "default",
        "metadata": body.get("metadata") or {},
        "safety_identifier": None,
        "prompt_cache_key": None,
    }
    return found


def form(body: Body) -> Body:
    """The form of the answer; of a schema its name, as the description of this dialect has it."""
    wish = mapping(mapping(body.get("text") or {}, "text").get("format") or {}, "text.format")
    if wish.get("type") != "json_schema":
        return {"type": wish.get("type") or "text"}
    name, about = text(wish.get("name") or "answer", "text.format.name"), wish.get("description")
    strict = wish.get("strict") is True
    return {"type": "json_schema", "name": name, "description": about, "schema": None,
            "strict": strict}  # fmt: skip


def usage(used: Usage) -> Json:
    """What it cost, in tokens."""
    return {
        "input_tokens": used.tokens_in,
        "input_tokens_details": {
            "cached_tokens": used.cached,
            "cache_write_tokens": used.written,
        },
        "output_tokens": used.tokens_out,
        "output_tokens_details": {"reasoning_tokens": used.reasoning},
        "total_tokens": used.tokens,
    }


def conversation(given: Json, blobs: Blobs) -> list[Message]:
    """The input as messages; what one answer was made of is one message. Raises: Invalid."""
    if isinstance(given, str):
        return [Message("user", plain(given, "input"))]
    found: list[Message] = []
    for number_, row in enumerate(listed(given, "input")):
        message = item(row, f"input[{number_}]", blobs)
        last = found[-1] if found else None
        if last is not None and last.role == message.role == "assistant":
            both = (*last.parts, *message.parts)
            found[-1] = replace(last, parts=both, asks=(*last.asks, *message.asks))
        elif message.parts or message.asks or message.role != "assistant":
            found.append(message)
    return found


def item(row: Body, where: str, blobs: Blobs) -> Message:
    """One item as a message, or as a piece of one. Raises: Invalid, Unsupported."""
    match row.get("type", "message"):
        case "message":
            parts = contents(row.get("content"), f"{where}.content", blobs)
            match row.get("role"):
                case "system" | "developer":
                    return Message("system", parts)
                case "user":
                    return Message("user", parts)
                case "assistant":
                    return Message("assistant", parts)
                case role:
                    raise Invalid(f"{where}: there is no role {role!r}")
        case "function_call":
            return Message("assistant", (), (called(row, where),))
        case "function_call_output":
            parts = contents(row.get("output"), f"{where}.output", blobs)
            return Message("tool", parts, answers=text(row.get("call_id"), f"{where}.call_id"))
        case "reasoning":
            thought = reasoning(row)
            return Message("assistant", (thought,) if thought else ())
        case kind:
            raise Invalid(f"{where}: items of type {kind!r} are not known here")


def called(row: Body, where: str) -> Ask:
    """A call of an earlier turn. Raises: Invalid."""
    return asks_of(row.get("name"), row.get("call_id"), row.get("arguments"), where)


def reasoning(row: Body) -> ReasoningPart | None:
    """A thought that a platform wants back; others are left out."""
    sealed = row.get("encrypted_content")
    if not isinstance(sealed, str):
        return None
    summary = listed(row.get("summary"), "summary")
    return unpacked(sealed, "".join(str(s.get("text", "")) for s in summary))


def contents(value: Json, where: str, blobs: Blobs) -> tuple[Part, ...]:
    """Contents: a text, or parts. Raises: Invalid, Unsupported."""
    if isinstance(value, str):
        return plain(value, where)
    return tuple(part(p, f"{where}[{n}]", blobs) for n, p in enumerate(listed(value, where)))


def part(row: Body, where: str, blobs: Blobs) -> Part:
    """One part. Raises: Invalid, Unsupported."""
    match row.get("type"):
        case "input_text" | "output_text" | "text":
            return TextPart(text(row.get("text"), where))
        case "refusal":
            return TextPart(text(row.get("refusal"), where))
        case "input_image":
            return blobs.image(row.get("image_url"), where)
        case "input_audio":
            sound = mapping(row.get("input_audio"), where)
            return blobs.sound(text(sound.get("format"), where), sound.get("data"), where)
        case "input_file":
            return blobs.file(row, where)
        case kind:
            raise Invalid(f"{where}: parts of type {kind!r} are not known here")


def offered(body: Body) -> tuple[tuple[ToolSpec, ...], bool]:
    """The tools, and whether one must be called. Raises: Invalid."""
    tools = tuple(tool(t, f"tools[{n}]") for n, t in enumerate(listed(body.get("tools"), "tools")))
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and choice.get("type") == "allowed_tools":
        names = [allowed(t) for t in listed(choice.get("tools"), "tool_choice.tools")]
        tools = tuple(t for name in names for t in chosen(tools, name, "tool_choice.tools"))
        choice = choice.get("mode")
    match choice:
        case None | "auto":
            return tools, False
        case "none":
            return (), False
        case "required":
            return tools, bool(tools)
        case _:
            return chosen(tools, allowed(mapping(choice, "tool_choice")), "tool_choice"), True


def allowed(row: Body) -> str:
    """The name of a tool that is chosen. Raises: Invalid."""
    return text(row.get("name"), "tool_choice.name")


def tool(row: Body, where: str) -> ToolSpec:
    """One tool. Raises: Invalid."""
    if row.get("type") != "function":
        raise Invalid(f"{where}: tools of type {row.get('type')!r} are not known here")
    return spec(row.get("name"), row.get("description"), row.get("parameters"), where)


def schema(body: Body) -> Body | None:
    """The schema of the answer, if it has one. Raises: Invalid."""
    form = mapping(body.get("text") or {}, "text").get("format") or {}
    match mapping(form, "text.format").get("type", "text"):
        case "text":
            return None
        case "json_object":
            return OBJECT
        case "json_schema":
            return mapping(form.get("schema"), "text.format.schema")
        case kind:
            raise Invalid(f"text.format: there is no type {kind!r}")
