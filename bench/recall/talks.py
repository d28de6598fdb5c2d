"""Conversations with questions whose evidence is known: read from LoCoMo's format."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

CATEGORIES = (1, 2, 3, 4)
"""Multi-hop, temporal, open, single-hop; the fifth has no evidence to find."""


@dataclass(frozen=True)
class Question:
    """A question and the turns (session, number) that answer it."""

    text: str
    evidence: tuple[tuple[int, int], ...]
    category: int


@dataclass(frozen=True)
class Talk:
    """Sessions of turns, each `Speaker: text`."""

    sessions: tuple[tuple[str, ...], ...]
    questions: tuple[Question, ...]


def read(path: Path) -> list[Talk]:
    """All conversations of a file."""
    return [talk(x) for x in json.loads(path.read_text("utf-8"))]


def talk(found: dict) -> Talk:
    """One conversation; a picture is its caption."""
    told = found["conversation"]
    sessions, places = [], {}
    numbers = sorted(int(k[8:]) for k in told if re.fullmatch(r"session_\d+", k))
    for at, n in enumerate(numbers):
        turns = []
        for turn in told[f"session_{n}"]:
            text = f"{turn['speaker']}: {turn['text']}"
            if turn.get("blip_caption"):
                text += f" [image: {turn['blip_caption']}]"
            places[turn["dia_id"]] = (at, len(turns))
            turns.append(text)
        sessions.append(tuple(turns))
    questions = []
    for q in found["qa"]:
        named = [e for text in q.get("evidence", ()) for e in re.findall(r"D\d+:\d+", text)]
        evidence = tuple(dict.fromkeys(places[e] for e in named if e in places))
        if evidence and q["category"] in CATEGORIES:
            questions.append(Question(q["question"], evidence, q["category"]))
    return Talk(tuple(sessions), tuple(questions))
