"""Dataclasses to JSON and back, and their schemas: the one file here that needs pydantic."""

import json
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from oros.abi.errors import Invalid, NoCall, OrosError
from oros.abi.events import Event
from oros.abi.message import Json
from oros.abi.syscalls import TABLE, Call, Failure, Outcome

_adapters: dict[Any, TypeAdapter[Any]] = {}
_ARGUMENTS = {name: frozenset(f.name for f in fields(kind)) for name, kind in TABLE.items()}


def adapter(kind: Any) -> TypeAdapter[Any]:
    """The pydantic adapter of a type, made once."""
    found = _adapters.get(kind)
    if found is None:
        found = _adapters[kind] = TypeAdapter(kind)
    return found


@cache
def event_types() -> dict[str, type]:
    """Event classes by the `kind` that a row names."""
    return {t.__dataclass_fields__["kind"].default: t for t in Event.__args__}


def encode(value: Any) -> bytes:
    """Encode a dataclass of this package as JSON bytes; defaults are left out."""
    data: bytes = adapter(type(value)).dump_json(value, exclude_defaults=True)
    return data


def whole(value: Any) -> bytes:
    """Encode a dataclass of this package as JSON bytes, defaults too: for who knows no types."""
    try:
        data: bytes = adapter(type(value)).dump_json(value)
    except ValueError:  # half a surrogate, which UTF-8 has no bytes for and JSON can escape
        data = json.dumps(plain(value)).encode()
    return data


def plain(value: Any) -> Json:
    """Turn a dataclass of this package into what JSON can hold."""
    return adapter(type(value)).dump_python(value, mode="json")


def decode(kind: Any, data: bytes | str) -> Any:
    """Decode JSON into a type of this package. Raises: Invalid, with the place of each fault."""
    try:
        return adapter(kind).validate_json(data)
    except ValidationError as e:
        raise Invalid(faults(e)) from e


def decode_event(kind: str, body: bytes) -> Event:
    """Decode a stored event. Raises: Invalid."""
    found = event_types().get(kind)
    if found is None:
        raise Invalid(f"the journal holds an event of an unknown kind, {kind!r}")
    event: Event = decode(found, body)
    return event


def decode_call(name: str, args: Mapping[str, Json] | str) -> Call:
    """Decode a call that a person or a model asked for; unknown arguments are refused.

    Raises: NoCall with the names there are; Invalid with the place of each fault.
    """
    kind = TABLE.get(name)
    if kind is None:
        raise NoCall(f"there is no call {name!r}", f"calls: {' '.join(TABLE)}")
    if isinstance(args, str):
        try:
            args = json.loads(args or "{}")
        except ValueError as e:
            raise Invalid(f"the arguments of {name} are no JSON: {e}") from e
    if not isinstance(args, dict):
        raise Invalid(f"the arguments of {name} are no JSON object")
    known = _ARGUMENTS[name]
    if extra := sorted(args.keys() - known):
        raise Invalid(
            f"{name} takes no {', '.join(extra)}", f"it takes: {', '.join(sorted(known))}"
        )
    try:
        call: Call = adapter(kind).validate_python(args)
    except ValidationError as e:
        raise Invalid(f"{name}: {faults(e)}") from e
    return call


def arguments(text: str) -> dict[str, Json] | str:
    """A model's arguments as an object, or as the text they came as if they are none."""
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return text
    return found if isinstance(found, dict) else text


def call_args(call: Call) -> dict[str, Json]:
    """The arguments of a call as JSON values, defaults left out."""
    return dict(adapter(type(call)).dump_python(call, mode="json", exclude_defaults=True))


@cache
def schema(name: str) -> dict[str, Json]:
    """The JSON schema of a call's arguments, as a model sees it."""
    full = adapter(TABLE[name]).json_schema()
    for key in ("title", "description"):
        full.pop(key, None)
    for prop in full.get("properties", {}).values():
        prop.pop("title", None)
    full["additionalProperties"] = False
    return dict(full)


def failed(error: OrosError) -> Outcome:
    """An outcome that is an error."""
    return Outcome(error=Failure.of(error))


def faults(e: ValidationError) -> str:
    """Say in one line where the data is wrong."""
    lines = [f"{'.'.join(str(p) for p in f['loc']) or 'value'}: {f['msg']}" for f in e.errors()[:3]]
    return "; ".join(lines).replace("\n", " ")


def dumps(value: Json) -> str:
    """JSON text of a plain value."""
    return json.dumps(value, ensure_ascii=False)
