"""The floor: bytes from aiohttp, no parser at all."""

from contextlib import asynccontextmanager

import aiohttp


@asynccontextmanager
async def client(base):
    """Answers to a prompt, as the bytes that came."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def ask(prompt):
            body = {
                "model": "mock-1",
                "messages": [{"role": "user", "content": prompt}],
                "max_completion_tokens": 4096,
                "stream": True,
            }
            found = []
            async with session.post(f"{base}/chat/completions", json=body) as reply:
                async for piece in reply.content.iter_any():
                    found += [piece]
            return b"".join(found).decode()

        yield ask
