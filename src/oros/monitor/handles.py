"""Values as handles: a field of an earlier outcome, passed on by its place, not by its text.

`$c12[0].sender` is that field of what call c12 gave. A value that is passed on so keeps the label
that the tool's manifest gives its field; whatever a model writes out has the model's own label.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple, cast

from oros.abi.acts import WORST, Act, FieldKind, Role
from oros.abi.errors import Invalid
from oros.abi.events import CallEntered, CallReturned
from oros.abi.labels import NOTHING, Integrity, Label, join
from oros.abi.message import Json, TextPart
from oros.abi.syscalls import Outcome
from oros.monitor import values
from oros.monitor.grants import Authority

NO_AUTHORITY = Authority()

HANDLE = re.compile(r"\$(c\d+)((?:\.[\w-]+|\[\d+\]|\[\"[^\"]*\"\])*)")
STEP = re.compile(r"\.([\w-]+)|\[(\d+)\]|\[\"([^\"]*)\"\]")
WITHHELD = "[secret: not shown]"
ROLES: frozenset[str] = frozenset({"target", "value", "secret", "text", "label", "enum", "when"})

ENDED = Act("wait", "", {}, {"pid": "structured", "status": "structured"})
"""What is known of the outcome of a wait: which process, and its status."""

Step = str | int


class Result(NamedTuple):
    """What a call of a tool gave, and what it was asked with."""

    tool: str
    value: Json
    args: Mapping[str, Json]
    act: Act = WORST


class Results(Mapping[str, Result]):
    """What calls gave, each typed by its tool's manifest when it is asked for: few ever are."""

    __slots__ = ("_act_of", "_given")

    def __init__(self, given: Mapping[str, Result], act_of: Callable[[str], Act]) -> None:
        """`act_of`: what a tool does, by its name."""
        self._given, self._act_of = given, act_of

    def __getitem__(self, place: str) -> Result:
        """What the call with this id gave. Raises: KeyError."""
        found = self._given[place]
        return found._replace(act=self._act_of(found.tool))

    def __iter__(self) -> Iterator[str]:
        return iter(self._given)

    def __len__(self) -> int:
        return len(self._given)


class Arg(NamedTuple):
    """One value in the arguments of a call, with its role and label.

    `handle`: where it was taken from, "" if the model wrote it. `chosen`: the record that it is of
    was named by the user, so that nobody else chose it.
    """

    path: str
    role: Role
    value: Json
    label: Label
    handle: str = ""
    chosen: bool = False


def kind_of(act: Act, path: Sequence[str]) -> FieldKind:
    """What a manifest says of a field of an outcome; free text if nothing."""
    exact = act.fields.get(".".join(path))
    if exact is not None:
        return exact
    for pattern, kind in act.fields.items():
        parts = pattern.split(".") if pattern else []
        if len(parts) == len(path) and all(p in ("*", x) for p, x in zip(parts, path, strict=True)):
            return kind
    return "free"


def label_of(act: Act, tool: str, value: Json) -> Label:
    """The label of an outcome: as low as the lowest field in it."""
    kinds = {kind_of(act, path) for path, leaf in values.leaves(value) if leaf not in (None, "")}
    return given_by(tool, third=not kinds.isdisjoint({"free", "name"}))


@lru_cache(1024)
def given_by(tool: str, *, third: bool) -> Label:
    """The label of what a tool gave: of its service, or of some third party's writing."""
    integrity = Integrity.THIRD if third else Integrity.PROVIDER
    return Label(integrity, None, frozenset({f"tool:{tool}"}))


def public(act: Act, value: Json, path: tuple[str, ...] = ()) -> Json:
    """An outcome without its secrets: those are never shown to a model, nor kept."""
    if isinstance(value, dict):
        return {k: public(act, v, (*path, str(k))) for k, v in value.items()}
    if isinstance(value, list):
        return [public(act, v, path) for v in value]
    if value is not None and kind_of(act, path) == "secret":
        return WITHHELD
    return value


@dataclass(slots=True)
class Filling:
    """One set of arguments while its handles are replaced; `mine`: the label of who wrote them."""

    act: Act
    results: Mapping[str, Result]
    mine: Label
    authority: Authority
    found: list[Arg] = field(default_factory=list)

    def walk(self, value: Json, path: tuple[str, ...]) -> Json:
        """A value without handles; what is in it is noted. Raises: Invalid."""
        if isinstance(value, dict):
            unknown = [k for k in value if not declared(self.act, (*path, str(k)))]
            self.found += [Arg(".".join(path), "target", str(k), self.mine) for k in unknown]
            return {k: self.walk(v, (*path, str(k))) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [self.walk(v, path) for v in value]
        if isinstance(value, str) and (match := HANDLE.fullmatch(value)):
            return self.follow(match, path)
        if value is not None:
            role = role_of(self.act, path, value)
            self.found.append(Arg(".".join(path), role, value, self.mine))
        return value

    def follow(self, match: re.Match[str], path: tuple[str, ...]) -> Json:
        """The value at a handle. Raises: Invalid if nothing is there."""
        result, steps = self.results.get(match[1]), steps_of(match[2])
        inner = at(result.value, steps) if result is not None else None
        if result is None or inner is None:
            why = f"{match[0]}: there is no such value"
            raise Invalid(why, "a result shows its id, such as $c12; go on from there: $c12[0].id")
        base = [s for s in steps if isinstance(s, str)]
        chosen = is_chosen(result, steps, self.authority)
        for below, leaf in values.leaves(inner):
            where, label = (*path, *below), label_of_field(result, (*base, *below), chosen=chosen)
            label = Label(label.integrity, self.mine.readers, label.origins | self.mine.origins)
            role = role_of(self.act, where, leaf)
            self.found.append(Arg(".".join(where), role, leaf, label, match[0], chosen))
        return inner


def fill(
    given: Mapping[str, Json],
    act: Act,
    results: Mapping[str, Result],
    mine: Label,
    authority: Authority,
) -> tuple[dict[str, Json], list[Arg]]:
    """Arguments with their handles replaced by values, and each value with role and label.

    `mine` is the label of whoever wrote them. Raises: Invalid for a handle of nothing.
    """
    filling = Filling(act, results, mine, authority)
    return {k: filling.walk(v, (k,)) for k, v in given.items()}, filling.found


def declared(act: Act, path: Sequence[str]) -> bool:
    """Whether a manifest speaks of an argument, or of one within it."""
    name = ".".join(path)
    return any(r == name or r.startswith(f"{name}.") for r in act.roles) or len(path) == 1


def role_of(act: Act, path: Sequence[str], value: Json) -> Role:
    """The role of an argument; a target if nothing is said, but a yes or no reaches nobody."""
    found = act.roles.get(".".join(path))
    if found is None:
        return "enum" if isinstance(value, bool) else "target"
    return found


def label_of_field(result: Result, path: Sequence[str], *, chosen: bool = False) -> Label:
    """The label of one field of a result; the name of a record that the user named is no text."""
    kind = kind_of(result.act, path)
    low = kind in ("free", "secret") or (kind == "name" and not chosen)
    return given_by(result.tool, third=low)


def steps_of(text: str) -> list[Step]:
    """The steps of a handle: names and places."""
    return [
        int(m[2]) if m[2] is not None else cast("str", m[1] if m[1] is not None else m[3])
        for m in STEP.finditer(text)
    ]


def at(value: Json, steps: Sequence[Step]) -> Json:
    """What stands at a place in a value; None if nothing does."""
    for step in steps:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def is_chosen(result: Result, steps: Sequence[Step], authority: Authority) -> bool:
    """Whether the user named the record that a handle leads into, and no other value fits.

    A record is named by a field that says what it is called, by its key, or by a call all of whose
    arguments the user said and that gave just one.
    """
    for end in range(len(steps) + 1):
        record, last = at(result.value, steps[:end]), steps[end - 1] if end else None
        base = [s for s in steps[:end] if isinstance(s, str)]
        if isinstance(last, str) and is_key(result, steps[: end - 1], authority):
            return authority.names(last, "target")
        if not is_named(result.act, record, base, authority):
            continue
        rows = at(result.value, steps[: end - 1]) if isinstance(last, int) else [record]
        named = [row for row in rows if is_named(result.act, row, base, authority)]
        return len({json.dumps(at(row, steps[end:]), sort_keys=True) for row in named}) == 1
    return is_asked(result, authority) and is_alone(result.value, steps)


def is_named(act: Act, record: Json, base: Sequence[str], authority: Authority) -> bool:
    """Whether a record has a name that the user said; a text in a list is its own name."""
    fields = record if isinstance(record, dict) else {"": record}
    return any(
        isinstance(value, str) and value and authority.designates(value)
        for key, value in fields.items()
        if kind_of(act, (*base, key) if key else base) in ("name", "structured")
    )


def is_key(result: Result, steps: Sequence[Step], authority: Authority) -> bool:
    """Whether the keys of an object are names of records: not fields that a manifest knows."""
    holder = at(result.value, steps)
    base = [s for s in steps if isinstance(s, str)]
    if not isinstance(holder, dict):
        return False
    pattern = ".".join([*base, "*"])
    return any(f == pattern or f.startswith(f"{pattern}.") for f in result.act.fields) and any(
        authority.names(key, "target") for key in holder
    )


def is_asked(result: Result, authority: Authority) -> bool:
    """Whether the user said all that the call was asked with."""
    asked = [leaf for _, leaf in values.leaves(dict(result.args)) if leaf is not None]
    return bool(asked) and all(authority.names(leaf, "target") for leaf in asked)


def is_alone(value: Json, steps: Sequence[Step]) -> bool:
    """Whether no list on the way to a value holds another one."""
    for end, step in enumerate(steps):
        if isinstance(step, int) and len(at(value, steps[:end])) != 1:
            return False
    return True


def result(entered: CallEntered, back: CallReturned) -> Result | None:
    """What a call gave that has a place: of a tool, typed by a reader, or kept from the model."""
    value, args = back.outcome.value, entered.args if isinstance(entered.args, dict) else {}
    if back.outcome.error is not None:
        return None
    if entered.name == "call":
        return Result(str(args.get("tool")), value, args.get("args") or {})
    typed = entered.name in ("infer", "wait") and isinstance(value, dict) and "value" in value
    return Result(entered.name, whole(back.outcome), args) if typed or back.seen else None


# ---- what a guarded process is shown -------------------------------------------------------------


def whole(outcome: Outcome) -> Json:
    """All that an outcome gave, its text parts too, as one value."""
    texts = [p.text for p in outcome.parts if isinstance(p, TextPart)]
    return {"value": outcome.value, "text": "\n".join(texts)} if texts else outcome.value


def masked(act: Act, value: Json, place: str, args: Mapping[str, Json]) -> Json:
    """An outcome with each text of others replaced by its place.

    What a reader answered is shown where it can say least: yes or no, or one of the words that its
    schema lists.
    """
    words = set(listed(args.get("schema")))

    def walk(inner: Json, path: tuple[str, ...], here: str) -> Json:
        if isinstance(inner, dict):
            return {k: walk(v, (*path, str(k)), f"{here}{step(str(k))}") for k, v in inner.items()}
        if isinstance(inner, list):
            return [walk(v, path, f"{here}[{n}]") for n, v in enumerate(inner)]
        free = kind_of(act, path) in ("free", "name") and inner not in (None, "")
        if not free or isinstance(inner, bool) or inner in words:
            return inner
        return f"[text: {here}]"

    return walk(value, (), place)


def listed(schema: Json) -> Iterator[str]:
    """The words that a schema lists as all that a text may be."""
    if isinstance(schema, dict):
        if isinstance(schema.get("enum"), list):
            yield from (w for w in schema["enum"] if isinstance(w, str))
        for inner in schema.values():
            yield from listed(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from listed(inner)


def step(key: str) -> str:
    """A name as a step of a handle."""
    return f".{key}" if re.fullmatch(r"[\w-]+", key) else f'["{key}"]'


def unread(mine: Label, whole_of: Label) -> Label:
    """The label of a masked outcome: its origins, but none of its texts."""
    return mine | Label(Integrity.PROVIDER, whole_of.readers, whole_of.origins)


def read(places: Sequence[str], results: Mapping[str, Result], mine: Label) -> tuple[str, Label]:
    """The values at some handles as a text, and the label of reading them. Raises: Invalid."""
    texts, label = [], mine
    for place in places:
        match = HANDLE.fullmatch(place)
        result = results.get(match[1]) if match else None
        inner = at(result.value, steps_of(match[2])) if match and result is not None else None
        if result is None or inner is None:
            raise Invalid(f"{place}: there is no such value", "a result shows its id, such as $c12")
        texts.append(inner if isinstance(inner, str) else json.dumps(inner, ensure_ascii=False))
        label |= label_of(result.act, result.tool, result.value)
    return "\n\n".join(texts), label


def told(answer: str, results: Mapping[str, Result]) -> tuple[str, Label]:
    """An answer with the texts that its places in double braces stand for, and their label."""
    labels = [NOTHING]

    def text(match: re.Match[str]) -> str:
        result = results.get(match[1])
        inner = None if result is None else at(result.value, steps_of(match[2]))
        if result is None or inner is None:
            return match[0]
        labels.append(label_of(result.act, result.tool, result.value))
        return inner if isinstance(inner, str) else json.dumps(inner, ensure_ascii=False)

    return re.sub(r"\{\{" + HANDLE.pattern + r"\}\}", text, answer), join(labels)
