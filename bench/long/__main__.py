"""`python -m bench.long`: 500 turns through a window of 4,096 tokens; what is still known?

The real daemon over a model server on loopback. Beside it, from the same words: the last messages
that fit (a sliding window), and the same cut in large steps; what of the facts these still hold,
and how much of each request begins as the one before.
"""

import argparse
import asyncio
import json
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
CONFIG = """default_model = "mock"
[models.mock]
base_url = "{}"
model = "mock-1"
price = [1000000, 2000000, 100000]
window = {}
cans = ["tools", "resume"]
"""


async def talk(home: Path, server: Strict, turns: list[Turn], program: Program) -> dict:
    """One conversation with a machine of its own; what the machine knows of it at the end."""
    prepare(home)
    (home / "config.toml").write_text(CONFIG.format(server.base_url, server.window))
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


def spoken(client: Client, turns: list[Turn]) -> dict:
    """Say all of it, one turn after another."""
    said = client.call("spawn", goal=turns[0].text, program="talk", folder="/tmp")
    pid = said["value"]["pid"]
    rest(client, pid)
    for turn in turns[1:]:
        client.call("send", pid=pid, text=turn.text)
        rest(client, pid)
    status = client.call("read", path=f"/proc/{pid}/status", limit=100_000)
    return json.loads("".join(p["text"] for p in status["parts"]))


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
    words = parser.parse_args()
    turns = conversation(words.turns, words.facts, words.seed)
    print(f"{words.turns} turns, {words.facts} facts, a window of {words.window} tokens")
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
                await talk(Path(folder) / "home", server, turns, program)
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


def reordered(found: tuple[int, float], facts: int) -> tuple[int, int, float]:
    return found[0], facts, found[1]


if __name__ == "__main__":
    asyncio.run(main())
