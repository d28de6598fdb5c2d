"""A server of tools for tests: MCP over HTTP, on a socket or loopback, with faults on demand."""

import asyncio
import json
from contextlib import asynccontextmanager

from aiohttp import web

TOOLS = [
    {
        "name": "inbox",
        "description": "gives the mail",
        "inputSchema": {"type": "object", "properties": {"box": {"type": "string"}}},
    },
    {
        "name": "send",
        "description": "sends a mail",
        "inputSchema": {
            "type": "object",
            "properties": {"to": {"type": "string"}, "body": {"type": "string"}},
            "required": ["to"],
        },
    },
]


class Server:
    """What it offers and what was called; `how` is how it answers: json, stream, stateless."""

    def __init__(self, how: str = "json") -> None:
        self.how = how
        self.tools = [dict(t) for t in TOOLS]
        self.mail = [{"sender": "ann@b.example", "subject": "Lunch", "body": "shall we?"}]
        self.calls: list[tuple[str, dict]] = []
        self.session = ""
        self.fault = ""
        self.page = 1

    def call(self, name: str, args: dict) -> dict:
        self.calls.append((name, args))
        if name == "inbox":
            return {"structuredContent": {"result": self.mail}, "content": []}
        if name == "send" and args["to"] == "nobody":
            return {"isError": True, "content": [{"type": "text", "text": "no such address"}]}
        return {"content": [{"type": "text", "text": "sent"}]}

    async def answer(self, request: web.Request):  # noqa: C901, PLR0912 - one fault a line
        body = await request.json()
        method, params = body["method"], body.get("params") or {}
        if self.fault == "hang":
            await asyncio.sleep(60)
        if self.fault == "html":
            return web.Response(text="<html>proxy</html>", content_type="text/html")
        if self.fault == "500":
            return web.Response(status=500, text="broken")
        if self.fault == "401":
            return web.Response(status=401)
        if self.fault == "huge":
            return web.Response(body=b" " * (9 << 20), content_type="application/json")
        known = request.headers.get("Mcp-Session-Id") == self.session
        if self.session and method != "initialize" and not known:
            return web.Response(status=404)
        if "id" not in body:
            return web.Response(status=202)
        reply: dict = {"jsonrpc": "2.0", "id": body["id"]}
        if method == "initialize" and self.how == "stateless":
            reply["error"] = {"code": -32601, "message": "no such method"}
        elif method == "initialize":
            info = {"name": "test", "version": "1"}
            reply["result"] = {
                "protocolVersion": "2025-11-25",
                "capabilities": {},
                "serverInfo": info,
            }
        elif method == "tools/list":
            at = int(params.get("cursor", 0))
            reply["result"] = {"tools": self.tools[at : at + self.page]}
            if self.fault == "endless" or at + self.page < len(self.tools):
                after = 0 if self.fault == "endless" else at + self.page
                reply["result"]["nextCursor"] = str(after)
        elif method == "tools/call":
            reply["result"] = self.call(params["name"], params["arguments"])
        headers = {"Mcp-Session-Id": self.session} if self.session else {}
        if self.how != "stream":
            return web.json_response(reply, headers=headers)
        headers["Content-Type"] = "text/event-stream"
        stream = web.StreamResponse(headers=headers)
        await stream.prepare(request)
        note = {"jsonrpc": "2.0", "method": "notifications/progress", "params": {}}
        for message in (note, reply):
            await stream.write(f"event: message\ndata: {json.dumps(message)}\n\n".encode())
        return stream

    @asynccontextmanager
    async def serving(self, socket=None):
        """Serve; gives the address."""
        app = web.Application()
        app.add_routes([web.post("/mcp", self.answer)])
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.UnixSite(runner, str(socket)) if socket else web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = 0 if socket else site._server.sockets[0].getsockname()[1]
        try:
            yield "http://localhost/mcp" if socket else f"http://127.0.0.1:{port}/mcp"
        finally:
            await runner.cleanup()
