"""Chat Completions: what is sent and what chunks mean, with each server's quirks. Opens nothing."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from oros.abi.events import Finish
from oros.abi.ids import BlobId
from oros.abi.message import AudioPart, ImagePart, Json, Message, ReasoningPart, TextPart, stands
from oros.abi.ports import AskDelta, Delta, ModelInfo, ModelRequest, ReasoningDelta
from oros.drivers.media import SOUNDS, data_url, shown
from oros.drivers.models.openai.answer import (
    Answer,
    args_text,
    by,
    names_of,
    strict,
    text_of,
    usage_of,
)
from oros.drivers.models.openai.dialect import OpenAIDialect
from oros.drivers.models.openai.quirks import Quirks
from oros.drivers.models.openai.refusals import OTHER_LIMIT
from oros.drivers.wording import GO_ON, Ids, worded

FINISHES: dict[str, Finish] = {
    "stop": "stop",
    "length": "length",
    "model_length": "length",
    "tool_calls": "calls",
    "function_call": "calls",
}
THOUGHTS = ("reasoning_content", "reasoning")
"""Fields of a delta in which servers stream what a model thinks."""

BELOW = "What the tools gave, as pictures and sounds, in order:"


class Chat(OpenAIDialect):
    """The dialect."""

    place = "/chat/completions"
    resumes = True

    def parameters(self, request: ModelRequest, model: str, info: ModelInfo) -> dict[str, Json]:
        """The body of a request, before what this server takes no more is left out."""
        quirks = self.quirks
        if quirks.shape == "object" or "response_format" in self.without:  # or knows no schemas
            request = replace(request, messages=worded(request).messages)
        limit = quirks.limit if quirks.limit not in self.without else OTHER_LIMIT[quirks.limit]
        body: dict[str, Json] = {
            "model": model,
            "messages": conversation(request, model, info, quirks),
            limit: request.max_tokens,
            "temperature": request.temperature,
            "stream": True,
        }
        body |= self.options(request)
        names = names_of(request)
        if request.tools:
            body["tools"] = [
                {
                    "type": "function",
                    "function": {
                        "name": names.said(t.name),
                        "description": t.about,
                        "parameters": dict(t.schema),
                    },
                }
                for t in request.tools
            ]
        if request.schema is not None:
            body["response_format"] = self.shape(request.schema)
        if quirks.begun == "continue" and gone_on(request, info, quirks):
            body |= {"continue_final_message": True, "add_generation_prompt": False}
        return body

    def options(self, request: ModelRequest) -> dict[str, Json]:
        """What not every request says, or not every server takes."""
        quirks = self.quirks
        found: dict[str, Json] = {}
        if quirks.usage:
            found["stream_options"] = {"include_usage": True}
        if self.effort:
            found["reasoning_effort"] = self.effort
        if request.seed and quirks.seed:
            found[quirks.seed] = request.seed
        if request.stop:
            found["stop"] = list(request.stop)
        if request.grammar and quirks.grammar:
            found[quirks.grammar] = request.grammar
        if request.nice and quirks.nice:
            found["priority"] = request.nice * quirks.nice
        found |= self.kept(request)
        if quirks.slots:
            found["cache_prompt"] = True
            if (slot := self.places.of(request.affinity)) is not None:
                found["id_slot"] = slot
        return found

    def shape(self, schema: Mapping[str, Json]) -> Json:
        """How a schema is asked for."""
        if self.quirks.shape == "object":
            return {"type": "json_object"}
        named: dict[str, Json] = {"name": "answer", "schema": dict(schema)}
        if self.quirks.shape == "strict" and "strict" not in self.without:
            named["strict"] = strict(schema)
        return {"type": "json_schema", "json_schema": named}

    def fold(self, request: ModelRequest, info: ModelInfo) -> "Chunks":
        """What reads the answer to a request."""
        return Chunks(request, info, self.quirks, self.model, watch="stop" in self.without)


def gone_on(request: ModelRequest, info: ModelInfo, quirks: Quirks) -> bool:
    """Whether the last message is a partial answer that the model goes on from by itself."""
    last = request.messages[-1]
    goes = quirks.begun and "resume" in info.cans
    return bool(goes and last.role == "assistant" and last.partial)


def conversation(
    request: ModelRequest, model: str, info: ModelInfo, quirks: Quirks
) -> list[dict[str, Json]]:
    """All messages; pictures that tools gave come after the last result, as a user's."""
    told: list[dict[str, Json]] = []
    teller = Teller(request, info, quirks, by(quirks, model))
    for message in request.messages:
        if message.role != "tool":
            told += teller.shown_below()
        told.append(teller.turn(message))
    told += teller.shown_below()
    last = request.messages[-1]
    if gone_on(request, info, quirks):
        if quirks.begun == "prefix":
            told[-1]["prefix"] = True
    elif last.role == "assistant" and last.partial:
        told.append({"role": "user", "content": GO_ON})
    return told


class Teller:
    """Tells messages in this dialect, one after another."""

    def __init__(self, request: ModelRequest, info: ModelInfo, quirks: Quirks, who: str) -> None:
        self._fetch = request.fetch
        self._info = info
        self._quirks = quirks
        self._who = who
        self._names = names_of(request)
        self._ids = Ids()
        self._below: list[Json] = []

    def shown_below(self) -> list[dict[str, Json]]:
        """What results of tools may not hold, as a user's message; none if there is nothing."""
        shows, self._below = self._below, []
        return [{"role": "user", "content": [text_part(BELOW), *shows]}] if shows else []

    def turn(self, message: Message) -> dict[str, Json]:
        """A message. A result without its call, which left the window, is a user's words."""
        words = all(isinstance(p, TextPart | ReasoningPart) for p in message.parts)
        parts = [] if words else list(pieces(message, self._info, self._fetch))
        found: dict[str, Json] = {"role": message.role}
        if message.role == "tool":
            known = self._ids.answered(message.answers)
            if known is None:
                found["role"] = "user"
            else:
                found["tool_call_id"] = self._id(known[0])
                shows = [p for p in parts if p["type"] != "text"]
                self._below += shows
                parts = [text_part("[shown below]") if p in shows else p for p in parts]
        if words:
            found["content"] = message.text
        elif all(p["type"] == "text" for p in parts):
            found["content"] = "".join(p["text"] for p in parts)
        else:
            found["content"] = parts
        return self._answer(message, found) if message.role == "assistant" else found

    def _answer(self, message: Message, found: dict[str, Json]) -> dict[str, Json]:
        """What a model said: its thoughts and its calls beside its words."""
        mine = [p for p in message.parts if isinstance(p, ReasoningPart) and p.by == self._who]
        thought(mine, found, self._quirks, owed=bool(message.asks) and self._quirks.owed)
        if message.asks:
            found["tool_calls"] = [
                {
                    "id": self._id(self._ids.asked(a)),
                    "type": "function",
                    "function": {"name": self._names.said(a.name), "arguments": args_text(a)},
                }
                for a in message.asks
            ]
            found["content"] = found["content"] or None
        return found

    def _id(self, mark: str) -> str:
        """A call's id as the server takes it: its own, or one made of it."""
        size = self._quirks.ids
        if not size or (len(mark) == size and mark.isalnum()):
            return mark
        return hashlib.sha256(mark.encode()).hexdigest()[:size]


def thought(
    mine: list[ReasoningPart], found: dict[str, Json], quirks: Quirks, *, owed: bool
) -> None:
    """Put a turn's thoughts where this server wants them back."""
    text = "".join(p.thought for p in mine)
    match quirks.thoughts:
        case "":
            return
        case "reasoning_details":
            details = [d for p in mine if p.opaque for d in json.loads(p.opaque)]
            found |= {"reasoning_details": details} if details else {}
        case "thinking":  # as a part of what was said
            if text:
                said = [text_part(found["content"])] if found["content"] else []
                found["content"] = [{"type": "thinking", "thinking": [text_part(text)]}, *said]
        case field:
            found |= {field: text} if text or owed else {}


def pieces(
    message: Message, info: ModelInfo, fetch: Callable[[BlobId], bytes] | None
) -> Iterable[dict[str, Json]]:
    """The parts of a message; what this model can't be shown is told by what stands for it."""
    for part in message.parts:
        match part:
            case ImagePart(mime=mime) if "image" in info.cans and message.role in ("user", "tool"):
                data = shown(part, fetch)
                if isinstance(data, str):
                    yield text_part(data)
                else:
                    yield {"type": "image_url", "image_url": {"url": data_url(mime, data)}}
            case AudioPart(mime=mime) if "audio" in info.cans and mime in SOUNDS:
                data = shown(part, fetch)
                if isinstance(data, str):
                    yield text_part(data)
                else:
                    sound = {"data": data_url(mime, data).split(",", 1)[1], "format": SOUNDS[mime]}
                    yield {"type": "input_audio", "input_audio": sound}
            case TextPart(text=text):
                yield text_part(text)
            case ReasoningPart():
                pass
            case _:
                yield text_part(stands(part))


def text_part(text: str) -> dict[str, Json]:
    """Words as a part."""
    return {"type": "text", "text": text}


class Chunks(Answer):
    """Folds the chunks of a stream into deltas."""

    def __init__(
        self,
        request: ModelRequest,
        info: ModelInfo,
        quirks: Quirks,
        model: str,
        *,
        watch: bool = False,
    ) -> None:
        super().__init__(request, info, watch=watch)
        self._by = by(quirks, model)
        self._apart = quirks.apart
        self._names = names_of(request)
        self._calls: list[tuple[int, str, str]] = []  # (index, id, name) as the server has them
        self._details: dict[int, dict[str, Json]] = {}

    def heard(self, frame: dict[str, Json], found: list[Delta]) -> None:
        """Add the deltas of a chunk."""
        if frame.get("error"):
            raise self.failed(frame["error"])
        if frame.get("usage"):
            self.usage = usage_of(frame["usage"], self.info, apart=self._apart)
        for choice in frame.get("choices") or ():
            delta = choice.get("delta") or {}
            content = delta.get("content")
            if isinstance(content, str):
                self.said(content, found)
            elif content:
                self._parts(content, found)
            if len(delta) > 1 or not content:
                self._more(delta, found)
            if ended := choice.get("finish_reason"):
                if ended == "content_filter":
                    self.declined()
                finish = FINISHES.get(ended, "stop")
                self.ended("calls" if self._calls and finish == "stop" else finish, found)

    def _parts(self, content: list[Json], found: list[Delta]) -> None:
        """Words and thoughts as parts, as Mistral has them."""
        for part in content:
            if part["type"] == "thinking":
                text = "".join(text_of(t.get("text")) for t in part["thinking"])
                found.append(ReasoningDelta(0, text, self._by))
            elif part["type"] == "text":
                self.said(text_of(part["text"]), found)

    def _more(self, delta: Mapping[str, Json], found: list[Delta]) -> None:
        """What is rarer than words."""
        if details := delta.get("reasoning_details"):
            for detail in details:
                self._detail(detail)
        for field in THOUGHTS:
            if thought := text_of(delta.get(field)):
                found.append(ReasoningDelta(0, thought, self._by))
                break
        if refusal := text_of(delta.get("refusal")):
            self.said(refusal, found)
        for call in delta.get("tool_calls") or ():
            self._call(call, found)

    def _call(self, call: Mapping[str, Json], found: list[Delta]) -> None:
        """A piece of a call. Some servers give all one index, or say id and name each time."""
        function = call.get("function") or {}
        name, mark = text_of(function.get("name")), text_of(call.get("id"))
        index = int(call.get("index") or 0)
        slot = next((i for i, c in reversed([*enumerate(self._calls)]) if c[0] == index), -1)
        if slot < 0 or (name and mark and mark != self._calls[slot][1]):
            slot = len(self._calls)
            self._calls.append((index, mark, name))
        elif name == self._calls[slot][2]:
            name = ""
        args = text_of(function.get("arguments"))
        found.append(AskDelta(slot, mark, self._names.meant(name), args))

    def _detail(self, detail: Mapping[str, Json]) -> None:
        """A piece of what OpenRouter wants back whole."""
        index = int(detail.get("index") or 0)
        known = self._details.setdefault(index, {})
        for key, value in detail.items():
            grows = key in ("text", "summary", "data") and isinstance(value, str)
            if grows and isinstance(known.get(key), str):
                known[key] += value
            elif value is not None:
                known[key] = value

    def ended(self, finish: Finish, found: list[Delta]) -> None:
        """Note how it ended; the thoughts that go back as they came are whole by now."""
        if self._details:
            whole = json.dumps([d for _, d in sorted(self._details.items())])
            found.append(ReasoningDelta(0, "", self._by, whole))
            self._details = {}
        super().ended(finish, found)
