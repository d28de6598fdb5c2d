"""Two frameworks of agents, unpatched: pydantic-ai and openai-agents."""

import asyncio

import openai
import pytest
from agents import (
    Agent,
    ModelSettings,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    function_tool,
    set_tracing_disabled,
)
from pydantic import BaseModel
from pydantic_ai import Agent as Pydantic
from pydantic_ai import BinaryContent, ModelHTTPError
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModelSettings
from pydantic_ai.models.openai import OpenAIResponsesModel as PydanticResponses
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider
from tests.services.index.samples import pdf

ASKS = "[[mock turns=1 tool=weather tokens=4 final=sunny]] How is it?"
PLACE = '[[mock text={"city":"Bonn","people":330000}]]'


class Place(BaseModel):
    """What a structured answer is made of."""

    city: str
    people: int


def models(doors):
    """The same model by three dialects."""
    ours = OpenAIProvider(base_url=f"{doors.url}/v1", api_key=doors.key)
    theirs = AnthropicProvider(base_url=doors.url, api_key=doors.key)
    return [
        OpenAIChatModel("mock", provider=ours),
        PydanticResponses("mock", provider=ours),
        AnthropicModel("mock", provider=theirs),
    ]


DIALECTS = pytest.mark.parametrize("number", [0, 1, 2], ids=["chat", "responses", "messages"])


@DIALECTS
def test_pydantic_ai_uses_tools(doors, number) -> None:
    agent, seen = Pydantic(models(doors)[number], system_prompt="be short"), []

    @agent.tool_plain
    def weather(x: int) -> str:
        """Tell the weather."""
        seen.append(x)
        return "sunny"

    found = agent.run_sync(ASKS)
    assert found.output.startswith("sunny")
    assert seen == [0]
    assert found.usage.input_tokens > 0


@DIALECTS
def test_pydantic_ai_has_structured_answers(doors, number) -> None:
    agent = Pydantic(models(doors)[number], output_type=Place)
    assert agent.run_sync(PLACE).output == Place(city="Bonn", people=330000)


@DIALECTS
def test_pydantic_ai_streams(doors, number) -> None:
    agent = Pydantic(models(doors)[number])

    async def story():
        async with agent.run_stream("one two three") as found:
            return [piece async for piece in found.stream_text(delta=True, debounce_by=None)]

    pieces = asyncio.run(story())
    assert "".join(pieces).strip() == "echo: one two three"
    assert len(pieces) > 2


@DIALECTS
def test_pydantic_ai_shows_pictures(doors, number) -> None:
    agent = Pydantic(models(doors)[number])
    agent.run_sync(["what?", BinaryContent(b"\x89PNG pixel", media_type="image/png")])
    assert doors.pictures() == ["image/png"]


@DIALECTS
def test_pydantic_ai_sends_documents(doors, number, tmp_path) -> None:
    pdf(tmp_path / "a.pdf", ["The fee is 417 pounds."])
    paper = BinaryContent((tmp_path / "a.pdf").read_bytes(), media_type="application/pdf")
    found = Pydantic(models(doors)[number]).run_sync(["what?", paper])
    assert "The fee is 417 pounds." in found.output  # the model says what it was shown


def test_pydantic_ai_hears_errors(doors) -> None:
    provider = OpenAIProvider(base_url=f"{doors.url}/v1", api_key=doors.key)
    with pytest.raises(ModelHTTPError, match="gpt-9"):
        Pydantic(OpenAIChatModel("gpt-9", provider=provider)).run_sync("x")


# ---- openai-agents -----------------------------------------------------------------------------


def agent_of(doors, kind, **more):
    set_tracing_disabled(True)
    client = openai.AsyncOpenAI(base_url=f"{doors.url}/v1", api_key=doors.key)
    model = kind(model="mock", openai_client=client)
    settings = ModelSettings(max_tokens=200)
    return Agent(name="a", instructions="be short", model=model, model_settings=settings, **more)


KINDS = pytest.mark.parametrize("kind", [OpenAIChatCompletionsModel, OpenAIResponsesModel])


@KINDS
def test_openai_agents_use_tools(doors, kind) -> None:
    seen = []

    @function_tool
    def weather(x: int) -> str:
        """Tell the weather."""
        seen.append(x)
        return "sunny"

    found = asyncio.run(Runner.run(agent_of(doors, kind, tools=[weather]), ASKS))
    assert found.final_output.startswith("sunny")
    assert seen == [0]


@KINDS
def test_openai_agents_have_structured_answers(doors, kind) -> None:
    agent = agent_of(doors, kind, output_type=Place)
    found = asyncio.run(Runner.run(agent, PLACE))
    assert found.final_output == Place(city="Bonn", people=330000)


@KINDS
def test_openai_agents_stream(doors, kind) -> None:
    async def story():
        found = Runner.run_streamed(agent_of(doors, kind), "one two three")
        kinds = [e.type async for e in found.stream_events()]
        return found.final_output, kinds

    said, kinds = asyncio.run(story())
    assert said.strip() == "echo: one two three"
    assert kinds.count("raw_response_event") > 3


@KINDS
def test_openai_agents_hand_over(doors, kind) -> None:
    other = agent_of(doors, kind)
    other.name = "other"
    text = "[[mock turns=1 tool=transfer_to_other args={} tokens=2 final=here]] go"
    found = asyncio.run(Runner.run(agent_of(doors, kind, handoffs=[other]), text))
    assert found.last_agent.name == "other"
    assert found.final_output.startswith("here")


# ---- conversations that the machine keeps ------------------------------------------------------


def test_openai_agents_send_only_what_is_new(doors) -> None:
    seen = []

    @function_tool
    def weather(x: int) -> str:
        """Tell the weather."""
        seen.append(x)
        return "sunny"

    async def story():
        agent = agent_of(doors, OpenAIResponsesModel, tools=[weather])
        first = await Runner.run(agent, ASKS, auto_previous_response_id=True)
        assert first.final_output.startswith("sunny")
        assert seen == [0]
        said = {"previous_response_id": first.last_response_id}
        return await Runner.run(agent, "one more", **said)

    assert "sunny" in asyncio.run(story()).final_output


def test_pydantic_ai_sends_only_what_is_new(doors) -> None:
    settings = OpenAIResponsesModelSettings(openai_previous_response_id="auto")
    agent = Pydantic(models(doors)[1], model_settings=settings)

    @agent.tool_plain
    def weather(x: int) -> str:
        """Tell the weather."""
        return "sunny"

    first = agent.run_sync(ASKS)
    assert first.output.startswith("sunny")
    last = agent.run_sync("one more", message_history=first.all_messages())
    assert "sunny" in last.output
