"""Cards: what the person is asked about values, and what the answer grants. Pure.

A card holds values and where they came from, never words of a model.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain

from oros.abi.acts import Item
from oros.abi.errors import Invalid
from oros.abi.events import Granted
from oros.abi.grants import Grant
from oros.monitor import values
from oros.monitor.grants import anchor, scoped
from oros.monitor.handles import Result

WORDS = frozenset({"text", "label"})
MOST = 3
"""Cards that a task may show until its user says something; then it pauses."""

AROUND = 60
"""Characters of an excerpt on either side of a value."""


def granted(item: Item) -> tuple[Grant, ...]:
    """What a yes to an item grants: the value in its role; of a whole call, one that reaches that.

    The words of a call may come out otherwise than they were shown, but with no other links.
    """
    if item.arg:
        return (endorsed(item.act, item.arg, item.role, item.value),)
    scope = anchor(item.parts)
    act = Grant("act", item.act, uses=1, scope=scope, by="person", said=item.act)
    links = [v for _, role, text in item.parts if role in WORDS for v in values.links(text)]
    return (act, *(endorsed(item.act, "", "text", link) for link in links))


def endorsed(act: str, arg: str, role: str, value: str) -> Grant:
    """A value that may stand where the person saw it."""
    what = values.canon(value)
    scope = scoped(what, role, f"{act} {arg}")
    return Grant("value", what, scope=scope, by="person", said=value)


def said_by_person(what: str, uses: int, *, act: bool) -> Grant:
    """What the person grants besides a card: calls of a class, or a value in any role."""
    if act:
        return Grant("act", what, uses=uses, by="person", said=what)
    plain = values.canon(what)
    form = "number" if values.is_number(plain) else "quoted"
    return Grant("value", plain, form, by="person", said=what)


def denied(item: Item) -> tuple[str, ...]:
    """What a no to an item takes: the value in its place. A call on a sheet is just not granted."""
    return (f"value:{values.canon(item.value)} in {item.act} {item.arg}",) if item.arg else ()


def answered(items: Sequence[Item], chosen: Iterable[int] = (), instead: str = "") -> Granted:
    """The answer to a card: yes to the chosen items (from 1; none given: all), no to the others.

    `instead`: another value in the place of the one item that was chosen. Raises: Invalid.
    """
    wanted = set(chosen) or set(range(1, len(items) + 1))
    if wanted != {0} and not wanted <= set(range(1, len(items) + 1)):
        raise Invalid(f"the card has the items 1 to {len(items)}")
    yes = [i for n, i in enumerate(items, 1) if n in wanted]
    no = [i for n, i in enumerate(items, 1) if n not in wanted]
    if instead:
        if len(yes) != 1 or not yes[0].arg:
            raise Invalid("another value is for one item", "say which: --item N")
        no, yes = [*no, yes[0]], [replace(yes[0], value=instead)]
    grants, names = map(granted, yes), map(denied, no)
    return Granted(tuple(chain(*grants)), tuple(chain(*names)), card=True)


def merged(items: Iterable[Item]) -> tuple[Item, ...]:
    """Each value once for each place; acts as often as they are asked for."""
    found: dict[object, Item] = {}
    for number, item in enumerate(items):
        found.setdefault(
            (item.act, item.arg, values.canon(item.value)) if item.arg else number, item
        )
    return tuple(found.values())


def traced(item: Item, results: Mapping[str, Result]) -> Item:
    """An item with the place where its value was first seen, and others' words around it."""
    for name, result in results.items():
        for _, leaf in values.leaves(result.value):
            text = str(leaf)
            place = text.find(item.value)
            if item.value and place >= 0:
                source = f"{item.source}; first seen in ${name} ({result.tool})"
                return replace(item, source=source, excerpt=around(text, place, len(item.value)))
    return item


def around(text: str, place: int, size: int) -> str:
    """A piece of a text, on one line."""
    before, after = max(0, place - AROUND), place + size + AROUND
    piece = " ".join(text[before:after].split())
    return ("..." if before else "") + piece + ("..." if after < len(text) else "")
