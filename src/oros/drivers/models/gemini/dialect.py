"""Google's Gemini API: requests and chunks in this dialect, as values. Opens no connection."""

import json
import re
from collections.abc import Mapping
from urllib.parse import quote

from oros.abi.errors import BadReply, Busy, NotAuthorized, OrosError, TooBig, Unsupported
from oros.abi.events import Finish
from oros.abi.grants import Usage
from oros.abi.message import AudioPart, ImagePart, Json, Message, Part, ReasoningPart, stands
from oros.abi.ports import AskDelta, Delta, ModelInfo, ModelRequest, ReasoningDelta, TextDelta
from oros.drivers.media import shown
from oros.drivers.streaming import Dialect, Fold
from oros.drivers.wording import GO_ON, Ids, Names, args_of, base64_of, priced, worded

BY = "gemini"
MIMES = {
    *("image/png", "image/jpeg", "image/webp", "image/heic", "image/heif"),
    *("audio/wav", "audio/mp3", "audio/mpeg", "audio/aiff", "audio/aac", "audio/ogg", "audio/flac"),
}
MOST = 14 << 20
"""Bytes of a picture or sound: a request is 20 MB at most, and base64 takes a third more."""

UNSIGNED = "skip_thought_signature_validator"
"""What stands for the signature of a call that another platform's model made."""

SECOND = re.compile(r"(models/)?gemini-[12]\b")
"""Models that take a temperature and a budget of thought; later ones take a level."""

BOTH = re.compile(r"(models/)?gemini-(?:[3-9]|\d\d)")
"""Models that take a schema for the answer beside tools; others refuse the two together."""

BUDGETS = {"minimal": 512, "low": 1024, "medium": 8192, "high": 24576}

WORDS = 1 << 20
"""The index of the signature that belongs to the words, behind those of the calls."""

BROKEN = {"MALFORMED_FUNCTION_CALL", "MALFORMED_RESPONSE", "UNEXPECTED_TOOL_CALL", "OTHER"}
"""Ways to end that say the model wrote rubbish; another try may be better."""


class Gemini(Dialect):
    """The dialect. `effort` (minimal to high): how much the model thinks; "" leaves it to it."""

    def __init__(self, effort: str = "") -> None:
        self._effort = effort

    def path(self, model: str) -> str:
        """The model's own; the key is not in it."""
        name = model if "/" in model else f"models/{model}"
        return f"/{quote(name)}:streamGenerateContent?alt=sse"

    def headers(self, key: str | None) -> dict[str, str]:
        """The key."""
        return {"x-goog-api-key": key} if key else {}

    def body(self, request: ModelRequest, model: str, info: ModelInfo) -> dict[str, Json]:
        """The body of a request."""
        if "schema" not in info.cans or (request.tools and not BOTH.match(model)):
            request = worded(request)
        names = names_of(request)
        system, contents = conversation(request, model, info, names)
        how: dict[str, Json] = {"maxOutputTokens": request.max_tokens}
        if SECOND.match(model):  # later ones loop when they are not left at their own
            how["temperature"] = request.temperature
        if request.seed:
            how["seed"] = request.seed
        if request.stop:
            how["stopSequences"] = list(request.stop)
        if request.schema is not None:
            how["responseMimeType"] = "application/json"
            how["responseJsonSchema"] = dict(request.schema)
        if self._effort:
            much: dict[str, Json] = {"thinkingLevel": self._effort}
            if SECOND.match(model):
                much = {"thinkingBudget": BUDGETS.get(self._effort, -1)}
            how["thinkingConfig"] = {"includeThoughts": True, **much}
        body: dict[str, Json] = {"contents": contents, "generationConfig": how}
        if system:
            body["systemInstruction"] = {"parts": [{"text": system}]}
        if request.tools:
            told = [
                {
                    "name": names.said(t.name),
                    "description": t.about,
                    "parametersJsonSchema": dict(t.schema),
                }
                for t in request.tools
            ]
            body["tools"] = [{"functionDeclarations": told}]
        return body

    def fold(self, request: ModelRequest, info: ModelInfo) -> "Chunks":
        """What reads the answer to a request."""
        return Chunks(request, info)

    def refused(
        self, why: str, status: int, error: Mapping[str, Json], wait: float | None
    ) -> OrosError | None:
        """By the status in the error and its details."""
        return error_of(why, status, error, wait)

    def spoiled(self, error: OrosError) -> bool:
        """By its words."""
        return "thought signature" in error.why.lower().replace("_", " ")


def names_of(request: ModelRequest) -> Names:
    """The names of a request's tools."""
    return Names(t.name for t in request.tools)


def conversation(
    request: ModelRequest, model: str, info: ModelInfo, names: Names
) -> tuple[str, list[dict[str, Json]]]:
    """The system's text, and the turns of user and model."""
    head, ids = 0, Ids()
    while head < len(request.messages) and request.messages[head].role == "system":
        head += 1
    turns: list[dict[str, Json]] = []
    for message in request.messages[head:]:
        role = "model" if message.role == "assistant" else "user"
        if message.role == "assistant":
            parts = answered(message, names, ids, signed=not SECOND.match(model))
        elif message.role == "tool" and (known := ids.answered(message.answers)) is not None:
            parts = result(message, request, info, (known[0], names.said(known[1])))
        else:
            parts = [p for part in message.parts for p in shown_part(part, request, info)]
        if turns and turns[-1]["role"] == role:
            turns[-1]["parts"] += parts
        elif parts:
            turns.append({"role": role, "parts": parts})
    if turns and turns[-1]["role"] == "model":
        turns.append({"role": "user", "parts": [{"text": GO_ON}]})
    return "\n\n".join(m.text for m in request.messages[:head] if m.text), turns


def shown_part(part: Part, request: ModelRequest, info: ModelInfo) -> list[dict[str, Json]]:
    """A part of a user's turn; none for what this platform is not sent."""
    text = stands(part)
    if isinstance(part, ImagePart | AudioPart) and part.kind in info.cans and part.mime in MIMES:
        data = shown(part, request.fetch, MOST)
        if isinstance(data, bytes):
            return [{"inlineData": {"mimeType": part.mime, "data": base64_of(data)}}]
        text = data
    return [{"text": text}] if text else []


def result(
    message: Message, request: ModelRequest, info: ModelInfo, call: tuple[str, str]
) -> list[dict[str, Json]]:
    """What a tool gave: its words as the response, its pictures behind it."""
    parts = [p for part in message.parts for p in shown_part(part, request, info)]
    words = "".join(p["text"] for p in parts if "text" in p)
    told = {"id": call[0], "name": call[1], "response": {"output": words}}
    return [{"functionResponse": told}, *(p for p in parts if "text" not in p)]


def answered(message: Message, names: Names, ids: Ids, *, signed: bool) -> list[dict[str, Json]]:
    """A model's turn, with each signature at the part that it came with.

    `signed`: the platform refuses calls without; the first of a turn is enough.
    """
    seals = {s["at"]: (s, thought) for s, thought in sealed(message)}
    found: list[dict[str, Json]] = []
    if "thought" in seals:
        seal, thought = seals["thought"]
        found = [{"text": thought, "thought": True, "thoughtSignature": seal["signature"]}]
    words = "".join(stands(p) for p in message.parts)
    if "text" in seals:  # a part with a signature is not joined to one without
        seal = seals["text"][0]
        start, end = seal["from"], seal["to"]
        own = {"text": words[start:end], "thoughtSignature": seal["signature"]}
        pieces: list[dict[str, Json]] = [{"text": words[:start]}, own, {"text": words[end:]}]
    else:
        pieces = [{"text": words}]
    found += [p for p in pieces if p["text"] or "thoughtSignature" in p]
    for at, ask in enumerate(message.asks):
        call = {"id": ids.asked(ask), "name": names.said(ask.name), "args": args_of(ask)}
        found.append({"functionCall": call})
        if at in seals:
            found[-1]["thoughtSignature"] = seals[at][0]["signature"]
        elif signed and at == 0:
            found[-1]["thoughtSignature"] = UNSIGNED
    return found


def sealed(message: Message) -> list[tuple[dict[str, Json], str]]:
    """The signatures of this platform in a message, each with the thought it came with."""
    return [
        (json.loads(p.opaque), p.thought)
        for p in message.parts
        if isinstance(p, ReasoningPart) and p.by == BY and p.opaque
    ]


class Chunks(Fold):
    """Folds chunks into deltas; calls come whole, signatures beside what they sign."""

    def __init__(self, request: ModelRequest, info: ModelInfo) -> None:
        super().__init__(request, info)
        self._names = names_of(request)
        self._calls = self._words = 0

    def heard(self, frame: dict[str, Json], found: list[Delta]) -> None:
        """Add the deltas of a chunk."""
        if frame.get("error"):
            error = frame["error"]
            why = " ".join(str(error.get("message")).split())[:300]
            raise error_of(why, 200, error, None) or BadReply(f"the server said: {why}")
        if frame.get("usageMetadata"):
            self.usage = priced(usage_of(frame["usageMetadata"]), self.info)
        blocked = (frame.get("promptFeedback") or {}).get("blockReason")
        if blocked:
            raise Unsupported(f"the platform declined the prompt: {blocked}", "other words")
        for candidate in (frame.get("candidates") or ())[:1]:
            for part in (candidate.get("content") or {}).get("parts") or ():
                self._part(part, found, frame.get("responseId") or "")
            if candidate.get("finishReason"):
                self.finish = self._ended(candidate)

    def _part(self, part: Mapping[str, Json], found: list[Delta], answer: str) -> None:
        at: int | str = "text"
        start = self._words
        if call := part.get("functionCall"):
            at = self._calls
            args = json.dumps({**(call.get("args") or {})}, ensure_ascii=False)
            mark = call.get("id") or (f"{answer}-{at}" if answer else "")
            found.append(AskDelta(at, mark, self._names.meant(call["name"]), args))
            self._calls += 1
        elif part.get("thought"):
            found.append(ReasoningDelta(0, part.get("text", "") + "", BY))
            at = "thought"
        elif part.get("text"):
            found.append(TextDelta(part["text"] + ""))
            self._words += len(part["text"])
        if seal := part.get("thoughtSignature"):
            index = at + 1 if isinstance(at, int) else WORDS
            kept = {"at": at, "signature": seal + ""}
            if at == "text":
                kept |= {"from": start, "to": self._words}
            found.append(ReasoningDelta(0 if at == "thought" else index, "", BY, json.dumps(kept)))

    def _ended(self, candidate: Mapping[str, Json]) -> Finish:
        """How an answer ended. Raises: Unsupported if the platform stopped it, BadReply."""
        reason = str(candidate["finishReason"])
        match reason:
            case "STOP":
                return "calls" if self._calls else "stop"
            case "MAX_TOKENS":
                return "length"
            case reason if reason in BROKEN:
                more = " ".join(str(candidate.get("finishMessage") or "").split())[:200]
                raise BadReply(f"the model broke off: {reason} {more}".rstrip())
            case _:
                why = f"the platform stopped the answer: {reason}"
                raise Unsupported(why, "another model, or other words")


def usage_of(data: Mapping[str, Json]) -> Usage:
    """What the platform counted; thoughts are beside the candidates' tokens."""
    thought = int(data.get("thoughtsTokenCount") or 0)
    read = int(data.get("promptTokenCount") or 0) + int(data.get("toolUsePromptTokenCount") or 0)
    wrote = int(data.get("candidatesTokenCount") or 0) + thought
    return Usage(read, wrote, int(data.get("cachedContentTokenCount") or 0), reasoning=thought)


def error_of(
    why: str, status: int, error: Mapping[str, Json], wait: float | None
) -> OrosError | None:
    """What an error means; None if it says no more than its status."""
    details = [d for d in error.get("details") or () if isinstance(d, dict)]
    if any(d.get("reason") == "API_KEY_INVALID" for d in details):
        return NotAuthorized(why, "look at its key or key_env in config.toml")
    if "token count" in why and "exceeds" in why:
        return TooBig(why, "a model with a larger window, or a smaller job")
    match error.get("status"):
        case "RESOURCE_EXHAUSTED":
            return Busy(why, "it is tried again", delay(details) if wait is None else wait)
        case "UNAVAILABLE" if status == 200:
            return Busy(why, "it is tried again", wait)
        case "UNAUTHENTICATED" | "PERMISSION_DENIED":
            return NotAuthorized(why, "look at its key or key_env in config.toml")
        case _:
            return None


def delay(details: list[dict[str, Json]]) -> float | None:
    """Seconds to wait, by a RetryInfo such as `{"retryDelay": "34.07s"}`."""
    for detail in details:
        found = re.fullmatch(r"(\d{1,6}(?:\.\d+)?)s", str(detail.get("retryDelay")))
        if found:
            return float(found.group(1))
    return None
