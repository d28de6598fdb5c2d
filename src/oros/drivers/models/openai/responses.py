"""Responses: items that are sent, events that come; the platform keeps nothing. Opens nothing."""

import json
from collections.abc import Iterable, Mapping

from oros.abi.message import ImagePart, Json, Message, ReasoningPart, stands
from oros.abi.ports import AskDelta, Delta, ModelInfo, ModelRequest, ReasoningDelta
from oros.drivers.media import data_url, shown
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
from oros.drivers.wording import GO_ON, Ids, Names


class Responses(OpenAIDialect):
    """The dialect."""

    place = "/responses"

    def parameters(self, request: ModelRequest, model: str, info: ModelInfo) -> dict[str, Json]:
        """The body of a request, before what this server takes no more is left out."""
        who, names, ids = by(self.quirks, model), names_of(request), Ids()
        body: dict[str, Json] = {
            "model": model,
            "input": [
                item
                for message in request.messages
                for item in items(message, request, who, info, names, ids)
            ],
            "max_output_tokens": request.max_tokens,
            "temperature": request.temperature,
            "stream": True,
            "store": False,
            "include": ["reasoning.encrypted_content"],
        }
        if self.effort:
            seen = {} if "summary" in self.without else {"summary": "auto"}
            body["reasoning"] = {"effort": self.effort, **seen}
        last = request.messages[-1]
        if last.role == "assistant" and last.partial:
            body["input"].append({"type": "message", "role": "user", "content": GO_ON})
        body |= self.kept(request)
        if request.nice and self.quirks.nice:
            body["priority"] = request.nice * self.quirks.nice
        if request.tools:
            body["tools"] = [
                {
                    "type": "function",
                    "name": names.said(t.name),
                    "description": t.about,
                    "parameters": dict(t.schema),
                    "strict": False,  # by default all arguments would be required
                }
                for t in request.tools
            ]
        if request.schema is not None:
            shape: dict[str, Json] = {
                "type": "json_schema",
                "name": "answer",
                "schema": dict(request.schema),
            }
            if "strict" not in self.without:
                shape["strict"] = strict(request.schema)
            body["text"] = {"format": shape}
        return body

    def fold(self, request: ModelRequest, info: ModelInfo) -> "Events":
        """What reads the answer to a request."""
        return Events(request, info, self.quirks, self.model)


def items(
    message: Message, request: ModelRequest, who: str, info: ModelInfo, names: Names, ids: Ids
) -> Iterable[dict[str, Json]]:
    """A message as items: its thoughts, its words, its calls.

    A result without its call, which left the window, is a user's words.
    """
    known = ids.answered(message.answers) if message.role == "tool" else None
    if known is not None:
        parts = content(message, request, info)
        plain = all(p["type"] == "input_text" for p in parts)
        output: Json = "".join(p["text"] for p in parts) if plain else parts
        yield {"type": "function_call_output", "call_id": known[0], "output": output}
        return
    for part in message.parts:
        if isinstance(part, ReasoningPart) and part.by == who and part.opaque:
            yield json.loads(part.opaque)
    if message.role == "assistant":
        if text := "".join(map(stands, message.parts)):
            said = {"type": "output_text", "text": text, "annotations": []}
            yield {"type": "message", "role": "assistant", "content": [said]}
    else:
        parts = content(message, request, info)
        role = "user" if message.role == "tool" else message.role
        yield {"type": "message", "role": role, "content": parts}
    for ask in message.asks:
        call = {"type": "function_call", "call_id": ids.asked(ask), "name": names.said(ask.name)}
        yield {**call, "arguments": args_text(ask)}


def content(message: Message, request: ModelRequest, info: ModelInfo) -> list[dict[str, Json]]:
    """The parts; what this model can't be shown is told by what stands for it."""
    found: list[dict[str, Json]] = []
    for part in message.parts:
        if isinstance(part, ImagePart) and "image" in info.cans and message.role != "system":
            data = shown(part, request.fetch)
            if not isinstance(data, str):
                url = data_url(part.mime, data)
                found.append({"type": "input_image", "image_url": url, "detail": "auto"})
                continue
            text = data
        else:
            text = stands(part)
        if text:
            found.append({"type": "input_text", "text": text})
    return found or [{"type": "input_text", "text": ""}]


class Events(Answer):
    """Folds the events of a stream into deltas; items keep their number as index."""

    def __init__(self, request: ModelRequest, info: ModelInfo, quirks: Quirks, model: str) -> None:
        super().__init__(request, info, watch=True)
        self._by = by(quirks, model)
        self._told: set[int] = set()  # items of which more than their beginning was streamed
        self._called = False
        self._names = names_of(request)
        self._places: dict[str, int] = {}

    def heard(self, frame: dict[str, Json], found: list[Delta]) -> None:
        """Add the deltas of an event; kinds that are not known yet say nothing."""
        match frame["type"]:
            case "response.output_text.delta" | "response.refusal.delta":
                self._told.add(self._place(frame))
                self.said(text_of(frame["delta"]), found)
            case "response.function_call_arguments.delta":
                self._told.add(index := self._place(frame))
                found.append(AskDelta(index, args=text_of(frame["delta"])))
            case "response.reasoning_summary_text.delta" | "response.reasoning_text.delta":
                self._told.add(index := self._place(frame))
                found.append(ReasoningDelta(index, text_of(frame["delta"]), self._by))
            case "response.reasoning_summary_part.added" if frame.get("summary_index"):
                found.append(ReasoningDelta(self._place(frame), "\n\n", self._by))
            case "response.output_item.added":
                self._begun(self._place(frame), frame["item"], found)
            case "response.output_item.done":
                self._whole(self._place(frame), frame["item"], found)
            case "response.completed" | "response.incomplete" | "response.failed":
                self._over(frame["response"], found)
            case "error":
                raise self.failed(frame.get("error") or frame)
            case _:
                pass

    def _place(self, frame: Mapping[str, Json]) -> int:
        """The number of the item that an event is about; some servers tell only its id."""
        index = frame.get("output_index")
        if index is not None:
            return int(index)
        item = frame.get("item") or {}
        mark = str(frame.get("item_id") or item.get("id") or item.get("call_id"))
        return self._places.setdefault(mark, len(self._places))

    def _begun(self, index: int, item: Mapping[str, Json], found: list[Delta]) -> None:
        if item["type"] == "function_call":
            self._called = True
            found.append(AskDelta(index, text_of(item["call_id"]), self._names.meant(item["name"])))

    def _whole(self, index: int, item: Mapping[str, Json], found: list[Delta]) -> None:
        """An item is whole: what of it was not streamed comes now, and what goes back as it is."""
        match item["type"]:
            case "function_call" if index not in self._told:
                found.append(AskDelta(index, args=text_of(item.get("arguments"))))
            case "message" if index not in self._told:
                for part in item["content"]:
                    self.said(text_of(part.get("text") or part.get("refusal")), found)
            case "reasoning":
                texts = item.get("summary") or item.get("content") or ()
                thought = "\n\n".join(text_of(t["text"]) for t in texts)
                kept = {k: v for k, v in item.items() if k != "status" and v is not None}
                told = "" if index in self._told else thought
                found.append(ReasoningDelta(index, told, self._by, json.dumps(kept)))
            case _:
                pass

    def _over(self, response: Mapping[str, Json], found: list[Delta]) -> None:
        """The response is over, one way or another."""
        if response.get("usage"):
            self.usage = usage_of(response["usage"], self.info)
        self.done = True
        match response["status"]:
            case "completed":
                self.ended("calls" if self._called else "stop", found)
            case "incomplete":
                why = (response.get("incomplete_details") or {}).get("reason")
                if why == "content_filter":
                    self.declined()
                self.ended("stop" if why == "content_filter" else "length", found)
            case _:
                raise self.failed(response.get("error") or response["status"])
