"""May this be done? A total function of the act, its arguments, and whoever asks.

    call x labels x grants -> allow | card | refuse(reason)

1. An act without consequence (a read that changes nothing and tells nobody) is allowed.
2. A secret is the user's own word, or it is refused: nobody is asked about one.
3. Who has read nothing from outside is allowed what the user's program may do.
4. The class of the act must have been asked for, as often as it is done; else it is refused, not
   asked. Where the user handed the decision to a source, all that it asks for goes on one sheet
   instead, whole calls, and what had no yes there is refused.
5. What reaches somebody (a target) or becomes something (a value) must be the user's word, or data
   that a service vouches for of a record that the user named, or must have been endorsed on a card.
   Words (text, labels) may be anybody's, but no link, address or account number in them; and of
   a call that has no target the label stands in for it.
6. What only some may read goes to nobody else, unless the person lets it.

The integrity of an argument is the lower one of the value's own and of whoever chose it. So a lower
label never allows more, and fewer grants never allow more (tests/monitor proves both).
"""

import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Literal, NamedTuple

from oros.abi.acts import Act, Item
from oros.abi.labels import Integrity, Label
from oros.abi.syscalls import Effect
from oros.monitor import values
from oros.monitor.grants import ANCHORS, Authority, anchor
from oros.monitor.handles import Arg

HARMLESS = frozenset({"pure", "read"})
SEEN = ("text", "label", "target", "value")
MODEL = "the model's words"
MOST_SHOWN = 2000
"""Characters of a call's arguments on a sheet."""


class Deed(NamedTuple):
    """A call as the policy sees it. `tool` is its name, `sink` who gets what it is given."""

    tool: str
    act: Act
    effect: Effect
    args: Sequence[Arg] = ()
    sink: str = ""

    @property
    def name(self) -> str:
        """The class that a plan counts."""
        return self.act.name or self.tool

    @property
    def counts(self) -> bool:
        """Whether it has a consequence: it changes something, or tells somebody something."""
        return self.effect not in HARMLESS or self.act.mutates or self.act.egress


class Subject(NamedTuple):
    """Whoever asks. `spent`: how many calls of a class were made under its grants.

    `sheeted`: what the user said to follow was put to them already.
    """

    label: Label
    authority: Authority
    spent: Mapping[str, int] = MappingProxyType({})
    sheeted: bool = False


class Verdict(NamedTuple):
    """`rule` is the number of the rule above that decided; `items` are what a card asks.

    `spends`: what the call is counted as, if it is made.
    """

    kind: Literal["allow", "card", "refuse"]
    rule: int
    reason: str
    hint: str = ""
    items: tuple[Item, ...] = ()
    spends: str = ""


def decide(deed: Deed, who: Subject) -> Verdict:
    """Allow, ask the person about values, or refuse."""
    if not deed.counts:
        return Verdict("allow", 1, "it changes nothing and tells nobody")
    for arg in deed.args:
        if arg.role == "secret" and not who.authority.names(arg.value, "secret"):
            why = f"{deed.tool}: {arg.path} must be a secret that you gave"
            return Verdict("refuse", 2, why, "say it yourself, in quotes")
    denied = refused(deed, who)
    if denied is not None:
        return denied
    if who.label.integrity >= Integrity.SYSTEM:
        why = "it has read nothing from outside"
        return flow(deed, who, ()) or Verdict("allow", 3, why, spends=deed.name)
    spends = planned(deed, who)
    if not spends:
        if who.authority.follows and not who.sheeted:
            why = "you said to follow what it reads"
            return Verdict("card", 4, why, items=(whole(deed.tool, deed),))
        return unplanned(deed, who)
    anchored = any(a.role in ANCHORS for a in deed.args)
    judged = [a for a in deed.args if spends == deed.name or a.role not in ANCHORS]
    items = [i for arg in judged for i in questions(deed, arg, who, anchored=anchored)]
    why = "it is what you asked for"
    return flow(deed, who, tuple(items)) or Verdict("allow", 5, why, spends=spends)


def planned(deed: Deed, who: Subject) -> str:
    """What is left that a call may count as: one of its class, or one on a sheet; else ""."""
    if who.authority.uses(deed.name) > who.spent.get(deed.name, 0):
        return deed.name
    if not who.authority.sheets:
        return ""
    mark = anchor((a.path, a.role, a.value) for a in deed.args)
    name = f"{deed.name} {mark}"
    return name if who.authority.uses(deed.name, mark) > who.spent.get(name, 0) else ""


def whole(tool: str, deed: Deed) -> Item:
    """A call that a source asks for which the user said to follow, for a sheet."""
    parts = tuple((a.path, a.role, str(a.value)) for a in deed.args)
    shown = json.dumps({"tool": tool, "args": [*parts]}, ensure_ascii=False)[:MOST_SHOWN]
    return Item(tool, deed.name, "", "act", shown, "what you said to follow", parts=parts)


def denial(deed: Deed, arg: str, value: str) -> str:
    """How a value that the person said no to is noted."""
    return f"value:{values.canon(value)} in {deed.name} {arg}"


def refused(deed: Deed, who: Subject) -> Verdict | None:
    """What the person said no to stays refused."""
    if not who.authority.denied:
        return None
    if f"act:{deed.name}" in who.authority.denied:
        return Verdict("refuse", 4, f"{deed.tool}: you said no to {deed.name}", "go on without")
    for arg in deed.args:
        for value in (str(arg.value), *spread(arg)):
            if denial(deed, arg.path, value) in who.authority.denied:
                shown = arg.handle or value[:80]  # whoever passed it on has not seen it
                why = f"{deed.tool}: you said no to {arg.path} {shown}"
                return Verdict("refuse", 5, why, "take another, or go on without")
    return None


def unplanned(deed: Deed, who: Subject) -> Verdict:
    """The class was not asked for, or not so often."""
    hint = "only the user can ask for more: in a message, or by `oros allow`"
    if times := who.spent.get(deed.name):
        why = f"{deed.tool}: {deed.name} was asked for {times} times, and done as often"
        return Verdict("refuse", 4, why, hint)
    return Verdict("refuse", 4, f"{deed.tool}: the user did not ask for {deed.name}", hint)


def questions(deed: Deed, arg: Arg, who: Subject, *, anchored: bool) -> list[Item]:
    """What of an argument the person must be asked about. `anchored`: the call has a target."""
    place = f"{deed.name} {arg.path}"
    if arg.role in ANCHORS or (arg.role == "label" and not anchored):
        trusted = min(arg.label.integrity, Integrity.USER if arg.chosen else who.label.integrity)
        if trusted >= Integrity.PROVIDER or who.authority.names(
            arg.value, arg.role, arg.role, place
        ):
            return []
        return [item(deed, arg, str(arg.value), who)]
    if arg.role in ("text", "label"):
        trusted = min(arg.label.integrity, who.label.integrity)
        if trusted >= Integrity.PROVIDER:
            return []
        return [
            item(deed, arg, link, who)
            for link in spread(arg)
            if not who.authority.names(link, "target", *SEEN, place)
        ]
    return []


def spread(arg: Arg) -> list[str]:
    """The links, addresses and account numbers in a text."""
    return values.links(str(arg.value)) if arg.role in ("text", "label") else []


def item(deed: Deed, arg: Arg, value: str, who: Subject) -> Item:
    """The line of a card for a value."""
    return Item(
        deed.tool,
        deed.name,
        arg.path,
        arg.role,
        value,
        arg.handle or MODEL,
        alike=values.alike(value, who.authority.known()),
        shown=values.shown(value),
    )


def flow(deed: Deed, who: Subject, items: tuple[Item, ...]) -> Verdict | None:
    """Ask before what only some may read goes elsewhere; a card if anything is to be asked."""
    label = who.label
    for arg in deed.args:
        if arg.label.readers is not None:
            label |= Label(label.integrity, arg.label.readers)
    if deed.act.egress and label.readers is not None and deed.sink not in label.readers:
        where = f"{deed.name} readers"
        value = " ".join(sorted(label.readers)) or "nobody"
        if f"value:{deed.sink} in {where}" in who.authority.denied:
            why = f"{deed.tool}: what only {value} may read does not go to {deed.sink}"
            return Verdict("refuse", 6, why, "go on without")
        if not who.authority.names(deed.sink, "target", where):
            asked = Item(deed.tool, deed.name, "readers", "readers", deed.sink, f"only for {value}")
            return Verdict("card", 6, "what only some may read would leave", items=(*items, asked))
    if items:
        return Verdict("card", 5, "a value is not the user's", items=items)
    return None
