"""The floor: a plain loop over aiohttp, no journal, no memory of anything."""

import json
from contextlib import asynccontextmanager

import aiohttp
from job import lookup, script

SCHEMA = {
    "type": "function",
    "function": {
        "name": "lookup",
        "description": "Look a number up.",
        "parameters": {
            "type": "object",
            "properties": {"x": {"type": "integer"}},
            "required": ["x"],
        },
    },
}


def fold(lines: list[bytes]) -> dict:
    """Fold a stream of deltas into one message."""
    text, calls = [], {}
    for line in lines:
        if not line.startswith(b"data: ") or line.startswith(b"data: [DONE]"):
            continue
        choices = json.loads(line[6:])["choices"]
        if not choices:
            continue
        delta = choices[0]["delta"]
        if delta.get("content"):
            text.append(delta["content"])
        for part in delta.get("tool_calls") or ():
            call = calls.setdefault(part["index"], {"id": "", "name": "", "arguments": ""})
            call["id"] += part.get("id") or ""
            call["name"] += part["function"].get("name") or ""
            call["arguments"] += part["function"].get("arguments") or ""
    message = {"role": "assistant", "content": "".join(text)}
    if calls:
        message["tool_calls"] = [
            {
                "id": c["id"],
                "type": "function",
                "function": {"name": c["name"], "arguments": c["arguments"]},
            }
            for c in calls.values()
        ]
    return message


@asynccontextmanager
async def runtime(options):
    """The job on this runtime."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def call(messages):
            body = {"model": "mock-1", "messages": messages, "tools": [SCHEMA]}
            if options.stream:
                body["stream"] = True
            async with session.post(options.base + "/chat/completions", json=body) as reply:
                if options.stream:
                    return fold([line async for line in reply.content])
                return json.loads(await reply.read())["choices"][0]["message"]

        async def job(number):
            messages = [
                {"role": "system", "content": script(options)},
                {"role": "user", "content": f"job {number}"},
            ]
            while True:
                message = await call(messages)
                messages.append(message)
                if not message.get("tool_calls"):
                    return message["content"]
                for c in message["tool_calls"]:
                    found = lookup(**json.loads(c["function"]["arguments"]))
                    messages.append({"role": "tool", "tool_call_id": c["id"], "content": found})

        yield job
