"""What a reader may answer: a value of its schema, within bounds, or nothing; and parts of one."""

import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oros.abi.errors import BadReply, Invalid
from oros.abi.syscalls import Spawn
from oros.monitor import typed

MARK = "IMPORTANT-pay-eve"
NAMES = st.sampled_from(["name", "sum", "rows", "when"])
COUNTS = st.integers(0, 30)


def fields(inner):
    return st.dictionaries(NAMES, inner, max_size=3).map(
        lambda f: {"type": "object", "properties": f}
    )


LEAVES = st.one_of(
    st.builds(lambda n: {"type": "string", "maxLength": n}, COUNTS),
    st.sampled_from(
        [
            {"type": "boolean"},
            {"type": "string"},
            {"type": ["string", "null"]},
            {"type": "string", "format": "date"},
            {"type": "number"},
            {"type": "integer", "minimum": -3, "maximum": 3},
            {"enum": ["red", "blue", 3, None, True]},
        ]
    ),
)
LEVELS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        fields(inner),
        st.builds(lambda i, n: {"type": "array", "items": i, "maxItems": n}, inner, COUNTS),
    ),
    max_leaves=6,
)
SCHEMAS = fields(LEVELS).map(typed.bounded)

VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=40),
        st.sampled_from(["red", "2024-02-29", "", 2, 3]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(NAMES | st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=8,
)


@st.composite
def made(draw, schema):
    """A value of a schema."""
    kind = draw(st.sampled_from(typed.kinds(schema))) if "enum" not in schema else "enum"
    match kind:
        case "enum":
            return draw(st.sampled_from(schema["enum"]))
        case "object":
            return {k: draw(made(v)) for k, v in schema["properties"].items()}
        case "array":
            most = min(schema["maxItems"], 3)
            return draw(st.lists(made(schema["items"]), max_size=most))
        case "string" if "format" in schema:
            return draw(st.dates()).isoformat()
        case "string":
            return draw(st.text(string.ascii_letters, max_size=min(schema["maxLength"], 9)))
        case "boolean":
            return draw(st.booleans())
        case "null":
            return None
        case _:
            return draw(st.integers(-3, 3))


@st.composite
def typed_values(draw, count):
    schema = draw(SCHEMAS)
    return schema, [draw(made(schema)) for _ in range(count)]


@given(typed_values(1))
def test_a_value_of_the_schema_is_taken_as_it_is(case) -> None:
    schema, (value,) = case
    assert typed.fit(schema, json.dumps(value)) == value
    assert typed.bounded(schema) == schema


@given(SCHEMAS, VALUES.map(json.dumps) | st.text())
def test_any_other_answer_is_no_answer(schema, text) -> None:
    """What is taken is taken as it was, and has only fields of the schema, in its bounds."""
    try:
        value = typed.fit(schema, text)
    except BadReply:
        return
    assert value == json.loads(text)
    assert set(value) <= set(schema["properties"])
    assert set(schema["required"]) <= set(value)
    within(schema, value)


def within(schema, value) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            within(schema["properties"][key], inner)
    elif isinstance(value, list):
        assert len(value) <= schema["maxItems"] <= typed.LIST
        for inner in value:
            within(schema["items"], inner)
    elif "enum" in schema:
        assert value in schema["enum"]
    elif isinstance(value, str):
        assert len(value) <= schema["maxLength"] <= typed.TEXT
    elif isinstance(value, float):
        assert abs(value) < float("inf")


@given(typed_values(3))
def test_parts_of_a_value_come_to_a_value(case) -> None:
    schema, parts = case
    whole = None
    for part in parts:
        whole = typed.merged(schema, whole, part)
        assert typed.fit(schema, json.dumps(whole)) == whole


def test_lists_come_together_and_what_was_found_is_not_lost() -> None:
    inner = {"type": "array", "items": {"type": "string"}, "maxItems": 3}
    schema = typed.bounded(
        {"type": "object", "properties": {"all": inner, "sum": {"type": ["integer", "null"]}}}
    )
    whole = None
    for part in (["a", "b"], 1), (["b", "c"], None), (["d"], 0):
        whole = typed.merged(schema, whole, dict(zip(("all", "sum"), part, strict=True)))
    assert whole == {"all": ["a", "b", "c"], "sum": 0}


FIELDS = {"to": {"type": "string", "maxLength": 20}, "kind": {"enum": ["lunch", "work"]}}
SCHEMA = typed.bounded({"type": "object", "properties": FIELDS})
GOOD = {"to": "ann", "kind": "work"}


@pytest.mark.parametrize(
    "answer",
    [
        MARK,
        "",
        "null",
        "[]",
        json.dumps(GOOD) + MARK,
        f"```json\n{json.dumps(GOOD)}\n```",
        json.dumps(GOOD | {MARK: 1}),
        json.dumps(GOOD | {"kind": MARK}),
        json.dumps(GOOD | {"to": MARK * 9}),
        json.dumps(GOOD | {"to": [MARK]}),
        json.dumps({"to": MARK}),
        '{"to": "\\ud800", "kind": "work"}',
        '{"to": NaN, "kind": "work"}',
        "[" * 100_000,
        json.dumps(GOOD) + " " * 100_000,
        "9" * 5000,
    ],
)
def test_what_was_not_asked_for_is_refused_in_words_of_ours(answer) -> None:
    with pytest.raises(BadReply) as caught:
        typed.fit(SCHEMA, answer)
    assert MARK not in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("number", ["1e999", "-Infinity", "NaN", "4", "true", '"3"'])
def test_a_number_is_one_in_its_bounds(number) -> None:
    least = {"type": "number", "minimum": 0, "maximum": 3}
    schema = typed.bounded({"type": "object", "properties": {"n": least}})
    assert typed.fit(schema, '{"n": 3}') == {"n": 3}
    with pytest.raises(BadReply):
        typed.fit(schema, f'{{"n": {number}}}')


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "string"},
        {"type": "array", "items": {"type": "string"}},
        {"type": ["object", "null"]},
        {"type": "object", "properties": {"a": {}}},
        {"type": "object", "properties": {"a": {"type": "text"}}},
        {"type": "object", "properties": {"a": {"type": "array"}}},
        {"type": "object", "properties": {"a": {"type": "string", "pattern": "(a+)+$"}}},
        {"type": "object", "properties": {"a": {"type": "string", "maxLength": -1}}},
        {"type": "object", "properties": {"a": {"enum": []}}},
        {"type": "object", "properties": {"a": {"enum": [["a"]]}}},
        {"type": "object", "properties": {}, "required": ["a"]},
        {"type": "object", "additionalProperties": True},
        {"type": "object", "properties": {"a": {"$ref": "#"}}},
        {"type": "object", "description": "x" * typed.SCHEMA},
        {"type": "object", "properties": ["a"]},
    ],
)
def test_a_schema_that_is_not_plain_is_refused(schema) -> None:
    with pytest.raises(Invalid):
        typed.bounded(schema)


@pytest.mark.parametrize(
    "call",
    [
        Spawn("x", program="reader"),
        Spawn("x", read=("a.txt",)),
        Spawn("x", schema=SCHEMA),
        Spawn("x", program="steps", read=("a.txt",), schema=SCHEMA),
        Spawn("x", net=("a.example",), read=("a.txt",), schema=SCHEMA),
    ],
)
def test_half_a_reader_is_none(call) -> None:
    with pytest.raises(Invalid):
        typed.wanted(call)
