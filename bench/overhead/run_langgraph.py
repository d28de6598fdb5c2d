"""The job on LangGraph with its SQLite checkpointer, set to WAL and synchronous=normal."""

import tempfile
from contextlib import asynccontextmanager

import aiosqlite
import job as work
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition


@asynccontextmanager
async def runtime(options):
    """The job on this runtime."""

    @tool
    def lookup(x: int) -> str:
        """Look a number up."""
        return work.lookup(x)

    with tempfile.TemporaryDirectory() as folder:
        async with aiosqlite.connect(f"{folder}/checkpoints.db") as db:
            await db.execute("pragma synchronous=normal")
            saver = AsyncSqliteSaver(db)
            await saver.setup()
            llm = ChatOpenAI(
                model="mock-1",
                base_url=options.base,
                api_key="x",
                timeout=120,
                max_retries=0,
                streaming=options.stream,
            ).bind_tools([lookup])

            async def agent(state: MessagesState):
                system = ("system", work.script(options))
                return {"messages": [await llm.ainvoke([system, *state["messages"]])]}

            graph = StateGraph(MessagesState)
            graph.add_node("agent", agent)
            graph.add_node("tools", ToolNode([lookup]))
            graph.add_edge(START, "agent")
            graph.add_conditional_edges("agent", tools_condition)
            graph.add_edge("tools", "agent")
            app = graph.compile(checkpointer=saver)

            async def job(number):
                config = {
                    "recursion_limit": 4 * work.TURNS + 10,
                    "configurable": {"thread_id": str(number)},
                }
                given = {"messages": [("user", f"job {number}")]}
                if options.stream:
                    async for part in app.astream(given, config, stream_mode="messages"):
                        last = part[0]
                    return last.content or "done"
                return (await app.ainvoke(given, config))["messages"][-1].content

            yield job
