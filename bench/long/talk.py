"""The conversation: small talk with facts in it, and questions about them in other words. Pure."""

import random
from dataclasses import dataclass

THINGS = ["door code", "phone number", "budget", "meeting room", "deadline", "wifi password",
          "parking spot", "case number", "flight", "shirt size"]  # fmt: skip
PLACES = ["Lisbon office", "Porto lab", "harbour depot", "Anna", "Bernard", "the museum",
          "project Heron", "project Lynx", "the north clinic", "Dr. Okafor"]  # fmt: skip
SAID = ["By the way, the {thing} of {place} is {value}.",
        "Note that {place} has {value} as {thing}.",
        "I was told the {thing} for {place}: {value}.",
        "For {place} we settled on {value} as {thing}."]  # fmt: skip
ASKED = ["What was the {thing} of {place} again?", "Do you remember which {thing} {place} has?",
         "I need the {thing} for {place}."]  # fmt: skip
TALK = """the weather turned and we walked along the river before lunch; nobody had an umbrella
the train was late again so the first hour went by with coffee and old newspapers
my neighbour plays the cello in the evening and I do not mind it at all
we looked at three kitchens and could not agree on the colour of the tiles
there was a long talk about budgets in general and no number was named
somebody left the window open and the papers flew about the meeting room
the museum was closed, the clinic was full, and the office was too warm
a parcel came for the lab but it was the wrong one and went back"""


@dataclass(frozen=True, slots=True)
class Fact:
    """What was said in one turn: `value` is the answer that a question must come to."""

    turn: int
    thing: str
    place: str
    value: str


@dataclass(frozen=True, slots=True)
class Turn:
    """What the user says; `asks` is the fact that it asks for, `looks`: a call is made first."""

    text: str
    asks: Fact | None = None
    looks: bool = False


def conversation(turns: int, facts: int, seed: int) -> list[Turn]:
    """So many turns; the facts lie in all of it but its end, where each is asked for."""
    chance = random.Random(seed)
    pairs = [(t, p) for t in THINGS for p in PLACES]
    chosen = chance.sample(pairs, facts)
    places = sorted([3, *chance.sample(range(5, turns - facts - 5), facts - 1)])
    told = [
        Fact(at, thing, place, f"{chance.choice('KLMNPQR')}{chance.randrange(1000, 9999)}")
        for at, (thing, place) in zip(places, chosen, strict=True)
    ]
    by_turn = {f.turn: f for f in told}
    found = []
    for n in range(turns - facts):
        lines = chance.sample(TALK.splitlines(), chance.randint(1, 4))
        if fact := by_turn.get(n):
            said = chance.choice(SAID)
            lines.insert(chance.randrange(len(lines) + 1), written(said, fact))
        found.append(Turn(f"({n}) " + ". ".join(lines), looks=chance.random() < 0.15))
    chance.shuffle(told)
    return found + [Turn(written(chance.choice(ASKED), f), f) for f in told]


def written(pattern: str, fact: Fact) -> str:
    return pattern.format(thing=fact.thing, place=fact.place, value=fact.value)
