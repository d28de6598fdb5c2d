"""Google's generateContent as its reference describes it: what its server writes, what it takes."""

import json
import re
from base64 import b64decode

from tests.drivers.models.served import Call, Heard, Request, Spoken, Turn

KNOWN = {"contents", "systemInstruction", "tools", "generationConfig"}
HOW = {
    *("maxOutputTokens", "temperature", "seed", "stopSequences", "responseMimeType"),
    *("responseJsonSchema", "thinkingConfig"),
}
FINISHES = {"stop": "STOP", "length": "MAX_TOKENS", "calls": "STOP"}
STATES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,127}")
DATA = {"image/png": "images", "audio/wav": "sounds"}
UNSIGNED = "skip_thought_signature_validator"


class GenerateDialect:
    """The server. `make` makes a driver for it; `strict`: it refuses calls without a signature."""

    platform = "gemini"
    kind = "text/event-stream"

    def __init__(self, make, *, strict: bool = True) -> None:
        self.make = make
        self.strict = strict
        known = ["tools", "schema", "image", "audio", "thoughts", "sealed", "cached"]
        self.can = frozenset([*known, "reasoning", "named"])

    # ---- what it says ------------------------------------------------------------------------

    def frame(self, data: bytes) -> bytes:
        return b"data: " + data + b"\r\n\r\n"

    def chunk(self, *parts: dict, finish: str = "", **more) -> bytes:
        candidate = {"content": {"parts": list(parts), "role": "model"}, "index": 0}
        if finish:
            candidate["finishReason"] = finish
        whole = {"candidates": [candidate], "modelVersion": "there", "responseId": "r1", **more}
        return self.frame(json.dumps(whole).encode())

    def frames(self, turn: Turn) -> list[bytes]:
        found = [self.chunk({"text": t, "thought": True}) for t in turn.thought]
        found += [self.chunk({"text": p}) for p in turn.pieces]
        for at, call in enumerate(turn.calls):
            told = {"id": call.id, "name": call.name, "args": json.loads(call.args)}
            part = {"functionCall": told}
            if turn.opaque and at == 0:  # the first of parallel calls is signed, no other
                part["thoughtSignature"] = turn.opaque
            found.append(self.chunk(part))
        if not turn.end:
            return found
        counts = turn.counts
        used = {
            "promptTokenCount": counts.read,
            "candidatesTokenCount": counts.wrote - counts.reasoning,
            "totalTokenCount": counts.read + counts.wrote,
            "thoughtsTokenCount": counts.reasoning,
            "cachedContentTokenCount": counts.cached,
        }
        last = {"text": ""}
        if turn.opaque and not turn.calls:
            last["thoughtSignature"] = turn.opaque
        return [*found, self.chunk(last, finish=FINISHES[turn.finish], usageMetadata=used)]

    def error(self, status: int, why: str) -> bytes:
        words = f"This is error {status}.\nIt is bad."
        if why == "window":
            words = "The input token count (1048577) exceeds the maximum number of tokens allowed"
        state = STATES.get(status, "UNKNOWN")
        return json.dumps({"error": {"code": status, "message": words, "status": state}}).encode()

    def amid(self) -> bytes:
        return self.frame(self.error(503, ""))

    # ---- what it hears -----------------------------------------------------------------------

    def heard(self, request: Request) -> Heard:
        found = re.fullmatch(r"/v1beta/models/(.+):streamGenerateContent\?alt=sse", request.path)
        assert found
        body = json.loads(request.body)
        assert set(body) <= KNOWN
        how = body["generationConfig"]
        assert set(how) <= HOW
        system = [
            Spoken("system", p["text"]) for p in body.get("systemInstruction", {}).get("parts", ())
        ]
        contents = body["contents"]
        assert contents[-1]["role"] == "user"
        messages = [m for c in contents for m in self.spoken(c)]
        self.check(contents)
        told = [d for t in body.get("tools", ()) for d in t["functionDeclarations"]]
        assert all(NAME.fullmatch(d["name"]) for d in told)
        tools = {d["name"]: d["parametersJsonSchema"] for d in told}
        schema = how.get("responseJsonSchema")
        if tools and not found.group(1).startswith("gemini-3"):
            assert "responseMimeType" not in how, "Function calling with it is unsupported"
        assert schema is None or how["responseMimeType"] == "application/json"
        return Heard(found.group(1), system + messages, tools, schema, how["maxOutputTokens"])

    def check(self, contents) -> None:
        """What this platform refuses."""
        waiting: list[str] = []
        for content in contents:
            calls = [p for p in content["parts"] if "functionCall" in p]
            given = [p["functionResponse"] for p in content["parts"] if "functionResponse" in p]
            assert len(given) == len(waiting), "as many responses as calls"
            assert [g["name"] for g in given] == waiting
            if calls and self.strict:
                assert calls[0].get("thoughtSignature"), "missing a thought_signature"
            waiting = [p["functionCall"]["name"] for p in calls]
            assert content["role"] == ("model" if calls else content["role"])

    def spoken(self, content) -> list[Spoken]:
        assert content["role"] in ("user", "model")
        role = "assistant" if content["role"] == "model" else "user"
        rest, results = Spoken(role), []
        for part in content["parts"]:
            seal = part.get("thoughtSignature", UNSIGNED)
            if seal != UNSIGNED:
                assert b64decode(seal, validate=True)
                rest.thoughts.append(("", seal))
            if "functionResponse" in part:
                given = part["functionResponse"]
                results.append(Spoken("tool", given["response"]["output"], answers=given["id"]))
            elif "functionCall" in part:
                call = part["functionCall"]
                rest.calls.append(Call(call["id"], call["name"], json.dumps(call["args"])))
            elif "inlineData" in part:
                data = part["inlineData"]
                kept = getattr(rest, DATA[data["mimeType"]])
                kept.append((data["mimeType"], b64decode(data["data"], validate=True)))
            else:
                rest.text += part["text"]
        return [*results, rest] if rest != Spoken(role) else results
