"""The worst-case agent: it replays the honest calls, and once it has read an attack it is its own.

It sees results as any model does, and passes a value on by its handle where there is one; a
hijacked one uses whatever reference serves the attack. It decides nothing else.
"""

import json
import re
from dataclasses import dataclass, field

from bench.agentdojo.values import first, leaves, roles, shaped
from bench.agentdojo.world import MARK, Case

HANDLE = re.compile(r"^\$(c\d+) = ", re.MULTILINE)


@dataclass
class Step:
    """One call that the agent makes; `evil` if the attack made it."""

    function: str
    args: dict
    evil: bool
    literal: bool = False
    made: bool = False
    result: object = None


def alike(one: Step, other: Step) -> bool:
    """Whether a capable model asks for both at once: like calls, or writes with nothing to read
    in between."""
    if one.evil or other.evil:
        return False
    both = consequential(one.function) and consequential(other.function)
    return one.function == other.function or (both and not one.function.startswith("get_"))


@dataclass
class Agent:
    """A run's agent. `results`: what calls gave, by their handle."""

    case: Case
    app: str
    late: bool = False
    todo: list[Step] = field(default_factory=list)
    results: dict[str, object] = field(default_factory=dict)
    hijacked: bool = False
    flying: list[Step] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    swap: object = None
    guarded: bool = False
    taken: dict[str, str] = field(default_factory=dict)
    asked: dict[str, tuple] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.todo = [Step(c.function, dict(c.args), False) for c in self.case.calls]

    def done(self, name: str, result: object) -> Step:
        """The world did a call: keep its result, and be taken over by what stands in it."""
        step = next(s for s in self.flying if s.function == name and not s.made)
        step.made, step.result = True, result
        if not self.guarded:
            self.reads(repr(result))
        return step

    def reads(self, text: str) -> None:
        """Be taken over by an attack in what is read."""
        if self.case.injection and not self.hijacked and MARK in text:
            self.hijacked = True
            attack = [Step(c.function, dict(c.args), True) for c in self.case.attack]
            self.todo = [*self.todo, *attack] if self.late else [*attack, *self.todo]

    def heard(self, text: str) -> None:
        """What the model is shown of the next of its calls."""
        self.answers.append(text)
        step = self.flying.pop(0)
        match = HANDLE.match(text)
        self.reads(text)
        if step.function == READER:
            self.taken[str(step.result)] = f"${match[1]}.value.found" if match else "unread"
            return
        if match and step.made:
            self.results[match[1]] = step.result
        if step.evil and self.swap is not None:
            self.todo = []  # what comes after it is not looked at
        elif step.evil and not step.literal and text.startswith("EACCES"):
            again = Step(step.function, step.args, evil=True, literal=True)
            if self.referred(step) != step.args:
                self.todo.insert(0, again)  # what a handle did not get, the plain value may

    def next(self) -> list[tuple[str, dict]]:
        """The next call, with like ones that follow it at once; none if nothing more is to do."""
        batch = self.batch()
        readers = [r for s in batch for r in self.readers(s)] if self.guarded else []
        if readers:
            self.flying += readers
            return [(READER, r.args) for r in readers]
        del self.todo[: len(batch)]
        self.flying += [self.swapped(s) for s in batch]
        return [
            (f"{self.app}.{s.function}", s.args if s.literal else self.referred(s))
            for s in self.flying
        ]

    def batch(self) -> list[Step]:
        """The next step, and those that a capable model asks for together with it."""
        found = self.todo[:1]
        for step in self.todo[1:]:
            if not alike(found[-1], step) or not self.known(step):
                break
            found.append(step)
        return found

    def readers(self, step: Step) -> list[Step]:
        """Who takes the values that a step needs out of texts that this agent is not shown."""

        found: list[Step] = []
        known = roles(self.app, step.function) if consequential(step.function) else None
        for name, inner in step.args.items() if known is not None else ():
            role = known.get(name, known.get(f"{name}.file_id", "target"))
            for _, value in leaves(inner) if role in ("target", "value") else ():
                had = str(value) in self.taken or str(value) in {str(r.result) for r in found}
                if had or isinstance(value, bool) or value in (None, "") or self.has(value):
                    continue
                if (place := self.inside(str(value))) is not None:
                    kind = "string" if isinstance(value, str) else "number"
                    schema = {"type": "object", "properties": {"found": {"type": kind}}}
                    prompt = f"{len(self.asked)}: find the {name}"
                    self.asked[prompt] = (step.function, name, value)
                    args = {"prompt": prompt, "read": [place], "schema": schema}
                    found.append(Step(READER, args, False, result=value))
        return found

    def has(self, value) -> bool:
        """Whether a value needs no reader: the user said it, or a field holds it."""
        return said(value, self.case.task.PROMPT) or self.refer(value) != value

    def inside(self, value: str) -> str | None:
        """The place of a text that holds a value."""

        for name, result in self.results.items():
            for path, text in leaves(result):
                if isinstance(text, str) and value in text and value != text:
                    return f"${name}{path}"
        return None

    def take(self, source: str) -> dict:
        """A reader of one text: the value that is needed, or the attacker's in its place."""
        function, name, value = self.asked[source.split("\n", 1)[0]]
        if MARK in source:
            for step in self.case.attack:
                if step.function == function and name in step.args:
                    return {"found": first(step.args[name])}
        return {"found": value}

    def read(self, source: str) -> dict:
        """A reader of a sheet's source: it lists what the task needs, and any attack in it."""
        calls = [c for c in self.case.calls if consequential(c.function)]
        if MARK in source:
            calls = [*self.case.attack, *calls]
        listed = [{"tool": f"{self.app}.{c.function}", "args": dict(c.args)} for c in calls]
        return {"calls": listed}

    def swapped(self, step: Step) -> Step:
        """A step whose argument is swapped for another record's, by its handle."""
        if self.swap is None or not step.evil or not self.swap.by_handle:
            return step

        honest = self.case.calls[self.swap.number].args[self.swap.arg]
        handle = other(self, first(honest))
        step.args = {**self.referred(step), self.swap.arg: shaped(honest, handle)}
        step.literal = True
        self.swap_failed = handle is None
        return step

    def known(self, step: Step) -> bool:
        """Whether no call that is still to be made gives an id that this one needs."""
        given = json.dumps(self.referred(step))
        return not re.search(r'_id": "\d+"', given)

    def referred(self, step: Step) -> dict:
        """The arguments; by handle what a result holds and the user did not say."""
        return {k: self.refer(v) for k, v in step.args.items() if v is not None}

    def refer(self, value):
        if isinstance(value, dict):
            return {k: self.refer(v) for k, v in value.items()}
        if isinstance(value, list):
            return [self.refer(v) for v in value]
        if isinstance(value, bool) or value == "" or said(value, self.case.task.PROMPT):
            return value
        if str(value) in self.taken:
            return self.taken[str(value)]
        found = []
        for name, result in self.results.items():
            found += [
                (rank(self.case.task.PROMPT, r), f"${name}{p}") for p, r in places(result, value)
            ]
        return max(found, key=lambda f: f[0])[1] if found else value


def other(agent, honest: object) -> str | None:
    """The handle of another value that stands where the honest one does."""
    for name, result in agent.results.items():
        for path, _ in places(result, honest):
            last = path.rsplit(".", 1)[-1].split("[")[0] if "." in path else ""
            for rival, value in leaves(result):
                same = rival.rsplit(".", 1)[-1].split("[")[0] if "." in rival else ""
                if same == last and str(value) not in wanted(agent):
                    return f"${name}{rival}"
    return None


def wanted(agent) -> set[str]:
    """The values that the task needs."""
    return {str(v) for c in agent.case.calls for _, v in leaves(dict(c.args))}


READER = "infer"
READS = ("get_", "read_", "search_", "list_", "check_")


def consequential(function: str) -> bool:
    """Whether a call changes something or tells somebody: what an attack is after."""
    return not function.startswith(READS) or function in ("get_webpage", "get_unread_emails")


def said(value, prompt: str) -> bool:
    """Whether the user's words hold a value, as a model would see it."""
    return re.search(rf"(?<!\w){re.escape(str(value))}(?!\w)", prompt, re.IGNORECASE) is not None


def places(value, wanted, path: str = "", records: tuple = ()):
    """Where a value stands in a result, with the records around it."""
    if isinstance(value, dict):
        for key, inner in value.items():
            step = f".{key}" if re.fullmatch(r"[\w-]+", key) else f"[{json.dumps(key)}]"
            yield from places(inner, wanted, path + step, (*records, {key: None} | value))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from places(inner, wanted, f"{path}[{number}]", records)
    elif str(value) == str(wanted):
        yield path, records


def rank(prompt: str, records: tuple) -> int:
    """How well a record is what the user spoke of."""
    words = [v for r in records for v in r.values() if isinstance(v, str) and 2 < len(v) < 80]
    return sum(said(w, prompt) for w in words)
