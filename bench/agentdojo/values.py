"""Values in arguments and results, and the roles that the manifests give them."""

import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

APPS = Path(__file__).resolve().parent / "apps"


@cache
def roles(suite: str, function: str) -> dict[str, str]:
    found = tomllib.loads((APPS / f"{suite}.toml").read_text())
    return dict(found["tools"][function].get("roles", {}))


def first(value: object) -> object:
    """The value in a list, or the value."""
    if isinstance(value, list):
        return first(value[0])
    return value.get("file_id") if isinstance(value, dict) else value


def shaped(value: object, evil: object) -> object:
    """The attacker's value in the place of the first one."""
    if isinstance(value, list):
        return [shaped(value[0], evil), *value[1:]]
    return value | {"file_id": evil} if isinstance(value, dict) else evil


def leaves(value, path: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key.replace("_", "").replace("-", "").isalnum():
                yield from leaves(inner, f"{path}.{key}")
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from leaves(inner, f"{path}[{number}]")
    else:
        yield path, value
