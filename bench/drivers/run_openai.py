"""The vendor's own SDK."""

from contextlib import asynccontextmanager

from openai import AsyncOpenAI


@asynccontextmanager
async def client(base):
    """Answers to a prompt, as text."""
    async with AsyncOpenAI(base_url=base, api_key="x", max_retries=0, timeout=600) as sdk:

        async def ask(prompt):
            text = []
            stream = await sdk.chat.completions.create(
                model="mock-1",
                messages=[{"role": "user", "content": prompt}],
                max_completion_tokens=4096,
                stream=True,
                stream_options={"include_usage": True},
            )
            async for chunk in stream:
                if chunk.choices and chunk.choices[0].delta.content:
                    text += [chunk.choices[0].delta.content]
            return "".join(text)

        yield ask
