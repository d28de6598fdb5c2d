"""Ollama's own API as its reference describes it: what its server writes, what it takes."""

import json
from base64 import b64decode

from tests.drivers.models.playing import PNG
from tests.drivers.models.served import Call, Heard, Request, Spoken, Turn

KNOWN = {
    *("model", "messages", "tools", "format", "options", "stream", "keep_alive", "think"),
    *("truncate", "shift"),
}
OPTIONS = {"num_ctx", "num_predict", "temperature", "seed", "stop"}
MESSAGE = {
    *("role", "content", "thinking", "images", "tool_calls", "tool_name", "tool_call_id"),
}
AT = "2026-11-27T00:00:00.000000Z"


SHOW = Turn(("show",))
"""The turn in which a server tells of its model, when `/api/show` is asked."""


def own(tokens) -> dict:
    """What a server tells of a model that was made for a window."""
    info = {"general.architecture": "qwen2", "qwen2.context_length": tokens}
    return {"capabilities": ["completion", "tools"], "model_info": info}


class OllamaDialect:
    """The server. `make` makes a driver for it."""

    window = 32768

    platform = "ollama"
    kind = "application/x-ndjson"
    can = frozenset(
        ["tools", "schema", "image", "thoughts", "resume", "uncounted", "named"],
    )

    def __init__(self, make) -> None:
        self.make = make

    # ---- what it says ------------------------------------------------------------------------

    def frame(self, data: bytes) -> bytes:
        return data + b"\n"

    def line(self, message: dict, **more) -> bytes:
        message = {"role": "assistant", "content": "", **message}
        whole = {"model": "there", "created_at": AT, "message": message, "done": False, **more}
        return self.frame(json.dumps(whole).encode())

    def frames(self, turn: Turn) -> list[bytes]:
        if turn == SHOW:
            return [json.dumps(own(self.window)).encode()]
        found = [self.line({"thinking": t}) for t in turn.thought]
        found += [self.line({"content": p}) for p in turn.pieces]
        for index, call in enumerate(turn.calls):
            function = {"index": index, "name": call.name, "arguments": json.loads(call.args)}
            found.append(self.line({"tool_calls": [{"id": call.id, "function": function}]}))
        if not turn.end:
            return found
        reason = "length" if turn.finish == "length" else "stop"
        more = {"done": True, "done_reason": reason, "total_duration": 5, "load_duration": 1}
        if turn.counts:
            more |= {"prompt_eval_count": turn.counts.read, "eval_count": turn.counts.wrote}
        return [*found, self.line({}, **more)]

    def error(self, status: int, why: str) -> bytes:
        words = {
            "model": 'model "there" not found, try pulling it first',
            "window": "the input length exceeds the context length",
            "tools": "there does not support tools",
            "busy": "server busy, please try again. maximum pending requests exceeded",
            "memory": "model requires more system memory (9.0 GiB) than is available (3.0 GiB)",
        }
        return json.dumps({"error": words.get(why, f"error {status}\nis bad")}).encode()

    def amid(self) -> bytes:
        return self.frame(b'{"error":"an error was encountered while running the model"}')

    # ---- what it hears -----------------------------------------------------------------------

    def heard(self, request: Request) -> Heard:
        assert request.path == "/api/chat"
        body = json.loads(request.body)
        assert set(body) <= KNOWN
        assert (body["stream"], body["truncate"], body["shift"]) == (True, False, False)
        options = body["options"]
        assert set(options) <= OPTIONS
        assert options["num_ctx"] > 0
        tools = {t["function"]["name"]: t["function"]["parameters"] for t in body.get("tools", ())}
        assert not (tools and "format" in body), "it would bind every word, and no tool be called"
        messages = [self.spoken(m) for m in body["messages"]]
        most = options["num_predict"]
        return Heard(body["model"], messages, tools, body.get("format"), most)

    def spoken(self, message) -> Spoken:
        assert set(message) <= MESSAGE
        found = Spoken(message["role"], message["content"])
        found.answers = message.get("tool_call_id", "")
        assert bool(message.get("tool_name")) == bool(found.answers)
        for image in message.get("images", ()):
            data = b64decode(image, validate=True)
            assert data == PNG
            found.images.append(("image/png", data))  # told by its first bytes
        for call in message.get("tool_calls", ()):
            function = call["function"]
            assert isinstance(function["arguments"], dict)
            args = json.dumps(function["arguments"])
            found.calls.append(Call(call["id"], function["name"], args))
        if message.get("thinking"):
            assert found.role == "assistant"
            found.thoughts.append((message["thinking"], ""))
        return found
