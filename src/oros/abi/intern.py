"""Equal values held once: thousands of idle processes share their calls, mounts and labels."""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any, TypeVar

from oros.abi.events import CallEntered
from oros.abi.grants import Limits
from oros.abi.ids import CallId
from oros.abi.labels import Label
from oros.abi.syscalls import Effect

T = TypeVar("T")

NAMES = ("program", "model", "asked", "home")
"""Fields of a row that many have alike, and that are text."""

MOST = 4096
"""Values that are remembered; one that was forgotten is only held twice."""

_first: Callable[[Any], Any] = lru_cache(MOST)(lambda value: value)


def one(value: T) -> T:
    """The first value that was equal to this one; it must be hashable and never change."""
    found: T = _first(value)
    return found


def thin(row: T) -> T:
    """Let a row that was decoded share what it has in common with others."""
    for name in getattr(row, "__slots__", ()):
        value = getattr(row, name)
        if isinstance(value, tuple | Label | Limits) or name in NAMES:
            setattr(row, name, one(value))
    return row


def waiting(entered: CallEntered) -> CallEntered:
    """What has to be known of a call while its process waits inside it, and no more."""
    if entered.args:
        return replace(entered, id=one(entered.id), ask="", key="")
    return _bare(entered.id, entered.name, entered.effect)


@lru_cache(MOST)
def _bare(call: CallId, name: str, effect: Effect) -> CallEntered:
    return CallEntered(call, name, {}, effect, "")
