"""python -m bench.local: how fast the model in the box loads, reads, writes and lets itself stop.

The driver and its worker, no kernel above them; figures in seconds are of this machine. A cancel
counts twice: until the call has returned, and until the worker is idle for the next one. The decode
loop and its preemption have a page of their own: `python -m bench.local.preemption`. Exit code 1 if
a bar is missed.
"""

import argparse
import asyncio
import statistics
import sys
import time
from contextlib import aclosing
from pathlib import Path

from bench.footprint.__main__ import Report
from oros.abi.message import say
from oros.abi.ports import Finished, ModelRequest, TextDelta
from oros.boot.models import info_of
from oros.drivers.models.llamacpp.driver import LlamaCppModel
from oros.drivers.models.llamacpp.engine import free_memory
from oros.sdk.address import home_of
from oros.services.weights.catalog import BY_NAME, default_model
from oros.services.weights.pull import place

TEXT = (Path(__file__).parents[2] / "examples" / "texts" / "constitution.txt").read_text()
BAR = 0.2
ROUNDS = 8


def asked(start: int, size: int, most: int) -> ModelRequest:
    """A question about a page that no former one has read."""
    page = f"Copy this text:\n\n{TEXT[start : start + size]}"
    return ModelRequest((say("user", page),), max_tokens=most)


async def answer(model: LlamaCppModel, request: ModelRequest) -> tuple[float, float, Finished]:
    """Seconds to the first token, seconds after it, and the end with its usage."""
    begun = time.perf_counter()
    first, end = 0.0, None
    async for batch in model.generate(request):
        for delta in batch:
            if isinstance(delta, TextDelta) and not first:
                first = time.perf_counter()
            if isinstance(delta, Finished):
                end = delta
    now = time.perf_counter()
    first = first or now
    return first - begun, now - first, end


async def idle(model: LlamaCppModel) -> None:
    """Wait until the worker computes for nobody."""
    while (await model.state())["jobs"]:  # noqa: ASYNC110  # it is another process
        await asyncio.sleep(0.002)


async def cut(model: LlamaCppModel, request: ModelRequest, tokens: int, wait: float) -> list[float]:
    """Leave an answer after `tokens` of it, or `wait` seconds into its prompt; two delays."""
    written = asyncio.Event()

    async def listen() -> None:
        seen = 0
        async with aclosing(model.generate(request)) as batches:
            async for batch in batches:
                seen += sum(isinstance(d, TextDelta) for d in batch)
                if seen >= tokens:
                    written.set()

    task = asyncio.create_task(listen())
    if tokens:
        await written.wait()
    else:
        await asyncio.sleep(wait)
    begun = time.perf_counter()
    task.cancel()
    await asyncio.wait([task])
    returned = time.perf_counter() - begun
    await idle(model)
    return [returned, time.perf_counter() - begun]


async def measure(name: str, report: Report) -> None:
    """Fill the table."""
    spec = BY_NAME[name]
    path = place(spec, home_of() / "models")
    model = LlamaCppModel(path, info_of(spec), repack=spec.repack)
    try:
        begun = time.perf_counter()
        await model.count("ready?")
        report.row(f"{name}: load", time.perf_counter() - begun, "s")
        first, _, end = await answer(model, asked(0, 4000, 1))
        report.row("reading", (end.usage.tokens_in - end.usage.cached) / first, "tokens/s")
        first, rest, end = await answer(model, asked(0, 4000, 64))
        report.row("the same prompt again, to the first token", first, "s")
        report.row("writing", (end.usage.tokens_out - 1) / rest, "tokens/s")
        writing = [await cut(model, asked(0, 4000, 400), 3 + n, 0) for n in range(ROUNDS)]
        reading = [
            await cut(model, asked(4000 + 3000 * n, 3000, 8), 0, 1 + 0.37 * n)
            for n in range(ROUNDS)
        ]
        for what, found in (("writing", writing), ("reading a prompt", reading)):
            returned, free = zip(*found, strict=True)
            report.row(f"cancel while {what}, call returned, worst", max(returned), "s", BAR)
            report.row(f"cancel while {what}, slot free, median", statistics.median(free), "s")
            report.row(f"cancel while {what}, slot free, worst", max(free), "s")
    finally:
        await model.close()


def main() -> int:
    """Measure and print; 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=BY_NAME, default=default_model(free_memory()).name)
    report = Report()
    asyncio.run(measure(parser.parse_args().model, report))
    return 1 if report.missed else 0


if __name__ == "__main__":
    sys.exit(main())
