"""Gives tool calls to a model that has none of its own: one JSON object an answer, under a schema.

Small local models ignore native tool calls (measured: 0 of 20 valid), but under a schema with one
shape for each call every answer is legal (20 of 20). A model behind this wrapper `cans` tools.
The user's words stream as they come; a call is handed on when it is whole. Where the words have a
schema themselves, they are one more call, `answer`, whose `value` is under it.
"""

import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from oros.abi.message import Json, Message, TextPart, noted, say
from oros.abi.ports import (
    AskDelta,
    Delta,
    Finished,
    Model,
    ModelInfo,
    ModelRequest,
    Progress,
    TextDelta,
    ToolSpec,
)
from oros.drivers.wording import args_of

SAY = "say"
CALLED = re.compile(r'\s*\{\s*"call"\s*:\s*"([^"\\]+)"')
"""The beginning of a call, with its name."""
OPEN = '{"call": "say", "text": "'
BEGUN = '{"call": "answer", "value": '
VALUED = re.compile(r'\{\s*"call"\s*:\s*"answer"\s*,\s*"value"\s*:\s*')
"""The beginning of an answer whose words have a schema: they follow, up to the last bracket."""

TEXT_CHARS = 2000
"""Bounds free text, so that an open string can't run into the token limit."""

KEPT = 64
"""Interrupted calls whose beginning is kept, so that a preempted one goes on from there."""

HEAD = "Answer with ONE JSON object and nothing else: a call, or your words for the user.\n"
WORDS = '{"call": "say", "text": "..."} speaks to the user and ends your turn.\nCalls:\n'
VALUE = (
    '{"call": "answer", "value": ...} answers the user and ends your turn; the value is of the'
    " JSON Schema "
)


class ConstrainedModel:
    """A `Model` over a `Model`; requests without tools pass as they are."""

    def __init__(self, inner: Model) -> None:
        self._inner = inner
        self._begun: dict[str, tuple[tuple[Message, ...], str]] = {}

    @property
    def info(self) -> ModelInfo:
        """The inner model's, with tools."""
        info = self._inner.info
        return replace(info, cans=info.cans | {"tools"})

    async def count(self, text: str) -> int:
        """By the inner model."""
        return await self._inner.count(text)

    async def close(self) -> None:
        """Close the inner model."""
        await self._inner.close()

    async def generate(self, request: ModelRequest) -> AsyncIterator[Sequence[Delta]]:
        """Stream words, or one call. Raises: what the inner model raises."""
        if not request.tools:
            async with aclosing(self._inner.generate(request)) as plain:  # type: ignore[type-var]  # a generator
                async for batch in plain:
                    yield batch
            return
        reader = Reader(self._resumable(request), request.schema is not None)
        inner = replace(
            request,
            messages=render(request.messages, request.tools, reader.raw, request.schema),
            tools=(),
            schema=schema(request.tools, request.schema),
        )
        try:
            async with aclosing(self._inner.generate(inner)) as batches:  # type: ignore[type-var]  # a generator
                async for batch in batches:
                    yield [d for delta in batch for d in reader.take(delta, len(request.messages))]
        finally:
            self._keep(request, reader)

    def _resumable(self, request: ModelRequest) -> str:
        """How the answer to this very request began, if it was cut before."""
        last = request.messages[-1]
        if last.role == "assistant" and last.partial and request.schema is not None:
            return BEGUN + last.text
        if last.role == "assistant" and last.partial:
            return OPEN + json.dumps(last.text, ensure_ascii=False)[1:-1]
        begun = self._begun.pop(request.affinity, None)
        return begun[1] if begun and begun[0] == request.messages else ""

    def _keep(self, request: ModelRequest, reader: "Reader") -> None:
        if reader.ended or reader.words or not reader.raw:
            return
        self._begun[request.affinity] = (request.messages, reader.raw)
        while len(self._begun) > KEPT:
            self._begun.pop(next(iter(self._begun)))


@dataclass(slots=True)
class Reader:
    """Reads the object as it streams: words are handed on at once, a call when it is whole."""

    raw: str
    shaped: bool = False
    words: bool = False
    shown: int = 0
    ended: bool = False

    def __post_init__(self) -> None:
        if self._speaks():
            self.shown = len(self._value() if self.shaped else self._said())

    def _speaks(self) -> bool:
        """Whether it is words for the user, and no call."""
        if self.shaped:
            self.words = VALUED.match(self.raw) is not None
        else:
            self.words = self.words or self.raw.replace('":"', '": "').startswith(OPEN)
        return self.words

    def _said(self) -> str:
        """The words so far: the longest readable beginning of what is said, or of a value.

        Brackets at a value's end are kept back: the last of them closes the object around it.
        """
        if self.shaped:
            return self._value().rstrip("} \n")
        body = self.raw[len(OPEN) :]
        end = closing_quote(body)
        text = body if end < 0 else body[:end]
        for cut in range(len(text), max(-1, len(text) - 7), -1):
            try:
                return str(json.loads(f'"{text[:cut]}"', strict=False))
            except ValueError:
                continue
        return ""

    def take(self, delta: Delta, turn: int) -> list[Delta]:
        """The deltas to hand on for one delta of the inner model."""
        match delta:
            case TextDelta(text=text):
                self.raw += text
                return [self._more() or Progress("writing a call", len(self.raw), 0)]
            case Finished(finish=finish):
                self.ended = True
                said = self._rest(whole=finish == "stop") if self.words else self._call(turn)
                if finish == "stop" and any(isinstance(d, AskDelta) for d in said):
                    delta = replace(delta, finish="calls")
                return [*said, delta]
            case _:
                return [delta]

    def _more(self) -> Delta | None:
        if not self._speaks():
            return None
        said = self._said()
        new, self.shown = said[self.shown :], max(self.shown, len(said))
        return TextDelta(new) if new else None

    def _value(self) -> str:
        """The value so far, and perhaps what closes the object around it."""
        return VALUED.sub("", self.raw, count=1)

    def _rest(self, *, whole: bool) -> list[Delta]:
        """What was kept back of a value; `whole`: the object around it is closed."""
        value = self._value().rstrip() if self.shaped else ""
        new = value.removesuffix("}" if whole else "")[self.shown :]
        return [TextDelta(new)] if new else []

    def _call(self, turn: int) -> list[Delta]:
        found = first_object(self.raw)
        if found is None and self.raw.lstrip().startswith('{"call"'):  # cut: a call is no words
            begun = CALLED.match(self.raw)
            named = begun[1] if begun else SAY
            speaks = named == SAY or (self.shaped and named == "answer")
            return [] if speaks else [AskDelta(0, f"t{turn}", named, self.raw)]
        if found is None or "call" not in found:
            return [TextDelta(self.raw)] if self.raw else []
        name = str(found.pop("call"))
        if name == SAY:
            return [TextDelta(str(found.get("text", "")))]
        return [AskDelta(0, f"t{turn}", name, json.dumps(found, ensure_ascii=False))]


def closing_quote(text: str) -> int:
    """Where a JSON string ends; -1 if it is still open."""
    at = text.find('"')
    while at > 0 and (len(text[:at]) - len(text[:at].rstrip("\\"))) % 2:
        at = text.find('"', at + 1)
    return at


def first_object(text: str) -> dict[str, Json] | None:
    """The first JSON object of a text; None if there is none that is whole."""
    start = text.find("{")
    try:
        found = json.JSONDecoder(strict=False).raw_decode(text, start)[0] if start >= 0 else None
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def card(tool: ToolSpec) -> str:
    """A tool in one line: its name, its arguments, what it does."""
    properties: Mapping[str, Json] = tool.schema.get("properties", {})
    required = set(tool.schema.get("required", ()))
    args = ", ".join(n if n in required else f"{n}?" for n in properties)
    return f"{tool.name}({args}): {tool.about.splitlines()[0]}"


def schema(tools: Sequence[ToolSpec], words: Mapping[str, Json] | None = None) -> dict[str, Json]:
    """One object for each call, its name a constant, its strings bounded.

    `words`: what the words for the user are to be; its definitions stay on top, where they are
    referred to.
    """
    if words is None:
        shapes: list[Json] = [
            shape(SAY, {"text": {"type": "string", "maxLength": TEXT_CHARS}}, ["text"])
        ]
        above: dict[str, Json] = {}
    else:
        above = {k: v for k, v in words.items() if k in ("$defs", "definitions")}
        value = {k: v for k, v in words.items() if k not in above}
        shapes = [shape("answer", {"value": value}, ["value"])]
    for tool in tools:
        properties = {n: bounded(p) for n, p in tool.schema.get("properties", {}).items()}
        kept = {n: p for n, p in properties.items() if p is not None}
        shapes.append(shape(tool.name, kept, list(tool.schema.get("required", ()))))
    return {"anyOf": shapes, **above}


def shape(name: str, properties: dict[str, Json], required: list[str]) -> dict[str, Json]:
    """The object of one call."""
    return {
        "type": "object",
        "properties": {"call": {"const": name}, **properties},
        "required": ["call", *required],
        "additionalProperties": False,
    }


def bounded(prop: Mapping[str, Json]) -> Json:
    """A property in what a grammar compiler knows, strings bounded; None for what is left out."""
    if "anyOf" in prop:
        return next((bounded(p) for p in prop["anyOf"] if p.get("type") != "null"), None)
    if "$ref" in prop or prop.get("type") == "object":
        return None
    kept = {k: v for k, v in prop.items() if k in ("type", "enum", "const", "items")}
    if kept.get("type") == "string" and "enum" not in kept:
        kept["maxLength"] = TEXT_CHARS
    return kept


def render(
    messages: Sequence[Message],
    tools: Sequence[ToolSpec],
    begun: str,
    words: Mapping[str, Json] | None = None,
) -> tuple[Message, ...]:
    """The conversation in the one-object form: calls as JSON, results as the user's turn.

    `words` as in `schema`.
    """
    told: list[Message] = []
    how = WORDS if words is None else f"{VALUE}{json.dumps(dict(words))}\nCalls:\n"
    cards = "\n".join(card(t) for t in tools)
    for message in noted(tuple(messages), HEAD + how + cards):
        if message.role == "assistant" and not message.partial:
            told.append(assistant(message))
        elif message.role == "tool":
            told.append(say("user", f"Result: {message.text}", message.label))
        elif not message.partial:
            told.append(message)
    if begun:
        told.append(Message("assistant", (TextPart(begun),), partial=True))
    return tuple(told)


def assistant(message: Message) -> Message:
    """An assistant's turn as the JSON object it was."""
    objects = [{"call": a.name, **args_of(a)} for a in message.asks]
    texts = [json.dumps(o, ensure_ascii=False) for o in objects]
    if not texts:
        texts = [json.dumps({"call": SAY, "text": message.text}, ensure_ascii=False)]
    return Message("assistant", (TextPart("\n".join(texts)),), label=message.label)
