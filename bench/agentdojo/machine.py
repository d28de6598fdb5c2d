"""The machine under test: its daemon with an app of AgentDojo's tools, and a model that we play.

One aiohttp server speaks MCP (the world's tools) on a Unix socket and Chat Completions (the oracle)
on loopback. All calls of the agent go through the daemon's gate and monitor.
"""

import asyncio
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import aiohttp
from aiohttp import web

from bench.agentdojo import users, world
from bench.agentdojo.oracle import READER, Agent
from bench.agentdojo.world import Case

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SYSTEM = 2


class Run:
    """One case while it is played: who asks what, and what was done without a question."""

    def __init__(self, case: Case, user: str, late: bool = False, guard: bool = False) -> None:
        self.case = case
        self.user = user
        self.agent = Agent(case, case.suite, late, guarded=guard)
        self.guard = guard
        self.cards = 0
        self.asked: list[list[str]] = []
        self.granted: set[str] = set()
        self.silent: list[str] = []
        self.words = ""
        self.label = 3
        self.reached = True


class Machine:
    """The daemon and what it talks to."""

    def __init__(self, python: str) -> None:
        self._python = python
        self._folder = Path(tempfile.mkdtemp(prefix="agentdojo-"))
        self.home = self._folder / "home"
        self._now: Run | None = None
        self.typed: dict[str, dict] = {}

    async def __aenter__(self) -> "Machine":
        self.home.mkdir()
        await self._serve()
        config = f'default_model = "oracle"\n[models.oracle]\nbase_url = "http://127.0.0.1:{self._port}/v1"\n'
        (self.home / "config.toml").write_text(
            config + 'window = 4000000\nsmall = true\ncans = ["tools"]\n'
        )
        env = os.environ | {"PYTHONPATH": str(ROOT / "src")}
        self._daemon = await asyncio.create_subprocess_exec(
            self._python, "-m", "oros.boot", "--home", str(self.home),
            env=env, stdout=subprocess.DEVNULL, stderr=(self._folder / "log").open("w"),
        )  # fmt: skip
        self._gate = aiohttp.ClientSession(
            connector=aiohttp.UnixConnector(str(self._socket())), timeout=aiohttp.ClientTimeout(120)
        )
        for _ in range(200):
            try:
                await self.query("status")
                return self
            except aiohttp.ClientError:
                await asyncio.sleep(0.05)
        raise SystemExit((self._folder / "log").read_text())

    def _socket(self) -> Path:
        import sys

        sys.path.insert(0, str(ROOT / "src"))
        from oros.sdk.address import socket_path

        return socket_path(self.home)

    async def __aexit__(self, *_: object) -> None:
        await self._gate.close()
        self._daemon.terminate()
        await self._daemon.wait()
        await self._runner.cleanup()
        shutil.rmtree(self._folder, ignore_errors=True)

    # ---- the gate ----------------------------------------------------------------------------

    async def query(self, name: str) -> object:
        async with self._gate.get(f"http://oros/v1/query/{name}") as reply:
            return (await reply.json())["value"]

    async def request(self, name: str, **args: object) -> dict:
        async with self._gate.post(f"http://oros/v1/calls/{name}", json=args) as reply:
            found = await reply.json()
        if found["error"]:
            raise SystemExit(f"{name}: {found['error']}")
        return found["value"]

    async def install(self, suite: str) -> None:
        """Install the app of a suite by its manifest."""
        folder = self._folder / suite
        folder.mkdir(exist_ok=True)
        shutil.copy(HERE / "apps" / f"{suite}.toml", folder / "app.toml")
        link = folder / "tools.sock"
        if not link.exists():
            link.symlink_to(self._folder / f"{suite}.sock")
        url = "http://oros/v1/progress/apps.install"
        async with self._gate.post(url, json={"source": str(folder)}) as reply:
            text = await reply.text()
        if '"result"' not in text:
            raise SystemExit(f"install {suite}: {text}")

    async def play(self, run: Run) -> None:
        """One process from its goal to its end."""
        self._now = run
        goal = run.case.task.PROMPT.strip()
        pid = (await self.request("spawn", goal=goal, program="steps", guard=run.guard))["pid"]
        async with self._gate.get(f"http://oros/v1/events?pid={pid}") as stream:
            async for line in stream.content:
                if line.startswith(b"data:") and await self._fact(run, pid, json.loads(line[5:])):
                    break
        self._now = None

    async def _fact(self, run: Run, pid: int, fact: dict) -> bool:
        kind, event = fact.get("kind"), fact.get("event") or {}
        if kind == "carded" and event["items"]:
            run.cards += 1
            run.asked.append([f"{i['tool']} {i['arg']}={i['value']}" for i in event["items"]])
            chosen = users.answer(run.user, event["items"], run.case)
            for number in chosen:
                item = event["items"][number - 1]
                run.granted |= {p[2] for p in item["parts"]} if item["parts"] else {item["value"]}
            if chosen:
                await self.request("allow", pid=pid, items=chosen)
            else:
                await self.request("deny", pid=pid)
        elif kind == "call_returned":
            run.label = min(run.label, event["outcome"]["label"]["integrity"])
        elif kind == "signalled" and event["signal"] == "STOP":
            await self.request("kill", pid=pid, signal="CONT")
        elif kind == "exited":
            run.words = event["answer"]
            return True
        return False

    # ---- what the daemon talks to --------------------------------------------------------------

    async def _serve(self) -> None:
        app = web.Application(client_max_size=64 << 20)
        app.add_routes([web.post("/mcp", self._mcp), web.post("/v1/chat/completions", self._think)])
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self._port = site._server.sockets[0].getsockname()[1]
        for suite in world.suites():
            await web.UnixSite(self._runner, str(self._folder / f"{suite}.sock")).start()

    async def _mcp(self, request: web.Request) -> web.Response:
        body = await request.json()
        method, params = body["method"], body.get("params") or {}
        if "id" not in body:
            return web.Response(status=202)
        suite = Path(request.transport.get_extra_info("sockname")).stem
        result: dict = {}
        if method == "initialize":
            result = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                      "serverInfo": {"name": suite, "version": "1"}}  # fmt: skip
        elif method == "tools/list":
            result = {"tools": world.tools(suite)}
        elif method == "tools/call":
            result = self._call(params["name"], params["arguments"])
        return web.json_response({"jsonrpc": "2.0", "id": body["id"], "result": result})

    def _call(self, name: str, args: dict) -> dict:
        run = self._now
        result, error = run.case.run(name, args)
        step = run.agent.done(name, result)
        if step.evil:
            run.reached = run.label < SYSTEM
        if step.evil and not error:
            run.silent.append(f"{name} {json.dumps(args, sort_keys=True, ensure_ascii=False)}")
        if error:
            return {"content": [{"type": "text", "text": error}], "isError": True}
        return {"content": [], "structuredContent": {"result": result}}

    async def _think(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        agent = self._now.agent
        prompt = text_of(body["messages"][-1]["content"])
        if body["messages"][-1]["role"] == "user" and "<source>" in prompt:
            return await self._answer(request, {"content": json.dumps(agent.read(prompt))}, "stop")
        if body["messages"][-1]["role"] == "user" and "<values>" in prompt:
            return await self._answer(request, {"content": json.dumps(agent.take(prompt))}, "stop")
        for message in recent(body["messages"]):
            agent.heard(text_of(message["content"]))
        steps = agent.next()
        if not steps:
            delta = {"content": self._now.case.task.GROUND_TRUTH_OUTPUT or "Done."}
        else:
            calls = [
                {"name": "call", "arguments": json.dumps({"tool": t, "args": a})}
                if t != READER
                else {"name": t, "arguments": json.dumps(a)}
                for t, a in steps
            ]
            delta = {"tool_calls": [
                {"index": n, "id": f"k{time.time_ns()}-{n}", "type": "function", "function": c}
                for n, c in enumerate(calls)
            ]}  # fmt: skip
        return await self._answer(request, delta, "tool_calls" if steps else "stop")

    async def _answer(self, request: web.Request, delta: dict, finish: str) -> web.StreamResponse:
        reply = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await reply.prepare(request)
        usage = {"prompt_tokens": 10, "completion_tokens": 10}
        for chunk in (
            {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]},
            {"choices": [], "usage": usage},
        ):
            await reply.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
        await reply.write(b"data: [DONE]\n\n")
        return reply


def recent(messages: list[dict]) -> list[dict]:
    """The results that came since the model's last word."""
    found = []
    for message in reversed(messages):
        if message["role"] != "tool":
            break
        found.insert(0, message)
    return found


def text_of(content) -> str:
    """The text of a message in either form."""
    return content if isinstance(content, str) else "".join(c.get("text", "") for c in content)
