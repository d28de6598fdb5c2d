"""A mock model server that speaks Chat Completions: slots, timing, scripts and faults.

What it says is a pure function of the conversation, so a retry gets the same answer. A script
stands in a system or user message:

    [[mock turns=K tool=NAME args={"x":1} tokens=N final=TEXT]]  K calls, then the final text;
                                                     "$n" in args is the number of the call
    [[mock text=HELLO_YOU]]                                       says it ("_" are spaces)
    [[mock empty=1]]                                              says nothing at all
    [[mock code=BASE64]]                                          says a fenced Python block
    [[mock calls=BASE64]]                                         makes these calls: [[NAME, ARGS]]
    [[mock fault=KIND after=N]]                                   a fault when N calls were made

Faults: 401 404 429 500 hang stall flood html rubbish shape half noend error200 longline drop
window. `times=T` ends the fault after T requests. A conversation that ends with an assistant's
message is gone on with.
A book of scenes (JSON: [{"when": part of a user's message, "then": [{"CALL": args}, ..., text]}])
is asked first: goals without marks. GET /stats counts requests; standard library only.

    python -m tests.mock_server --port 0 --slots 2 --tps 20     prints the base URL
"""

import argparse
import asyncio
import base64
import json
import re
import signal
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

SCRIPT = re.compile(r"\[\[mock\s+(.*?)\]\]", re.DOTALL)
PAIR = re.compile(r"(\w+)=(\{.*?\}(?=\s|$)|\S+)", re.DOTALL)
WORDS = "the kernel reads a page then plans the next step and writes it".split()  # noqa: SIM905


def text_of(content) -> str:
    return content if isinstance(content, str) else json.dumps(content or "")


def script_of(messages) -> dict[str, str]:
    for message in messages:
        if message.get("role") in ("system", "user"):
            found = SCRIPT.search(text_of(message.get("content")))
            if found:
                return dict(PAIR.findall(found.group(1)))
    return {}


def scene_of(book, messages) -> tuple[list[str], dict | None] | None:
    """What a book of scenes says to the last user's message that it knows: (pieces, call)."""
    for at in reversed(range(len(messages))):
        heard = text_of(messages[at].get("content"))
        scene = next((s for s in book if s["when"] in heard), None)
        if messages[at].get("role") != "user" or scene is None:
            continue
        done = sum(m.get("role") == "tool" for m in messages[at:])
        step = scene["then"][min(done, len(scene["then"]) - 1)]
        if isinstance(step, str):
            return re.findall(r"\S+\s*|\s+", step), None
        ((name, args),) = step.items()
        call = {"name": name, "arguments": json.dumps(args), "id": f"call_{len(messages)}"}
        return [], call
    return None


def rest_of(pieces, messages) -> list[str]:
    """What is left to say where the conversation ends with a part of the answer."""
    last = messages[-1]
    if last.get("role") != "assistant" or last.get("tool_calls"):
        return pieces
    rest = "".join(pieces).removeprefix(text_of(last["content"]))
    return re.findall(r"\S+\s*|\s+", rest)


@dataclass
class MockServer:
    """`async with MockServer(slots=2) as server: server.base_url`."""

    slots: int = 0
    ttft: float = 0.0
    tps: float = 0.0
    port: int = 0
    answers: int = 0
    more: asyncio.Event = field(default_factory=asyncio.Event)
    stats: Counter = field(default_factory=Counter)
    faulted: Counter = field(default_factory=Counter)
    book: list[dict] = field(default_factory=list)

    async def __aenter__(self) -> "MockServer":
        self._gate = asyncio.Semaphore(self.slots or 1 << 20)
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", self.port, backlog=4096, limit=1 << 24
        )
        self.port = self._server.sockets[0].getsockname()[1]
        self.base_url = f"http://127.0.0.1:{self.port}/v1"
        return self

    async def __aexit__(self, *_) -> None:
        self._server.close()

    # ---- what it says --------------------------------------------------------------------------

    def plan(self, body) -> tuple[str, list[str], dict | None]:
        """(fault, pieces of text, call)."""
        messages = body.get("messages", [])
        scene = scene_of(self.book, messages)
        if scene is not None:
            return "", *scene
        script = script_of(messages)
        done = sum(m.get("role") == "tool" for m in messages)
        if "fault" in script and done == int(script.get("after", 0)):
            key = json.dumps(script)
            self.faulted[key] += 1
            if self.faulted[key] <= int(script.get("times", 1 << 30)):
                return script["fault"], [], None
        count = int(script.get("tokens", 16))
        if "calls" in script:
            wanted = json.loads(base64.b64decode(script["calls"]))
            if done < len(wanted):
                name, args = wanted[done]
                call = {"name": name, "arguments": json.dumps(args), "id": f"call_{len(messages)}"}
                return "", [], call
            return "", self.words(script, messages, count), None
        if done < int(script.get("turns", 0)):
            args = script.get("args", '{"x": $n}').replace("$n", str(done))
            call = {"name": script["tool"], "arguments": args}
            call["id"] = f"call_{len(messages)}"
            said = [WORDS[i % len(WORDS)] + " " for i in range(count // 2)]
            return "", rest_of(said, messages), call
        return "", self.words(script, messages, count), None

    def words(self, script, messages, count) -> list[str]:
        if "empty" in script:
            return []
        if "code" in script:
            source = base64.b64decode(script["code"]).decode()
            pieces = re.findall(r"\S+\s*|\s+", f"```python\n{source}\n```\n")
        elif "text" in script:
            pieces = [w + " " for w in script["text"].split("_")]
        elif script:
            pieces = [script.get("final", "done") + " "]
            pieces += [WORDS[i % len(WORDS)] + " " for i in range(count - 1)]
        else:
            asked = [m for m in messages if m.get("role") == "user"]
            pieces = ["echo: "] + [w + " " for w in text_of(asked[-1]["content"]).split()[:count]]
        return rest_of(pieces, messages)

    # ---- HTTP ----------------------------------------------------------------------------------

    async def _serve(self, reader, writer) -> None:
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _one(self, reader, writer) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin1")
        _, path, _ = head.split("\r\n", 1)[0].split(" ", 2)
        size = re.search(r"content-length: *(\d+)", head, re.IGNORECASE)
        body = await reader.readexactly(int(size.group(1))) if size else b""
        if path.endswith("/chat/completions"):
            return await self._chat(json.loads(body), reader, writer)
        if path.endswith("/stats"):
            answer(writer, 200, dict(self.stats))
        elif path.endswith("/models"):
            answer(writer, 200, {"object": "list", "data": [{"id": "mock-1", "object": "model"}]})
        else:
            answer(writer, 404, {"error": {"message": "no such path"}})
        await writer.drain()
        return True

    async def _chat(self, body, reader, writer) -> bool:
        self.stats["requests"] += 1
        late = self.answers and self.stats["requests"] > self.answers
        while late and not self.more.is_set():
            if not await on_time(asyncio.get_running_loop().time() + 0.02, reader):
                return False
        fault, pieces, call = self.plan(body)
        if fault:
            self.stats["faults"] += 1
            begun = script_of(body["messages"]).get("final", "done")
            return await self._fault(fault, reader, writer, begun)
        most = body.get("max_tokens") or 1 << 30
        finish = "tool_calls" if call else "stop"
        if len(pieces) > most:
            pieces, finish = pieces[:most], "length"
        read = len(json.dumps(body.get("messages"))) // 4 + 1
        wrote = len(pieces) + 8 * bool(call)
        usage = {"prompt_tokens": read, "completion_tokens": wrote, "total_tokens": read + wrote}
        async with self._gate:
            self.stats["active"] += 1
            self.stats["most"] = max(self.stats["most"], self.stats["active"])
            try:
                whole = await self._say(body, writer, pieces, call, finish, usage, reader)
            finally:
                self.stats["active"] -= 1
        self.stats["done" if whole else "cancelled"] += 1
        return whole

    async def _say(self, body, writer, pieces, call, finish, usage, reader) -> bool:
        """Stream or send an answer; False if the client went away. Time runs by the token clock."""
        loop = asyncio.get_running_loop()
        due = loop.time() + self.ttft
        if not await on_time(due, reader):
            return False
        if not body.get("stream"):
            due += len(pieces) / self.tps if self.tps else 0.0
            await on_time(due, reader)
            message = {"role": "assistant", "content": "".join(pieces) or None}
            if call:
                message["tool_calls"] = [calls(call, call["arguments"])]
            choice = {"index": 0, "message": message, "finish_reason": finish}
            head = {"id": "mock", "object": "chat.completion", "created": 0, "model": "mock-1"}
            answer(writer, 200, {**head, "choices": [choice], "usage": usage})
            await writer.drain()
            return True
        kind = b"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"
        writer.write(b"HTTP/1.1 200 OK\r\n" + kind + b"\r\n")
        event(writer, {"role": "assistant", "content": ""})
        for piece in pieces:
            if self.tps:
                due += 1 / self.tps
                if not await on_time(due, reader):
                    return False
            event(writer, {"content": piece})
        if call:
            half = len(call["arguments"]) // 2
            event(writer, {"tool_calls": [{"index": 0, **calls(call, call["arguments"][:half])}]})
            rest = {"index": 0, "function": {"arguments": call["arguments"][half:]}}
            event(writer, {"tool_calls": [rest]})
        event(writer, {}, finish)
        chunk(writer, {"choices": [], "usage": usage})
        writer.write(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")
        await writer.drain()
        return True

    async def _fault(self, fault, reader, writer, begun) -> bool:
        if fault == "hang":
            await reader.read(1)
            self.stats["cancelled"] += 1
        elif fault in ("stall", "flood"):
            await self._endless(fault, reader, writer, begun)
        elif fault == "window":
            error = {"message": "too long", "code": "context_length_exceeded"}
            answer(writer, 400, {"error": error})
        elif fault == "drop":
            writer.transport.abort()
        elif fault.isdigit():
            extra = "Retry-After: 0.05\r\n" if fault == "429" else ""
            answer(writer, int(fault), {"error": {"message": f"mock {fault}"}}, extra)
        elif fault == "html":
            page(writer, 200, "text/html", b"<!doctype html><html>proxy</html>")
        elif fault == "error200":
            answer(writer, 200, {"error": {"message": "out of cheese", "code": "server_error"}})
        else:
            self._broken(fault, writer)
        await writer.drain()
        return fault not in (
            "hang",
            "drop",
            "half",
            "noend",
            "longline",
            "rubbish",
            "shape",
            "stall",
            "flood",
        )

    async def _endless(self, fault, reader, writer, begun) -> None:
        """A stream that begins well, then says nothing more, or the same again and again."""
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n")
        writer.write(b"Transfer-Encoding: chunked\r\n\r\n")
        event(writer, {"content": begun + " "})
        try:
            while fault == "flood" and not gone(reader):
                for _ in range(100):
                    event(writer, {"content": "again "})
                await writer.drain()
            await reader.read(1)
        finally:
            self.stats["cancelled"] += 1

    def _broken(self, fault, writer) -> None:
        """A stream that goes wrong and closes."""
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
        good = b'data: {"choices":[{"index":0,"delta":{"content":"half a word"}}]}\n\n'
        rest = {
            "half": b'data: {"choices":[{"ind',
            "noend": b"",
            "rubbish": b"data: {]\n\n",
            "shape": b'data: {"choices":[{"index":0,"delta":{"content":["a","list"]}}]}\n\n',
            "longline": b"data: " + b"x" * (10 << 20),
        }
        writer.write(head + good + rest[fault])


def gone(reader) -> bool:
    """Whether the client has closed, with what it was sent read or unread (which is a reset)."""
    return reader.at_eof() or reader.exception() is not None


async def on_time(due: float, reader) -> bool:
    """Wait until a moment; False if the client goes away before it."""
    loop = asyncio.get_running_loop()
    while (left := due - loop.time()) > 0:
        await asyncio.sleep(min(left, 0.02))
        if gone(reader):
            return False
    return not gone(reader)


def calls(call, arguments) -> dict:
    """A tool call in this dialect."""
    function = {"name": call["name"], "arguments": arguments}
    return {"id": call["id"], "type": "function", "function": function}


def chunk(writer, data) -> None:
    """One event, as one HTTP chunk."""
    head = {"id": "mock", "object": "chat.completion.chunk", "created": 0, "model": "mock-1"}
    line = b"data: " + json.dumps({**head, **data}).encode() + b"\n\n"
    writer.write(b"%x\r\n%s\r\n" % (len(line), line))


def event(writer, delta, finish=None) -> None:
    """A delta."""
    chunk(writer, {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


def page(writer, status, kind, data, extra="") -> None:
    """A whole answer."""
    head = f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(data)}\r\n{extra}"
    writer.write(head.encode() + b"\r\n" + data)


def answer(writer, status, data, extra="") -> None:
    """A whole JSON answer."""
    page(writer, status, "application/json", json.dumps(data).encode(), extra)


def scenes(path: str) -> list[dict]:
    """A book from its file."""
    return json.loads(Path(path).read_text())


async def serve(options) -> None:
    """Run until killed."""
    timing = (options.slots, options.ttft, options.tps, options.port, options.answers)
    async with MockServer(*timing, book=options.book) as server:
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, server.more.set)
        print("mock server on", server.base_url, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--slots", type=int, default=0, help="0: no limit")
    parser.add_argument("--ttft", type=float, default=0.0, help="seconds until the first token")
    parser.add_argument(
        "--tps", type=float, default=0.0, help="tokens a second and slot; 0: at once"
    )
    parser.add_argument("--answers", type=int, default=0, help="then none before SIGUSR1; 0: all")
    parser.add_argument("--book", type=scenes, default=[], help="a file of scenes")
    asyncio.run(serve(parser.parse_args()))
