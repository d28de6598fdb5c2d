"""Conversations of our own making, seeded: facts told in passing, asked in other words."""

import random

NAMES = ("Ines", "Tomas", "Mira", "Jonas", "Lena", "Pavel", "Rosa", "Emil")

FACTS = (
    # what the other asks | what is said | the question later, in other words
    (
        "What did you do at the weekend?",
        "I {past} {thing} with my {kin}.",
        "What did {a} and {poss} {kin} do together at the weekend?",
    ),
    (
        "Any news from your {kin}?",
        "Yes, they moved to {city} and love it.",
        "Where does {a}'s {kin} live now?",
    ),
    (
        "Have you settled on an instrument?",
        "I bought a second-hand {instrument} on Tuesday.",
        "Which musical instrument did {a} purchase?",
    ),
    (
        "How is the new job?",
        "I start as a {job} next month, I'm nervous.",
        "What will {a} work as?",
    ),
    (
        "Did the doctor say something?",
        "I have to avoid {food} from now on.",
        "What must {a} not eat any more?",
    ),
    (
        "So which pet was it in the end?",
        "A {pet}! We named it {pet_name}.",
        "What animal did {a} get?",
    ),
    (
        "What do you read at the moment?",
        "A novel about {topic}, I can't put it down.",
        "What is the book about that {a} enjoys?",
    ),
    (
        "Where do you go in summer?",
        "We rent a cabin near {place} in {month}.",
        "When will {a} stay at a cabin?",
    ),
    (
        "What's that on your desk?",
        "A {object} that my {kin} made for me.",
        "Who made the {object} for {a}?",
    ),
    (
        "How was the race?",
        "I finished {rank} out of two hundred!",
        "How well did {a} do in the competition?",
    ),
)

WORDS = {
    "past": ("painted", "repaired", "cooked", "planted", "photographed"),
    "thing": ("an old boat", "a stone wall", "the garden shed", "apple trees", "a huge paella"),
    "kin": ("sister", "brother", "grandmother", "cousin", "uncle", "neighbour"),
    "poss": ("their",),
    "city": ("Porto", "Ghent", "Oslo", "Turin", "Krakow", "Cork"),
    "instrument": ("cello", "accordion", "trumpet", "harp", "oboe"),
    "job": ("paramedic", "gardener", "tax clerk", "tram driver", "baker"),
    "food": ("peanuts", "wheat", "shellfish", "strawberries", "milk"),
    "pet": ("tortoise", "parrot", "hedgehog", "greyhound", "rabbit"),
    "pet_name": ("Biscuit", "Comet", "Pickle", "Waffle", "Domino"),
    "topic": ("lighthouse keepers", "a lost violin", "Antarctic winters", "beekeeping monks"),
    "place": ("a glacier lake", "the dunes", "a vineyard", "the old mill"),
    "month": ("June", "July", "August", "September"),
    "object": ("wooden owl", "ceramic bowl", "paper lantern", "knitted fox"),
    "rank": ("third", "ninth", "twelfth", "fortieth", "last"),
}

CHATTER = (
    ("How are you today?", "Quite well, a bit tired."),
    ("The weather is awful again.", "I know, it has rained for days."),
    ("Did you see the match?", "Only the second half, it was dull."),
    ("I should call more often.", "Don't worry, we are all busy."),
    ("Coffee later this week?", "Gladly, tell me when."),
    ("My {kin} says hello.", "Oh, say hello back to your {kin}!"),
    ("I was in {city} once, years ago.", "Was it nice there?"),
    ("Someone played the {instrument} in the street.", "How lovely, what did they play?"),
    ("I dreamt of a {pet} last night.", "You should write that down."),
    ("My {kin} is a {job}, you know.", "That must be hard work."),
    ("They sell {food} at the new market.", "I have not been there yet."),
    ("Is {month} too late for a trip?", "It depends on where you go."),
)


def made(seed: int = 7, talks: int = 8, sessions: int = 14) -> list[dict]:
    """Conversations in LoCoMo's format; the same for the same seed."""
    chance = random.Random(seed)
    return [conversation(chance, n, sessions) for n in range(talks)]


def conversation(chance: random.Random, number: int, sessions: int) -> dict:
    """Two people who talk now and then, and what may be asked about it."""
    a, b = NAMES[(2 * number) % len(NAMES)], NAMES[(2 * number + 1) % len(NAMES)]
    told: dict = {"speaker_a": a, "speaker_b": b}
    asked = []
    facts = [(who, fact) for who in (a, b) for fact in FACTS]
    chance.shuffle(facts)
    for s in range(1, sessions + 1):
        turns: list[dict] = []

        def say(who: str, text: str, s: int = s, turns: list[dict] = turns) -> str:
            turns.append({"speaker": who, "dia_id": f"D{s}:{len(turns) + 1}", "text": text})
            return turns[-1]["dia_id"]

        due = facts[(s - 1) * len(facts) // sessions : s * len(facts) // sessions]
        plan = [*due, *[None] * chance.randint(4, 8)]
        chance.shuffle(plan)
        for what in plan:
            words = {k: chance.choice(v) for k, v in WORDS.items()}
            if what is None:
                first, second = chance.choice(CHATTER)
                one, two = chance.sample([a, b], 2)
                say(one, first.format(**words))
                say(two, second.format(**words))
                continue
            who, (ask, answer, later) = what
            say(b if who == a else a, ask.format(**words))
            place = say(who, answer.format(**words))
            question = later.format(a=who, **words)
            asked.append({"question": question, "evidence": [place], "category": 4})
        told[f"session_{s}"] = turns
    return {"conversation": told, "qa": asked}
