"""Tool calls for models that have none of their own: one JSON object an answer, under a schema.

Small local models ignore native tool calls (measured: 0 of 20 valid), but under a schema of one
shape for each call every answer is legal (20 of 20). Pure: messages in, messages out.
"""

import json
from collections.abc import Mapping, Sequence

from oros.abi.message import Ask, Json, Message, TextPart, say
from oros.abi.ports import ToolSpec

SAY = "say"
TEXT_CHARS = 2000
"""Bounds free text, so that an open string can't run into the token limit."""

HEAD = (
    "\n\nAnswer with ONE JSON object and nothing else: a call, or your words for the user.\n"
    '{"call": "say", "text": "..."} speaks to the user and ends your turn.\nCalls:\n'
)


def card(tool: ToolSpec) -> str:
    """A tool in one line: its name, its arguments, what it does."""
    properties: Mapping[str, Json] = tool.schema.get("properties", {})
    required = set(tool.schema.get("required", ()))
    args = ", ".join(n if n in required else f"{n}?" for n in properties)
    return f"{tool.name}({args}): {tool.about.splitlines()[0]}"


def schema(tools: Sequence[ToolSpec]) -> dict[str, Json]:
    """One object for each call, its name a constant, its strings bounded."""
    text = {"type": "string", "maxLength": TEXT_CHARS}
    shapes: list[Json] = [shape(SAY, {"text": text}, ["text"])]
    for tool in tools:
        properties = {n: bounded(p) for n, p in tool.schema.get("properties", {}).items()}
        shapes.append(shape(tool.name, properties, list(tool.schema.get("required", ()))))
    return {"anyOf": shapes}


def shape(name: str, properties: dict[str, Json], required: list[str]) -> dict[str, Json]:
    """The object of one call."""
    return {
        "type": "object",
        "properties": {"call": {"const": name}, **properties},
        "required": ["call", *required],
        "additionalProperties": False,
    }


def bounded(schema: Mapping[str, Json]) -> Json:
    """A property without what a grammar compiler may not know, and with strings bounded."""
    if "$ref" in schema or "anyOf" in schema or "allOf" in schema:
        return {"type": "number"}
    kept = {k: v for k, v in schema.items() if k in ("type", "enum", "const", "items")}
    if kept.get("type") == "string" and "enum" not in kept:
        kept["maxLength"] = TEXT_CHARS
    return kept


def render(messages: Sequence[Message], tools: Sequence[ToolSpec]) -> tuple[Message, ...]:
    """The conversation in the one-object form: calls as JSON, results as the user's turn."""
    told: list[Message] = []
    for message in messages:
        if message.role == "system" and not told:
            cards = "\n".join(card(t) for t in tools)
            told.append(say("system", message.text + HEAD + cards, message.label))
        elif message.role == "assistant":
            told.append(assistant(message))
        elif message.role == "tool":
            told.append(say("user", f"Result: {message.text}", message.label))
        else:
            told.append(message)
    return tuple(told)


def assistant(message: Message) -> Message:
    """An assistant's turn as the JSON object it was."""
    if message.partial:
        return message
    objects = [{"call": a.name, **a.args} for a in message.asks if isinstance(a.args, dict)]
    texts = [json.dumps(o, ensure_ascii=False) for o in objects]
    if not texts:
        texts = [json.dumps({"call": SAY, "text": message.text}, ensure_ascii=False)]
    return Message("assistant", (TextPart("\n".join(texts)),), label=message.label)


def parse(text: str, turn: int) -> tuple[str, tuple[Ask, ...]]:
    """What the model said: words for the user, or one call. Cut or broken JSON is words."""
    start = text.find("{")
    try:
        found = json.JSONDecoder().raw_decode(text, start)[0] if start >= 0 else None
    except ValueError:
        found = None
    if not isinstance(found, dict) or "call" not in found:
        return text, ()
    name = str(found.pop("call"))
    if name == SAY:
        return str(found.get("text", "")), ()
    return "", (Ask(f"t{turn}", name, found),)
