"""Our driver of Chat Completions."""

from contextlib import asynccontextmanager

from oros.abi.message import say
from oros.abi.ports import ModelRequest, TextDelta
from oros.drivers.models.openai.driver import OpenAIModel


@asynccontextmanager
async def client(base):
    """Answers to a prompt, as text."""
    model = OpenAIModel("mock-1", base, platform="openai")

    async def ask(prompt):
        text = []
        async for batch in model.generate(ModelRequest((say("user", prompt),), max_tokens=4096)):
            text += [d.text for d in batch if isinstance(d, TextDelta)]
        return "".join(text)

    yield ask
    await model.close()
