"""A model server as strict as they are: it counts, and refuses what is over its window.

What it says is mechanical: asked for a fact it gives the value if that stands in its window; else
it searches its earlier pages and reads what is found. Notes that it is asked for say nothing.
"""

import json
import re
from dataclasses import dataclass, field

from tests.mock_server import MockServer, answer, text_of

from bench.long.talk import Turn

PAGES = "/proc/self/pages"
MOST_READ = 4


def tokens(text: str) -> int:
    """Four characters each, as the server counts."""
    return len(text) // 4 + 1


@dataclass
class Counts:
    """What was measured at the server."""

    calls: int = 0
    over: int = 0
    largest: int = 0
    read: int = 0
    same: int = 0
    notes: int = 0
    before: str = ""
    found: dict[str, int] = field(default_factory=dict)


class Strict(MockServer):
    """The server of one conversation."""

    window = 4096

    def begin(self, turns: list[Turn]) -> None:
        """Forget what was; this is what will be asked."""
        self.asked = {t.text: t.asks for t in turns if t.asks}
        self.looks = {t.text for t in turns if t.looks}
        self.counts = Counts()
        self.answers: dict[str, str] = {}

    async def _chat(self, body, reader, writer) -> bool:
        whole = json.dumps(body.get("tools") or []) + "".join(map(read, body["messages"]))
        size = tokens(whole) + int(body.get("max_tokens") or 0)
        counts = self.counts
        if size > self.window:
            counts.over += 1
            error = {"message": f"{size} tokens", "code": "context_length_exceeded"}
            answer(writer, 400, {"error": error})
            await writer.drain()
            return True
        counts.largest = max(counts.largest, size)
        if "You keep the notes" not in text_of(body["messages"][0]["content"]):
            counts.calls += 1
            counts.read += len(whole)
            counts.same += common(whole, counts.before)
            counts.before = whole
        else:
            counts.notes += 1
        return await super()._chat(body, reader, writer)

    def plan(self, body):
        messages = body["messages"]
        if "You keep the notes" in text_of(messages[0]["content"]):
            return "", ["The talk ", "went on."], None
        spoken = self.spoken(messages)
        at = max(i for i, m in enumerate(messages) if text_of(m["content"]) in spoken)
        said, since = text_of(messages[at]["content"]), messages[at + 1 :]
        fact = self.asked.get(said)
        results = [text_of(m["content"]) for m in since if m["role"] == "tool"]
        if fact is None:
            if said in self.looks and not results and body.get("tools"):
                return "", [], call("read", len(messages), path="/proc/self/status")
            return "", ["I see, ", "go ", "on."], None
        there = [text_of(m["content"]) for m in messages if fact.value in text_of(m["content"])]
        if there:
            self.answers[said] = how(there, results)
            return "", [fact.value], None
        if not body.get("tools"):
            return "", ["I do ", "not know."], None
        return self.look(said, results, len(messages))

    def spoken(self, messages) -> set[str]:
        """What the user said, as it stands in the window."""
        users = {text_of(m["content"]) for m in messages if m["role"] == "user"}
        return {t for t in users if t in self.asked or t.startswith("(")} or users

    def look(self, said: str, results: list[str], turn: int):
        """Search, then read what was found, best first."""
        if not results:
            return "", [], call("search", turn, path=PAGES, query=said, limit=MOST_READ)
        hits = re.findall(r"pages/(\d+)", results[0])
        if len(results) > min(len(hits), MOST_READ):
            return "", ["I do ", "not know."], None
        return "", [], call("read", turn, path=f"{PAGES}/{hits[len(results) - 1]}")


def read(message) -> str:
    """A message as the model reads it."""
    calls = [c["function"] for c in message.get("tool_calls") or ()]
    asked = "".join(c["name"] + c["arguments"] for c in calls)
    return f"<{message['role']}>{text_of(message.get('content'))}{asked}\n"


def how(there: list[str], results: list[str]) -> str:
    """Where the value stood."""
    if any(r in there for r in results):
        return "searched" if there[0] == results[0] else "read"
    return "recalled" if any("From earlier pages" in t for t in there) else "window"


def call(name: str, turn: int, **args) -> dict:
    return {"name": name, "arguments": json.dumps(args), "id": f"call_{turn}"}


def common(a: str, b: str) -> int:
    """The length of what two texts begin with together."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if a[:middle] == b[:middle] else (low, middle - 1)
    return low
