"""A server of tools over streamable HTTP (MCP 2025-11-25), on an address or a Unix socket.

Lists the tools and calls them; what the server says of itself is data and grants nothing. A server
that wants no `initialize` (the stateless revision) is asked without. Answers are bounded.
"""

import asyncio
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from oros.abi.errors import (
    BadReply,
    DeviceFailed,
    Invalid,
    NotAuthorized,
    NotFound,
    OrosError,
    TimedOut,
    Unreachable,
)
from oros.abi.message import Json, TextPart
from oros.abi.ports import Caller
from oros.abi.syscalls import Outcome

if TYPE_CHECKING:
    import aiohttp

REVISION = "2025-11-25"
MOST = 8 << 20
"""Bytes of an answer at most."""

CONNECT, ANSWER = 5.0, 110.0
NO_METHOD, NO_PARAMS = -32601, -32602
MOST_PAGES = 50


class McpServer:
    """One server, by `url`; with `socket`, over that Unix socket. Connects when first used."""

    def __init__(self, name: str, url: str, socket: str = "") -> None:
        self.name = name
        self._url = url
        self._socket = socket
        self._opened: aiohttp.ClientSession | None = None
        self._session = ""
        self._greeted = False
        self._count = 0
        self._lock = asyncio.Lock()

    async def tools(self) -> list[dict[str, Json]]:
        """All tools as the server describes them. Raises: Unreachable, BadReply, TimedOut."""
        found: list[dict[str, Json]] = []
        cursor: Json = None
        for _ in range(MOST_PAGES):
            params: dict[str, Json] = {"cursor": cursor} if cursor else {}
            page = await self._request("tools/list", params)
            listed = page.get("tools")
            if not isinstance(listed, list):
                raise BadReply(f"{self.name}: it lists no tools")
            found += [t for t in listed if isinstance(t, dict) and isinstance(t.get("name"), str)]
            cursor = page.get("nextCursor")
            if not cursor:
                return found
        raise BadReply(f"{self.name}: its list of tools does not end")

    async def call(self, tool: str, args: Mapping[str, Json], who: Caller) -> Outcome:
        """Call a tool: its structured content if there is some, else its text.

        Raises: DeviceFailed with the server's words if the tool failed; as `tools`, besides.
        """
        params = {"name": tool, "arguments": dict(args), "_meta": {"idempotencyKey": who.key}}
        reply = await self._request("tools/call", params)
        content = reply.get("content") or []
        texts = [c["text"] for c in content if c.get("type") == "text" and "text" in c]
        if reply.get("isError"):
            raise DeviceFailed(f"{self.name}.{tool}: " + " ".join(texts)[:2000])
        value = reply.get("structuredContent")
        if value is not None:
            if isinstance(value, dict) and [*value] == ["result"]:
                value = value["result"]  # how servers wrap what is no object
            return Outcome(value=value)
        if len(texts) == 1:
            return Outcome(value=texts[0])
        return Outcome(parts=tuple(TextPart(t) for t in texts))

    async def close(self) -> None:
        """Let go of the connection."""
        if self._opened is not None:
            await self._opened.close()
            self._opened = None

    async def _request(self, method: str, params: Mapping[str, Json]) -> Mapping[str, Json]:
        """One request and its result. Raises: as the port's calls document."""
        import aiohttp

        try:
            async with asyncio.timeout(ANSWER):
                await self._greet()
                try:
                    return await self._post(method, params)
                except NotFound:  # the server was started anew and knows our session no more
                    self._greeted, self._session = False, ""
                    await self._greet()
                    return await self._post(method, params)
        except TimeoutError as e:
            raise TimedOut(f"{self.name} did not answer in {ANSWER:g} seconds") from e
        except (aiohttp.ClientError, OSError) as e:
            why = f"{self.name} can't be reached at {self._socket or self._url}: {e}"
            raise Unreachable(why, "is its server running?") from e

    async def _greet(self) -> None:
        """Say who we are, once; a stateless server knows no such method."""
        async with self._lock:
            if self._greeted:
                return
            me = {"name": "oros", "version": "1"}
            params = {"protocolVersion": REVISION, "capabilities": {}, "clientInfo": me}
            try:
                await self._post("initialize", params)
                await self._post("notifications/initialized", {}, note=True)
            except Invalid as e:
                if "no method" not in e.why:
                    raise
            self._greeted = True

    async def _post(
        self, method: str, params: Mapping[str, Json], *, note: bool = False
    ) -> Mapping[str, Json]:
        self._count += 1
        body: dict[str, Json] = {"jsonrpc": "2.0", "method": method, "params": params}
        if not note:
            body["id"] = self._count
        async with self._client().post(self._url, json=body, headers=self._headers()) as reply:
            self._session = reply.headers.get("Mcp-Session-Id", self._session)
            if reply.status >= 400:
                raise await self._refusal(reply)
            if note or reply.status == 202:
                return {}
            return self._result(await self._message(reply, self._count), method)

    def _headers(self) -> dict[str, str]:
        headers = {
            "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": REVISION,
        }
        return headers | ({"Mcp-Session-Id": self._session} if self._session else {})

    def _client(self) -> "aiohttp.ClientSession":
        import aiohttp

        if self._opened is None:
            link = aiohttp.UnixConnector(self._socket) if self._socket else aiohttp.TCPConnector()
            timeout = aiohttp.ClientTimeout(None, CONNECT, None, CONNECT)
            self._opened = aiohttp.ClientSession(connector=link, timeout=timeout, trust_env=False)
        return self._opened

    async def _refusal(self, reply: "aiohttp.ClientResponse") -> OrosError:
        text = (await reply.content.read(300)).decode("utf-8", "replace")
        if reply.status in (401, 403):
            return NotAuthorized(f"{self.name} lets nobody in without a key: {reply.status}")
        if reply.status == 404 and self._session:
            return NotFound(f"{self.name} knows the session no more")
        return BadReply(f"{self.name} answered {reply.status}: {text[:200]}")

    async def _message(self, reply: "aiohttp.ClientResponse", number: int) -> Mapping[str, Json]:
        """The answer to one request, out of JSON or a stream of events. Raises: BadReply."""
        stream = "event-stream" in reply.content_type
        seen = b""
        while True:
            piece = await reply.content.readany()
            if not piece:
                break
            seen += piece
            if len(seen) > MOST:
                raise BadReply(f"{self.name} answered with over {MOST >> 20} MiB")
            if stream and (found := answer_in(seen, number)) is not None:
                return found
        try:
            whole = json.loads(seen)
        except ValueError as e:
            raise BadReply(f"{self.name} answered no JSON: {seen[:80]!r}") from e
        if not isinstance(whole, dict):
            raise BadReply(f"{self.name} answered no JSON-RPC message")
        return whole

    def _result(self, message: Mapping[str, Json], method: str) -> Mapping[str, Json]:
        error = message.get("error")
        if isinstance(error, dict):
            why = str(error.get("message", ""))[:500]
            if error.get("code") == NO_METHOD:
                raise Invalid(f"{self.name} has no method {method}: {why}")
            if error.get("code") == NO_PARAMS:
                raise Invalid(f"{self.name}: {why}")
            raise DeviceFailed(f"{self.name}: {why}")
        result = message.get("result")
        if not isinstance(result, dict):
            raise BadReply(f"{self.name} answered {method} without a result")
        return result


def answer_in(text: bytes, number: int) -> Mapping[str, Json] | None:
    """The message that answers a request, if it stands whole in a stream of events so far."""
    for event in text.replace(b"\r\n", b"\n").split(b"\n\n")[:-1]:
        data = b"".join(
            line[5:].lstrip() for line in event.split(b"\n") if line.startswith(b"data:")
        )
        try:
            found = json.loads(data)
        except ValueError:
            continue
        if isinstance(found, dict) and found.get("id") == number:
            return found
    return None
