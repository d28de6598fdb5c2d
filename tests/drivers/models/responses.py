"""OpenAI's Responses as its reference describes it: items in, numbered events out."""

import json
from base64 import b64decode

from tests.drivers.models.served import Call, Heard, Request, Spoken, Turn, halves

KNOWN = {
    *("model", "input", "max_output_tokens", "temperature", "stream", "store", "include"),
    *("tools", "text", "prompt_cache_key", "priority"),
}


class ResponsesDialect:
    kind = "text/event-stream"
    can = frozenset(
        {
            *("tools", "schema", "image", "thoughts", "sealed", "cached", "written", "reasoning"),
            *("uncounted", "raw", "named"),
        }
    )

    def __init__(self, make, platform: str = "openai") -> None:
        self.make = make
        self.platform = platform

    # ---- what it says ------------------------------------------------------------------------

    def frame(self, data: bytes) -> bytes:
        return b"event: x\ndata: " + data + b"\n\n"

    def event(self, kind: str, **more) -> bytes:
        data = json.dumps({"type": kind, "sequence_number": 1, **more}).encode()
        return b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n"

    def frames(self, turn: Turn) -> list[bytes]:
        found = [self.event("response.created", response=self.response("in_progress"))]
        at = 0
        if turn.thought:
            found += self.reasoning(at, turn)
            at += 1
        if turn.pieces:
            found += self.message(at, turn)
            at += 1
        found += self.calls(at, turn)
        if turn.end:
            status = "incomplete" if turn.finish == "length" else "completed"
            whole = self.response(status, turn.counts)
            told = [json.loads(f.split(b"data: ")[1]) for f in found]
            whole["output"] = [e["item"] for e in told if e["type"].endswith("item.done")]
            found.append(self.event(f"response.{status}", response=whole))
        return found

    def reasoning(self, at: int, turn: Turn) -> list[bytes]:
        item = {"type": "reasoning", "id": "rs_1", "summary": [], "status": "in_progress"}
        where = {"item_id": "rs_1", "output_index": at, "summary_index": 0}
        added = self.event("response.output_item.added", output_index=at, item=item)
        kind = "response.reasoning_summary_text.delta"
        pieces = [self.event(kind, **where, delta=t) for t in turn.thought]
        whole = {"type": "summary_text", "text": "".join(turn.thought)}
        sealed = {"encrypted_content": turn.opaque, "summary": [whole], "status": "completed"}
        done = self.event("response.output_item.done", output_index=at, item=item | sealed)
        part = self.event("response.reasoning_summary_part.added", **where, part=whole)
        return [added, part, *pieces, done]

    def message(self, at: int, turn: Turn) -> list[bytes]:
        item = {"type": "message", "id": "msg_1", "role": "assistant", "content": []}
        where = {"item_id": "msg_1", "output_index": at, "content_index": 0}
        text = {"type": "output_text", "text": "", "annotations": []}
        found = [self.event("response.output_item.added", output_index=at, item=item)]
        found.append(self.event("response.content_part.added", **where, part=text))
        kind = "response.output_text.delta"
        found += [self.event(kind, **where, delta=p, logprobs=[]) for p in turn.pieces]
        if turn.end:
            whole = {**text, "text": "".join(turn.pieces)}
            kind = "response.output_text.done"
            found.append(self.event(kind, **where, text=whole["text"], logprobs=[]))
            found.append(self.event("response.content_part.done", **where, part=whole))
            done = {**item, "content": [whole], "status": "completed"}
            found.append(self.event("response.output_item.done", output_index=at, item=done))
        return found

    def calls(self, at: int, turn: Turn) -> list[bytes]:
        found = []
        for index, piece, first in halves(turn.calls):
            call = turn.calls[index]
            item = {"type": "function_call", "id": f"fc_{index}", "call_id": call.id}
            item |= {"name": call.name, "arguments": "", "status": "in_progress"}
            where = {"output_index": at + index}
            if first:
                found.append(self.event("response.output_item.added", **where, item=item))
            kind = "response.function_call_arguments.delta"
            found.append(self.event(kind, **where, item_id=item["id"], delta=piece))
            if not first:
                kind = "response.function_call_arguments.done"
                found.append(self.event(kind, **where, item_id=item["id"], arguments=call.args))
                item |= {"arguments": call.args, "status": "completed"}
                found.append(self.event("response.output_item.done", **where, item=item))
        return found

    def response(self, status: str, counts=None, error=None) -> dict:
        why = {"reason": "max_output_tokens"} if status == "incomplete" else None
        found = {"id": "resp_1", "object": "response", "status": status, "error": error}
        found |= {"model": "there", "output": [], "incomplete_details": why, "usage": None}
        if counts:
            inside = {"cached_tokens": counts.cached, "cache_write_tokens": counts.written}
            found["usage"] = {
                "input_tokens": counts.read,
                "input_tokens_details": inside,
                "output_tokens": counts.wrote,
                "output_tokens_details": {"reasoning_tokens": counts.reasoning},
                "total_tokens": counts.read + counts.wrote,
            }
        return found

    def error(self, status: int, why: str) -> bytes:
        codes = {
            "window": ("invalid_request_error", "context_length_exceeded", "input"),
            "model": ("invalid_request_error", "model_not_found", "model"),
            "key": ("invalid_request_error", "invalid_api_key", None),
            "rate": ("requests", "rate_limit_exceeded", None),
        }
        kind, code, param = codes.get(why, ("server_error", None, None))
        words = f"This is error {status}.\nIt is bad."
        error = {"message": words, "type": kind, "param": param, "code": code}
        return json.dumps({"error": error}).encode()

    def amid(self) -> bytes:
        error = {"code": "server_error", "message": "The model failed."}
        return self.event("response.failed", response=self.response("failed", None, error))

    # ---- what it hears -----------------------------------------------------------------------

    def heard(self, request: Request) -> Heard:
        assert request.path == "/v1/responses"
        body = json.loads(request.body)
        assert set(body) <= KNOWN, set(body) - KNOWN
        assert (body["stream"], body["store"]) == (True, False)
        messages: list[Spoken] = []
        waiting: list[str] = []
        for item in body["input"]:
            spoken = self.spoken(item)
            if spoken.answers:
                assert spoken.answers in waiting, "an output without its call"
                waiting.remove(spoken.answers)
            waiting += [c.id for c in spoken.calls]
            messages.append(spoken)
        assert not waiting, "a call without its output"
        assert all(t["strict"] is False for t in body.get("tools", ()))
        tools = {t["name"]: t["parameters"] for t in body.get("tools", ())}
        shape = body.get("text", {}).get("format", {})
        most = body["max_output_tokens"]
        return Heard(body["model"], messages, tools, shape.get("schema"), most)

    def spoken(self, item) -> Spoken:
        match item["type"]:
            case "message":
                found = Spoken(item["role"])
                self.content(item["content"], found)
            case "function_call":
                call = Call(item["call_id"], item["name"], item["arguments"])
                found = Spoken("assistant", calls=[call])
            case "function_call_output":
                found = Spoken("tool", answers=item["call_id"])
                self.content(item["output"], found)
            case "reasoning":
                assert item["id"] == "rs_1"
                text = "".join(s["text"] for s in item["summary"])
                found = Spoken("assistant", thoughts=[(text, item["encrypted_content"])])
            case kind:
                raise AssertionError(kind)
        return found

    def content(self, content, found: Spoken) -> None:
        if isinstance(content, str):
            found.text = content
            return
        for part in content:
            if part["type"] in ("input_text", "output_text"):
                assert (part["type"] == "output_text") == (found.role == "assistant")
                found.text += part["text"]
            else:
                assert (part["type"], part["detail"]) == ("input_image", "auto")
                head, data = part["image_url"].split(";base64,")
                found.images.append((head.removeprefix("data:"), b64decode(data, validate=True)))
