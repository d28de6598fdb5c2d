"""Chat Completions as OpenAI's reference and the compatible servers' pages describe it."""

import json
from base64 import b64decode

from tests.drivers.models.served import Call, Heard, Request, Spoken, Turn, halves

ROLES = {"system", "user", "assistant", "tool"}
KNOWN = {
    *("model", "messages", "max_tokens", "max_completion_tokens", "temperature", "stream"),
    *("stream_options", "seed", "random_seed", "stop", "tools", "response_format", "priority"),
    *("prompt_cache_key", "continue_final_message", "add_generation_prompt"),
}
FINISHES = {"stop": "stop", "length": "length", "calls": "tool_calls"}
MIMES = {"wav": "audio/wav", "mp3": "audio/mpeg"}


class ChatDialect:
    """A server of `platform`; `thinks`: the field in which its thoughts come and go back."""

    kind = "text/event-stream; charset=utf-8"

    def __init__(
        self,
        make,
        platform: str = "generic",
        thinks: str = "",
        *,
        more: str = "",
        without: str = "",
    ) -> None:
        self.platform = platform
        self.thinks = thinks
        self.make = make
        can = f"tools schema image audio resume cached reasoning uncounted raw named {more}"
        if thinks:
            can += " thoughts"
        self.can = frozenset(can.split()) - {without}

    # ---- what it says ------------------------------------------------------------------------

    def frame(self, data: bytes) -> bytes:
        return b"data: " + data + b"\n\n"

    def chunk(self, delta, finish=None, **more) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        head = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "there"}
        return self.frame(json.dumps({**head, "choices": [choice], **more}).encode())

    def frames(self, turn: Turn) -> list[bytes]:
        found = [b": a comment\n\n", self.chunk({"role": "assistant", "content": ""})]
        found += [self.chunk(t) for t in self.thinking(turn)]
        found += [self.chunk({"content": p}) for p in turn.pieces]
        for index, piece, first in halves(turn.calls):
            part = {"index": index, "function": {"arguments": piece}}
            if first:
                call = turn.calls[index]
                part |= {"id": call.id, "type": "function"}
                part["function"]["name"] = call.name
            found.append(self.chunk({"tool_calls": [part]}))
        if not turn.end:
            return found
        found.append(self.chunk({}, FINISHES[turn.finish]))
        if turn.counts:
            found.append(self.usage(turn.counts))
        return [*found, self.frame(b"[DONE]")]

    def thinking(self, turn: Turn) -> list[dict]:
        """Thoughts as this platform streams them."""
        match self.thinks:
            case "":
                return []
            case "thinking":
                texts = [[{"type": "text", "text": t}] for t in turn.thought]
                return [{"content": [{"type": "thinking", "thinking": t}]} for t in texts]
            case "reasoning_details":
                head = {"type": "reasoning.text", "index": 0, "format": "x"}
                found = [{**head, "text": t} for t in turn.thought]
                found += [{**head, "signature": turn.opaque}] if turn.opaque else []
                return [{"reasoning": d.get("text"), self.thinks: [d]} for d in found]
            case field:
                return [{field: t} for t in turn.thought]

    def usage(self, counts) -> bytes:
        used = {
            "prompt_tokens": counts.read,
            "completion_tokens": counts.wrote,
            "total_tokens": counts.read + counts.wrote,
            "prompt_tokens_details": {"cached_tokens": counts.cached, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": counts.reasoning},
        }
        head = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "there"}
        return self.frame(json.dumps({**head, "choices": [], "usage": used}).encode())

    def error(self, status: int, why: str) -> bytes:
        codes = {
            "window": ("invalid_request_error", "context_length_exceeded", "messages"),
            "model": ("invalid_request_error", "model_not_found", None),
            "key": ("invalid_request_error", "invalid_api_key", None),
            "rate": ("requests", "rate_limit_exceeded", None),
        }
        kind, code, param = codes.get(why, ("server_error", None, None))
        words = f"This is error {status}.\nIt is bad."
        error = {"message": words, "type": kind, "param": param, "code": code}
        return json.dumps({"error": error}).encode()

    def amid(self) -> bytes:
        return self.frame(self.error(500, ""))

    # ---- what it hears -----------------------------------------------------------------------

    def heard(self, request: Request) -> Heard:
        assert request.path == "/v1/chat/completions"
        body = json.loads(request.body)
        assert set(body) <= KNOWN, set(body) - KNOWN
        assert body["stream"] is True
        messages = [self.spoken(m) for m in body["messages"]]
        waiting: list[str] = []
        for message in messages:  # each call is answered before anybody else speaks
            if message.answers:
                assert message.answers in waiting
                waiting.remove(message.answers)
            else:
                assert not waiting
            waiting += [c.id for c in message.calls]
        shape = body.get("response_format", {}).get("json_schema", {})
        tools = {t["function"]["name"]: t["function"]["parameters"] for t in body.get("tools", ())}
        most = body.get("max_completion_tokens") or body.get("max_tokens")
        return Heard(body["model"], messages, tools, shape.get("schema"), most)

    def spoken(self, message) -> Spoken:
        found = Spoken(message["role"], answers=message.get("tool_call_id", ""))
        assert found.role in ROLES
        assert bool(found.answers) == (found.role == "tool")
        content = message["content"]
        if isinstance(content, str):
            found.text = content
        for part in content if isinstance(content, list) else ():
            shows = part["type"] in ("image_url", "input_audio")
            assert found.role == "user" or (found.role == "assistant" and not shows)
            self.part(part, found)
        assert content is not None or message.get("tool_calls")
        for call in message.get("tool_calls", ()):
            assert (found.role, call["type"]) == ("assistant", "function")
            function = call["function"]
            found.calls.append(Call(call["id"], function["name"], function["arguments"]))
        if self.thinks and message.get(self.thinks):
            assert found.role == "assistant"
            thought = message[self.thinks]
            if isinstance(thought, str):
                found.thoughts.append((thought, ""))
            else:
                (whole,) = thought
                found.thoughts.append((whole["text"], whole["signature"]))
        return found

    def part(self, part, found: Spoken) -> None:
        match part["type"]:
            case "text":
                found.text += part["text"]
            case "thinking":
                found.thoughts.append(("".join(t["text"] for t in part["thinking"]), ""))
            case "image_url":
                head, data = part["image_url"]["url"].split(";base64,")
                found.images.append((head.removeprefix("data:"), b64decode(data, validate=True)))
            case "input_audio":
                sound = part["input_audio"]
                data = b64decode(sound["data"], validate=True)
                found.sounds.append((MIMES[sound["format"]], data))
            case kind:
                raise AssertionError(kind)
