"""The job on the OpenAI Agents SDK, no durability."""

from contextlib import asynccontextmanager

import job as work
from agents import (
    Agent,
    OpenAIChatCompletionsModel,
    Runner,
    function_tool,
    set_tracing_disabled,
)
from openai import AsyncOpenAI


@asynccontextmanager
async def runtime(options):
    """The job on this runtime."""
    set_tracing_disabled(True)
    client = AsyncOpenAI(base_url=options.base, api_key="x", timeout=120, max_retries=0)

    @function_tool
    def lookup(x: int) -> str:
        """Look a number up."""
        return work.lookup(x)

    model = OpenAIChatCompletionsModel("mock-1", client)
    agent = Agent(name="w", instructions=work.script(options), model=model, tools=[lookup])

    async def job(number):
        turns = work.TURNS + 3
        if options.stream:
            run = Runner.run_streamed(agent, f"job {number}", max_turns=turns)
            async for _ in run.stream_events():
                pass
            return run.final_output
        return (await Runner.run(agent, f"job {number}", max_turns=turns)).final_output

    yield job
