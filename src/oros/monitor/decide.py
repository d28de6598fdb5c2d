"""May this be done? A total function of the act, its arguments, and whoever asks.

    call x labels x grants -> allow | card | refuse(reason)

1. An act without consequence (a read that changes nothing and tells nobody) is allowed.
2. A secret is the user's own word, or it is refused: nobody is asked about one.
3. Who has read nothing from outside is allowed what the user's program may do.
4. The class of the act must have been asked for, as often as it is done; else it is refused, not
   asked. Where the user handed the decision to a source, the whole call goes on a sheet instead; a
   yes is for this very call, once.
5. What reaches somebody (a target) or becomes something (a value) must be the user's word, or data
   that a service vouches for of a record that the user named, or must have been endorsed on a card.
   Words (text, labels) may be anybody's, but no link, address or account number in them.
6. What only some may read goes to nobody else, unless the person lets it.

The integrity of an argument is the lower one of the value's own and of whoever chose it. So a lower
label never allows more, and fewer grants never allow more (tests/monitor proves both).
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from oros.abi.acts import Act, Item
from oros.abi.labels import Integrity, Label
from oros.abi.message import Json
from oros.abi.syscalls import Effect
from oros.monitor import values
from oros.monitor.grants import Authority
from oros.monitor.handles import Arg

HARMLESS = frozenset({"pure", "read"})
MODEL = "the model's words"
MOST_SHOWN = 2000
"""Characters of a call's arguments on a sheet."""


@dataclass(frozen=True, slots=True)
class Deed:
    """A call as the policy sees it. `tool` is its name, `sink` who gets what it is given."""

    tool: str
    act: Act
    effect: Effect
    args: Sequence[Arg] = ()
    sink: str = ""
    given: Json = None

    @property
    def text(self) -> str:
        """Its arguments in one form."""
        return json.dumps(self.given, sort_keys=True, ensure_ascii=False)

    @property
    def digest(self) -> str:
        """What tells this very call from others of its class."""
        return hashlib.sha256(f"{self.tool} {self.text}".encode(errors="replace")).hexdigest()[:16]

    @property
    def name(self) -> str:
        """The class that a plan counts."""
        return self.act.name or self.tool

    @property
    def counts(self) -> bool:
        """Whether it has a consequence: it changes something, or tells somebody something."""
        return self.effect not in HARMLESS or self.act.mutates or self.act.egress


@dataclass(frozen=True, slots=True)
class Subject:
    """Whoever asks. `spent`: how many calls of a class were made under its grants."""

    label: Label
    authority: Authority
    spent: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdict:
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
        if arg.role == "secret" and not who.authority.names(arg.value, "secret", scope(deed, arg)):
            why = f"{deed.tool}: {arg.path} must be a secret that you gave"
            return Verdict("refuse", 2, why, "say it yourself, in quotes")
    denied = refused(deed, who)
    if denied is not None:
        return denied
    spends = planned(deed, who)
    if who.label.integrity >= Integrity.SYSTEM:
        why = "it has read nothing from outside"
        return flow(deed, who, ()) or Verdict("allow", 3, why, spends=spends or deed.name)
    if not spends:
        lines = (sheet(deed),) if who.authority.follows else ()
        return (flow(deed, who, lines) if lines else None) or unplanned(deed, who)
    whole = spends != deed.name  # all of this very call was shown, and had a yes
    items = [] if whole else [i for arg in deed.args for i in questions(deed, arg, who)]
    why = "it is what you asked for"
    return flow(deed, who, tuple(items)) or Verdict("allow", 5, why, spends=spends)


def planned(deed: Deed, who: Subject) -> str:
    """What is left that the call may be counted as: its class, or this very call; else ""."""
    exact = f"{deed.name} {deed.digest}"
    for name, scope in ((deed.name, ""), (exact, deed.digest)):
        if who.authority.uses(deed.name, scope) > who.spent.get(name, 0):
            return name
    return ""


def sheet(deed: Deed) -> Item:
    """A call that a source asks for which the user said to follow: shown whole."""
    source, shown = "what you said to follow", deed.text[:MOST_SHOWN]
    return Item(deed.tool, deed.name, "", "act", shown, source, call=deed.digest)


def scope(deed: Deed, arg: Arg) -> str:
    """Where an endorsement holds: the class of act and the argument."""
    return f"{deed.name} {arg.path}"


def denial(deed: Deed, arg: str, value: str) -> str:
    """How a value that the person said no to is noted."""
    return f"value:{values.canon(value)} in {deed.name} {arg}"


def refused(deed: Deed, who: Subject) -> Verdict | None:
    """What the person said no to stays refused."""
    act = f"act:{deed.name}"
    if {act, f"{act} in {deed.digest}"} & who.authority.denied:
        return Verdict("refuse", 4, f"{deed.tool}: you said no to {deed.name}", "go on without")
    for arg in deed.args:
        for value in (str(arg.value), *spread(arg)):
            if denial(deed, arg.path, value) in who.authority.denied:
                why = f"{deed.tool}: you said no to {arg.path} {value[:80]}"
                return Verdict("refuse", 5, why, "take another, or go on without")
    return None


def unplanned(deed: Deed, who: Subject) -> Verdict:
    """The class was not asked for, or not so often."""
    hint = "only the user can ask for more: in a message, or by `oros allow`"
    if times := who.spent.get(deed.name):
        why = f"{deed.tool}: {deed.name} was asked for {times} times, and done as often"
        return Verdict("refuse", 4, why, hint)
    return Verdict("refuse", 4, f"{deed.tool}: the user did not ask for {deed.name}", hint)


def questions(deed: Deed, arg: Arg, who: Subject) -> list[Item]:
    """What of an argument the person must be asked about."""
    where = scope(deed, arg)
    if arg.role in ("target", "value"):
        trusted = min(arg.label.integrity, Integrity.USER if arg.chosen else who.label.integrity)
        if trusted >= Integrity.PROVIDER or who.authority.names(arg.value, arg.role, where):
            return []
        return [item(deed, arg, str(arg.value), who)]
    if arg.role in ("text", "label"):
        trusted = min(arg.label.integrity, who.label.integrity)
        if trusted >= Integrity.PROVIDER:
            return []
        return [
            item(deed, arg, link, who)
            for link in spread(arg)
            if not who.authority.names(link, "target", where)
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
