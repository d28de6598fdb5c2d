"""Typed values: what a reader may answer, and whether an answer is that. Pure.

A schema here is the plain part of JSON Schema, with a bound on everything: a text, a list and the
whole have a greatest length also where none is said, no field is allowed that it does not name, and
each that it names must be there unless `required` says fewer. What does not fit is no answer at
all; the error says where, in the schema's own words, and never what stood there.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from typing import NoReturn

from oros.abi.errors import BadReply, Invalid
from oros.abi.message import Json
from oros.abi.syscalls import Failure, Infer, Outcome, Spawn

TEXT, LIST, WHOLE, SCHEMA = 2000, 100, 16000, 4000
"""At most: characters of a text, entries of a list, characters of an answer, and of a schema."""

TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
SAYS = ("title", "description")
KNOWN = (*SAYS, "type", "enum", "properties", "required", "additionalProperties", "items",
         "maxLength", "maxItems", "minimum", "maximum", "format")  # fmt: skip
MOST = {"maxLength": TEXT, "maxItems": LIST}

ANSWERS = 16
"""To one question at most."""

Schema = Mapping[str, Json]


def wanted(call: Spawn) -> Schema | None:
    """The schema of the reader that a spawn asks for, None if of none. Raises: Invalid."""
    if call.schema is None and not call.read and call.program != "reader":
        return None
    if call.schema is None or not call.read or call.program not in ("", "reader"):
        why = "spawn: a reader has something to read and a schema, and no other program has"
        raise Invalid(why, 'read ["$c12[0].body"] or ["/work/a.txt"], and a schema')
    if call.net:
        raise Invalid("spawn: a reader has no network", "leave net out")
    return bounded(call.schema)


def question(call: Infer) -> Schema | None:
    """The schema of what a question is to give. Raises: Invalid, for it or for too many answers."""
    if not 1 <= call.n <= ANSWERS:
        raise Invalid(f"infer: n is 1 to {ANSWERS}")
    return bounded(call.schema)


def bounded(schema: Schema | None) -> Schema | None:
    """A schema with all its bounds said; None for none. Raises: Invalid for one that is not plain.

    The outermost is an object, which every model can answer under.
    """
    if schema is None:
        return None
    if len(json.dumps(schema)) > SCHEMA:
        raise Invalid(f"the schema has more than {SCHEMA} characters")
    found = closed(schema, "schema")
    if kinds(found) != ("object",):
        raise Invalid(
            "the schema is of no object", 'begin with {"type": "object", "properties": ...'
        )
    return found


def closed(schema: Json, place: str) -> dict[str, Json]:
    """One level of a schema and all below it. Raises: Invalid."""
    if not isinstance(schema, dict):
        raise Invalid(f"{place} is no object")
    if extra := [k for k in schema if k not in KNOWN]:
        raise Invalid(f"{place} knows no {extra[0]}", f"it knows {' '.join(KNOWN)}")
    if wrong := [k for k, rule in FORMS.items() if k in schema and not rule(schema[k])]:
        raise Invalid(f"{place}.{wrong[0]} is not what it can be")
    found, all_of = dict(schema), kinds(schema)
    if not all_of or not set(all_of) <= TYPES.keys():
        raise Invalid(f"{place} has neither an enum nor a type", f"types: {' '.join(TYPES)}")
    if "string" in all_of and "enum" not in schema:
        found["maxLength"] = min(schema.get("maxLength", TEXT), TEXT)
    if "array" in all_of:
        found["items"] = closed(schema.get("items"), f"{place}.items")
        found["maxItems"] = min(schema.get("maxItems", LIST), LIST)
    if "object" in all_of:
        fields = schema.get("properties", {})
        found["properties"] = {k: closed(v, f"{place}.{k}") for k, v in fields.items()}
        needed: Json = schema.get("required", fields)
        found["required"] = list(needed)
        if missing := [k for k in found["required"] if k not in fields]:
            raise Invalid(f"{place}.required: there is no {missing[0]}")
        found["additionalProperties"] = False
    return found


def kinds(schema: Schema) -> tuple[str, ...]:
    """The types that a level names, or those of its words."""
    named = schema.get("type")
    if named is None:
        found = {t for v in schema.get("enum", ()) for t, of in TYPES.items() if type(v) in of}
        return tuple(sorted(found))
    return (named,) if isinstance(named, str) else tuple(named)


def is_number(value: Json) -> bool:
    """A number that is one: neither a yes or no, nor without an end."""
    return type(value) in (int, float) and math.isfinite(value)


def is_count(value: Json) -> bool:
    """A length."""
    return type(value) is int and value >= 0


def is_words(value: Json) -> bool:
    """A list of names."""
    return isinstance(value, list) and all(isinstance(v, str) for v in value)


def is_choice(value: Json) -> bool:
    """What an enum lists: short texts, numbers, yes, no, nothing."""
    return isinstance(value, list) and bool(value) and all(is_scalar(v) for v in value)


def is_scalar(value: Json) -> bool:
    """A value without parts."""
    return value is None or isinstance(value, bool | str) or is_number(value)


FORMS: dict[str, Callable[[Json], bool]] = {
    "type": lambda v: isinstance(v, str) or (is_words(v) and bool(v)),
    "enum": is_choice,
    "properties": lambda v: isinstance(v, dict),
    "required": is_words,
    "additionalProperties": lambda v: v is False,
    "maxLength": is_count,
    "maxItems": is_count,
    "minimum": is_number,
    "maximum": is_number,
    "format": lambda v: v == "date",
}
"""What a word of a schema can be."""


def answered(schema: Schema | None, text: str) -> Outcome:
    """What a model's answer comes to: `{"value"}` under a schema, `{"text"}` without, or EPROTO."""
    try:
        return Outcome({"text": text} if schema is None else {"value": fit(schema, text)})
    except BadReply as e:
        return Outcome(error=Failure.of(e))


def gathered(schema: Schema | None, texts: Sequence[str], n: int) -> Outcome:
    """What `n` answers come to: one as in `answered`; of more a list.

    Under a schema `{"value"}` has those that fit, without one `{"texts"}` has all that came.
    """
    if n == 1:
        return answered(schema, texts[0])
    if schema is None:
        return Outcome({"texts": [*texts]})
    found = [answered(schema, text) for text in texts]
    values = [o.value["value"] for o in found if o.error is None]
    return Outcome({"value": values}) if values else found[0]


def fit(schema: Schema, text: str) -> Json:
    """The value of an answer in JSON. Raises: BadReply, saying where it is not as asked."""
    if len(text) > 4 * WHOLE:
        refuse("it", "is too long")
    try:
        value = json.loads(text)
        json.dumps(value, ensure_ascii=False).encode()  # half a surrogate is no text
    except (ValueError, RecursionError):
        refuse("it", "is no JSON")
    for place, why in faults(schema, value, "value"):
        refuse(place, why)
    if len(json.dumps(value)) > WHOLE:
        refuse("it", "is too long")
    return value


def refuse(place: str, why: str) -> NoReturn:
    """Raises: BadReply."""
    raise BadReply(f"the answer is not as was asked: {place} {why}", "ask for less, or otherwise")


def faults(schema: Schema, value: Json, place: str) -> Iterator[tuple[str, str]]:
    """Where a value is not as its schema says: places in the schema's words, and why."""
    named = kinds(schema)
    if isinstance(value, float) and not math.isfinite(value):
        yield place, "is no number"
    elif not any(type(value) in TYPES[t] for t in named):
        yield place, f"is not of type {' or '.join(named)}"
    elif "enum" in schema and not any(
        type(w) is type(value) and w == value for w in schema["enum"]
    ):
        yield place, "is none of the words that there are"
    elif isinstance(value, dict):
        yield from faults_of_object(schema, value, place)
    elif isinstance(value, list):
        yield from faults_of_list(schema, value, place)
    else:
        yield from faults_of_scalar(schema, value, place)


def faults_of_object(
    schema: Schema, value: Mapping[str, Json], place: str
) -> Iterator[tuple[str, str]]:
    """Fields that are missing, or wrong, or that nobody asked for."""
    if not value.keys() <= schema["properties"].keys():
        yield place, "has a field that nobody asked for"
    for key, inner in schema["properties"].items():
        if key in value:
            yield from faults(inner, value[key], f"{place}.{key}")
        elif key in schema["required"]:
            yield f"{place}.{key}", "is missing"


def faults_of_list(schema: Schema, value: list[Json], place: str) -> Iterator[tuple[str, str]]:
    """Too many entries, or wrong ones."""
    if len(value) > schema["maxItems"]:
        yield place, "has too many entries"
    for number, inner in enumerate(value):
        yield from faults(schema["items"], inner, f"{place}[{number}]")


def faults_of_scalar(schema: Schema, value: Json, place: str) -> Iterator[tuple[str, str]]:
    """A text that is too long or no date, a number that is out of bounds."""
    if isinstance(value, str) and len(value) > schema.get("maxLength", SCHEMA):
        yield place, "is too long"
    if isinstance(value, str) and schema.get("format") == "date" and not is_date(value):
        yield place, "is no date"
    low, high = schema.get("minimum", -math.inf), schema.get("maximum", math.inf)
    if type(value) in (int, float) and not low <= value <= high:
        yield place, "is out of bounds"


def is_date(text: str) -> bool:
    """Whether a text is a date, such as 2024-02-29."""
    try:
        return len(text) == len("2024-02-29") and bool(date.fromisoformat(text))
    except ValueError:
        return False


def merged(schema: Schema, old: Json, new: Json) -> Json:
    """One value of what two parts of a text gave, the later one with sight of the first.

    Lists come together, each entry once, as many as may be; of the rest the later one holds,
    unless it is empty.
    """
    if isinstance(old, dict) and isinstance(new, dict):
        fields = schema["properties"]
        both = {k: merged(fields[k], old.get(k), new.get(k)) for k in fields}
        return {k: v for k, v in both.items() if k in old or k in new}
    if isinstance(old, list) and isinstance(new, list):
        each = {json.dumps(v, sort_keys=True): v for v in (*old, *new)}
        return [*each.values()][: schema["maxItems"]]
    return old if new in (None, "") else new
