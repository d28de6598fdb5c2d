"""Interpreters of two makes: a plain program, and a child of one zygote, confined."""

import asyncio
from pathlib import Path

import pytest
from tests.drivers.sandbox.zygote.forked import forked, job, packages, walls
from tests.drivers.sandbox.zygote.plain import KIT, plain

from oros.drivers.sandbox.zygote.warm import Zygote


@pytest.fixture(scope="session")
def mother():
    async def start() -> Zygote:
        made = Zygote(await walls(), packages())
        await made.start()
        return made

    made = asyncio.run(start())
    yield made
    asyncio.run(made.close())


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture(params=["plain", "forked"])
def make(request: pytest.FixtureRequest, work: Path):
    """How an interpreter is made: `async with make() as interpreter`."""
    if request.param == "plain":
        return lambda **bounds: plain(work, **bounds)
    mother = request.getfixturevalue("mother")
    return lambda **bounds: forked(mother, job(work, **bounds), KIT)


@pytest.fixture
def cells(make):
    """Run cells one after another in a new interpreter; their results."""

    def run(*sources: str, seconds: float = 20.0, **bounds):
        async def go():
            async with make(**bounds) as it:
                return [await it.run_cell(source, seconds) for source in sources]

        return asyncio.run(go())

    return run
