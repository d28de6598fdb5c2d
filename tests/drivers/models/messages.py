"""Anthropic's Messages as its reference describes them: what its server writes, what it takes."""

import json
import re
from base64 import b64decode

from tests.drivers.models.served import Call, Heard, Request, Spoken, Turn, halves

KNOWN = {
    *("model", "messages", "max_tokens", "stream", "system", "tools", "tool_choice"),
    *("stop_sequences", "output_config", "thinking"),
}
FINISHES = {"stop": "end_turn", "length": "max_tokens", "calls": "tool_use"}
TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
ID = re.compile(r"[A-Za-z0-9_-]+")
NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")


class MessagesDialect:
    """The server. `make` makes a driver for it."""

    platform = "anthropic"
    kind = "text/event-stream; charset=utf-8"
    can = frozenset(
        [
            "tools",
            "schema",
            "image",
            "thoughts",
            "sealed",
            "resume",
            "cached",
            "written",
            "reasoning",
            "raw",
            "named",
        ]
    )

    def __init__(self, make) -> None:
        self.make = make

    # ---- what it says ------------------------------------------------------------------------

    def frame(self, data: bytes) -> bytes:
        return b"event: content_block_delta\ndata: " + data + b"\n\n"

    def event(self, kind: str, **more) -> bytes:
        data = json.dumps({"type": kind, **more})
        return f"event: {kind}\ndata: {data}\n\n".encode()

    def block(self, index: int, start: dict, *deltas: dict) -> list[bytes]:
        found = [self.event("content_block_start", index=index, content_block=start)]
        found += [self.event("content_block_delta", index=index, delta=d) for d in deltas]
        return [*found, self.event("content_block_stop", index=index)]

    def frames(self, turn: Turn) -> list[bytes]:
        counts = turn.counts
        used = {
            "input_tokens": counts.read - counts.cached - counts.written,
            "cache_creation_input_tokens": counts.written,
            "cache_read_input_tokens": counts.cached,
            "output_tokens": 1,
            "service_tier": "standard",
        }
        head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "there"}
        head |= {"content": [], "stop_reason": None, "stop_sequence": None, "usage": used}
        found = [self.event("message_start", message=head), self.event("ping")]
        blocks = []
        if turn.thought or turn.opaque:
            deltas = [{"type": "thinking_delta", "thinking": t} for t in turn.thought]
            deltas.append({"type": "signature_delta", "signature": turn.opaque})
            start = {"type": "thinking", "thinking": "", "signature": ""}
            blocks.append((start, deltas))
        if turn.pieces:
            deltas = [{"type": "text_delta", "text": p} for p in turn.pieces]
            blocks.append(({"type": "text", "text": ""}, deltas))
        for at, call in enumerate(turn.calls):
            start = {"type": "tool_use", "id": call.id, "name": call.name, "input": {}}
            pieces = ["", *(p for i, p, _ in halves(turn.calls) if i == at)]
            deltas = [{"type": "input_json_delta", "partial_json": p} for p in pieces]
            blocks.append((start, deltas))
        for index, (start, deltas) in enumerate(blocks):
            found += self.block(index, start, *deltas)
        if not turn.end:
            return found[:-1] if blocks else found
        total = {"output_tokens": counts.wrote}
        if counts.reasoning:
            total["output_tokens_details"] = {"thinking_tokens": counts.reasoning}
        ended = {"stop_reason": FINISHES[turn.finish], "stop_sequence": None}
        found.append(self.event("message_delta", delta=ended, usage=total))
        return [*found, self.event("message_stop")]

    def error(self, status: int, why: str) -> bytes:
        words = f"This is error {status}.\nIt is bad."
        if why == "window":
            words = "prompt is too long: 210000 tokens > 200000 maximum"
        kind = TYPES.get(status, "api_error")
        return json.dumps({"type": "error", "error": {"type": kind, "message": words}}).encode()

    def amid(self) -> bytes:
        return b"event: error\ndata: " + self.error(529, "") + b"\n\n"

    # ---- what it hears -----------------------------------------------------------------------

    def heard(self, request: Request) -> Heard:
        assert request.path == "/v1/messages"
        assert request.headers["anthropic-version"] == "2023-06-01"
        body = json.loads(request.body)
        assert set(body) <= KNOWN, set(body) - KNOWN
        assert body["stream"] is True
        assert request.body.count(b'"cache_control"') <= 4
        system = [Spoken("system", b["text"]) for b in body.get("system", ())]
        messages: list[Spoken] = []
        for message in body["messages"]:
            assert message["content"]
            messages += self.spoken(message)
        self.check(body["messages"])
        shape = body.get("output_config", {}).get("format")
        assert shape is None or shape["type"] == "json_schema"
        tools = {t["name"]: t["input_schema"] for t in body.get("tools", ())}
        assert all(NAME.fullmatch(name) for name in tools)
        schema = shape and shape["schema"]
        return Heard(body["model"], system + messages, tools, schema, body["max_tokens"])

    def check(self, messages) -> None:
        """What this platform refuses."""
        assert messages[0]["role"] == "user"
        seen: set[str] = set()
        open_calls: list[str] = []
        for message in messages:
            kinds = [b["type"] for b in message["content"]]
            for block in message["content"]:
                if block["type"] == "text":
                    assert block["text"].strip()
                if block["type"] == "tool_use":
                    assert ID.fullmatch(block["id"])
                    assert block["id"] not in seen
                    assert isinstance(block["input"], dict)
                    seen.add(block["id"])
            if message["role"] == "user":
                results = [b["tool_use_id"] for b in message["content"] if "tool_use_id" in b]
                assert sorted(results) == sorted(open_calls)
                assert kinds[: len(results)] == ["tool_result"] * len(results)
            else:
                assert "thinking" not in kinds[-1], "a turn does not end with a thought"
            open_calls = [b["id"] for b in message["content"] if b["type"] == "tool_use"]

    def spoken(self, message) -> list[Spoken]:
        """A turn as messages: each result of a tool is one, as elsewhere."""
        assert message["role"] in ("user", "assistant")
        found: list[Spoken] = []
        rest = Spoken(message["role"])
        for block in message["content"]:
            if block["type"] == "tool_result":
                result = Spoken("tool", answers=block["tool_use_id"])
                for part in block["content"]:
                    self.part(part, result)
                found.append(result)
            else:
                self.part(block, rest)
        return [*found, rest] if rest != Spoken(message["role"]) else found

    def part(self, block, found: Spoken) -> None:
        match block["type"]:
            case "text":
                found.text += block["text"]
            case "image":
                source = block["source"]
                assert source["type"] == "base64"
                found.images.append(
                    (source["media_type"], b64decode(source["data"], validate=True))
                )
            case "tool_use":
                found.calls.append(Call(block["id"], block["name"], json.dumps(block["input"])))
            case "thinking":
                assert block["signature"]
                found.thoughts.append((block["thinking"], block["signature"]))
            case "redacted_thinking":
                found.thoughts.append(("", block["data"]))
            case kind:
                raise AssertionError(kind)
