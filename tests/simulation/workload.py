"""Random programs as lists of steps, written into the goal; the model only reads them out.

A step that the model must say next follows from what stands in its window, so a process that was
preempted, crashed or copied goes on where it stood.
"""

import json
import random
import re

from oros.abi.message import Ask, Message
from oros.abi.ports import ModelRequest
from oros.sdk.testing.scripted import Answer

CALLS = [
    "spawn",
    "fork",
    "wait",
    "exit",
    "kill",
    "nice",
    "sleep",
    "send",
    "recv",
    "read",
    "list",
    "stat",
    "infer",
    "call",
    "ask",
    "mount",
]
"""What simulated programs may call."""


def program(chance: random.Random, depth: int = 0) -> list[list]:
    """A random program: `[name, args, words]` a step."""
    steps = []
    for _ in range(chance.randint(1, 6)):
        name, args = step(chance, depth)
        steps.append([name, args, chance.choice((0, 3, 40))])
        if name == "spawn" and chance.random() < 0.8:
            steps.append(["wait", {"timeout": chance.choice((None, 0.2, 60))}, 0])
    return steps


def step(chance: random.Random, depth: int) -> tuple[str, dict]:
    """One random call."""
    kind = chance.randrange(14)
    match kind:
        case 0 | 1 | 2 | 3:
            return "call", {"tool": ("look", "put", "pay", "shout")[kind], "args": {"n": 1}}
        case 4 | 5 if depth < 2:
            limits = {"tokens": chance.randint(50, 4000)} if chance.random() < 0.3 else {}
            goal = json.dumps(program(chance, depth + 1))
            return "spawn", {"goal": goal, "nice": chance.choice((None, 1)), "limits": limits}
        case 6:
            return "sleep", {"seconds": chance.choice((0, 0.01, 1, 30))}
        case 7:
            return "recv", {"timeout": chance.choice((0, 0.5, 5))}
        case 8:
            return "send", {"pid": chance.randint(2, 8), "text": "hello"}
        case 9:
            return "infer", {"prompt": "say it", "max_tokens": chance.randint(5, 60)}
        case 10:
            signal = chance.choice(("TERM", "STOP", "INT", "USR1", "CONT"))
            return "kill", {"pid": chance.randint(1, 9), "signal": signal, "text": "go on"}
        case 11 if depth < 2:
            return "fork", {"n": chance.randint(1, 2)}
        case 12:
            return "ask", {"question": "may I?"}
        case _:
            return "wait", {"pid": chance.randint(1, 9), "timeout": chance.choice((1, 20))}


def say(request: ModelRequest) -> Answer:
    """What the model says: the next step of the program that stands in the goal."""
    users = [m.text for m in request.messages if m.role == "user"]
    goal = next((t for t in users if t.startswith("[[")), "")
    if not goal:
        return Answer("it is said " * 5)
    try:
        steps = json.loads(goal)
    except ValueError:
        return Answer("the goal is too long for this window")
    at = place(request.messages)
    if at >= len(steps):
        return Answer(f"did {len(steps)} steps")
    name, args, words = steps[at]
    return Answer("word " * words, (Ask(f"s{at}", name, args),))


def place(messages: tuple[Message, ...]) -> int:
    """How many steps were answered already."""
    done = [int(found[1]) for m in messages if (found := re.match(r"s(\d+)", m.answers or ""))]
    return max(done, default=-1) + 1
