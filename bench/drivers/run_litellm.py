"""An aggregator."""

from contextlib import asynccontextmanager

import litellm

litellm.suppress_debug_info = True


@asynccontextmanager
async def client(base):
    """Answers to a prompt, as text."""

    async def ask(prompt):
        text = []
        stream = await litellm.acompletion(
            model="openai/mock-1",
            api_base=base,
            api_key="x",
            messages=[{"role": "user", "content": prompt}],
            max_tokens=4096,
            stream=True,
            stream_options={"include_usage": True},
            timeout=600,
        )
        async for chunk in stream:
            if chunk.choices and chunk.choices[0].delta.content:
                text += [chunk.choices[0].delta.content]
        return "".join(text)

    yield ask
