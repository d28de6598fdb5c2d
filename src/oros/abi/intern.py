"""Equal values held once: thousands of idle processes share their calls, mounts and labels."""

from collections.abc import Callable, Hashable
from dataclasses import replace
from functools import lru_cache
from typing import Any, TypeVar

from oros.abi.events import CallEntered
from oros.abi.grants import Limits
from oros.abi.labels import Label

T = TypeVar("T")

NAMES = ("program", "model", "asked", "home")
"""Fields of a row that many have alike, and that are text."""

ALIKE = (("root", "pid"), ("heard", "started"))
"""Fields of a row that are often the same number."""

MOST = 4096
"""Values that are remembered; one that was forgotten is only held twice."""

_first: Callable[[Any], Any] = lru_cache(MOST)(lambda value: value)


def one(value: T) -> T:
    """The first value that was equal to this one; it must be hashable and never change."""
    found: T = _first(value)
    return found


def thin(row: T) -> T:
    """Let a row that was decoded share what it has in common with others, and within itself."""
    held: Any = row
    own = (held.pid,)
    for name in held.__slots__:
        value = getattr(held, name)
        if value == own:  # nobody else has it: it would only push out what many have
            setattr(held, name, own)
        elif isinstance(value, tuple | Label | Limits) or name in NAMES:
            setattr(held, name, one(value))
    for name, other in ALIKE:
        if getattr(held, name) == (value := getattr(held, other)):
            setattr(held, name, value)
    return row


def waiting(entered: CallEntered) -> CallEntered:
    """What has to be known of a call while its process waits inside it, and no more."""
    if entered.args:
        return replace(entered, id=one(entered.id), ask="", key="")
    bare = CallEntered(entered.id, entered.name, {}, entered.effect, "")
    return first(bare, entered.id, entered.name, entered.effect)


def first(value: T, *key: Hashable) -> T:
    """The first value with this key, for values that can't be hashed and will not change."""
    found: list[T] = _found(type(value).__qualname__, key)
    if not found:
        found.append(value)
    return found[0]


@lru_cache(MOST)
def _found(_: str, __: tuple[Hashable, ...]) -> list[Any]:
    return []
