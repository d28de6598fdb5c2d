"""`python -m bench.long`: 500 turns through a window of 4,096 tokens; what is still known?

The real daemon over a model server on loopback. Beside it, from the same words: the last messages
that fit (a sliding window), and the same cut in large steps; what of the facts these still hold,
and how much of each request begins as the one before.
"""

import argparse
import asyncio
import json
import os
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

from bench.long.server import Strict, common, tokens
from bench.long.talk import Turn, conversation
from oros.abi.manifest import Program
from oros.boot.daemon import Parts, prepare, serve
from oros.sdk.address import socket_path
from oros.sdk.client import Client

TALK = Program(
    "talk", "talks", "steps", "You talk with the user.", ("read", "search"),
    standing=True, max_tokens=400, digest=150, recall=300,
)  # fmt: skip
MODELS = Path(os.environ.get("OROS_HOME") or Path.home() / ".local/share/oros") / "models"
CONFIG = """default_model = "mock"
[models.mock]
base_url = "{}"
model = "mock-1"
price = [1000000, 2000000, 100000]
window = {}
cans = ["tools", "resume"]
"""


async def talk(home: Path, config: str, turns: list[Turn], program: Program) -> list[str]:
    """One conversation with a machine of its own; what it answered."""
    prepare(home)
    (home / "config.toml").write_text(config)
    if not (home / "models").exists() and MODELS.is_dir():
        (home / "models").symlink_to(MODELS)
    daemon = asyncio.ensure_future(serve(home, Parts(programs={"talk": program})))
    client = Client(home)
    try:
        while not await asyncio.to_thread(up, home) and not daemon.done():
            pass
        return await asyncio.to_thread(spoken, client, turns)
    finally:
        await asyncio.to_thread(client.halt)
        await daemon


def up(home: Path) -> bool:
    """Whether the door is there; a moment later, if not."""
    time.sleep(0.0 if socket_path(home).exists() else 0.05)
    return socket_path(home).exists()


def spoken(client: Client, turns: list[Turn]) -> list[str]:
    """Say all of it, one turn after another; what was answered, and at last what it cost."""
    heard = []
    said = client.call("spawn", goal=turns[0].text, program="talk", folder="/tmp")
    pid = said["value"]["pid"]
    rest(client, pid)
    for turn in turns[1:]:
        client.call("send", pid=pid, text=turn.text)
        rest(client, pid)
        pages = client.call("list", path=f"/proc/{pid}/pages", limit=1)["value"]["entries"]
        heard.append(pages[-1]["head"])
    row = client.call("stat", path=f"/proc/{pid}")["value"]
    return [*heard, json.dumps(row)]


def rest(client: Client, pid: int) -> None:
    """Wait until it waits for the user again."""
    while True:
        row = client.call("stat", path=f"/proc/{pid}")["value"]
        if row["on"] == "message":
            return
        if row["state"] in ("stopped", "zombie", "reaped"):
            raise SystemExit(f"the process stopped: {row['why']}")
        time.sleep(0.002)


def peer(turns: list[Turn], room: int, *, steps: bool) -> tuple[int, float]:
    """Facts that a window of the last messages still holds, and the share of prefixes kept."""
    lines: list[str] = []
    known = same = read = 0
    before = ""
    for turn in turns:
        lines.append(turn.text)
        if sum(map(tokens, lines)) > room:
            while sum(map(tokens, lines)) > (room // 2 if steps else room):
                lines.pop(0)
        whole = "\n".join(lines)
        read, same, before = read + len(whole), same + common(whole, before), whole
        known += turn.asks is not None and turn.asks.value in whole
        lines.append(turn.asks.value if turn.asks and turn.asks.value in whole else "I see, go on.")
    return known, same / read


def row(name: str, known: int, facts: int, share: float, more: str = "") -> None:
    print(f"{name:34} {known:3} of {facts}   {share:6.1%}   {more}")


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=500)
    parser.add_argument("--facts", type=int, default=50)
    parser.add_argument("--window", type=int, default=4096)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--model", default="", help="a model in the box instead of the mock")
    words = parser.parse_args()
    turns = conversation(words.turns, words.facts, words.seed)
    print(f"{words.turns} turns, {words.facts} facts, a window of {words.window} tokens")
    if words.model:
        await real(words.model, turns, words.facts)
        return
    print(f"{'':34} {'known':>9}   prefix kept")
    failed = False
    programs = {
        "oros: recall, summaries, pages": TALK,
        "oros: pages alone": replace(TALK, digest=0, recall=0),
        "oros: recall, no calls": replace(TALK, calls=()),
    }
    for name, program in programs.items():
        with tempfile.TemporaryDirectory() as folder:
            async with Strict() as server:
                server.window = words.window
                server.begin(turns)
                config = CONFIG.format(server.base_url, server.window)
                await talk(Path(folder) / "home", config, turns, program)
            known, counts = len(server.answers), server.counts
            ways = Counter(server.answers.values())
            told = ", ".join(f"{n} {way}" for way, n in ways.most_common())
            more = f"{told}; {counts.calls} calls, {counts.notes} summaries, "
            more += f"largest {counts.largest}, over the window {counts.over}"
            row(name, known, words.facts, counts.same / max(1, counts.read), more)
            failed |= counts.over > 0 or (bool(program.calls) and known < words.facts)
    room = words.window - TALK.max_tokens
    row("the last messages that fit", *reordered(peer(turns, room, steps=False), words.facts))
    row("the same, cut in large steps", *reordered(peer(turns, room, steps=True), words.facts))
    raise SystemExit(failed)


async def real(model: str, turns: list[Turn], facts: int) -> None:
    """The same with a model in the box, in its own window: what it really answers."""
    with tempfile.TemporaryDirectory() as folder:
        config, program = f'default_model = "{model}"\n', replace(TALK, calls=(), max_tokens=80)
        began = time.perf_counter()
        *heard, last = await talk(Path(folder) / "home", config, turns, program)
    seconds, used = time.perf_counter() - began, json.loads(last)
    asked = list(zip(turns[1:], heard, strict=True))
    right = sum(t.asks is not None and t.asks.value in said for t, said in asked)
    share = used["cached"] / max(1, used["tokens_in"])
    row(model, right, facts, share, f"{used['tokens_in']} tokens read, {seconds:.0f} s")


def reordered(found: tuple[int, float], facts: int) -> tuple[int, int, float]:
    return found[0], facts, found[1]


if __name__ == "__main__":
    asyncio.run(main())
