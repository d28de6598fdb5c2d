"""The job on pydantic-ai, no durability."""

from contextlib import asynccontextmanager

import job as work
from openai import AsyncOpenAI
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.usage import UsageLimits


@asynccontextmanager
async def runtime(options):
    """The job on this runtime."""
    client = AsyncOpenAI(base_url=options.base, api_key="x", timeout=120, max_retries=0)
    model = OpenAIChatModel("mock-1", provider=OpenAIProvider(openai_client=client))
    agent = Agent(model, instructions=work.script(options))

    @agent.tool_plain
    def lookup(x: int) -> str:
        """Look a number up."""
        return work.lookup(x)

    limits = UsageLimits(request_limit=work.TURNS + 3)

    async def seen(_, events):
        async for _ in events:
            pass

    async def job(number):
        handler = seen if options.stream else None
        run = agent.run(f"job {number}", usage_limits=limits, event_stream_handler=handler)
        return (await run).output

    yield job
