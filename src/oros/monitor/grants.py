"""The grants of a process as the monitor uses them: which values they name, what is left. Pure."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from oros.abi.acts import Role
from oros.abi.grants import Grant
from oros.abi.message import Json
from oros.monitor import values

FITS: dict[str, frozenset[str]] = {
    "target": frozenset({"id", "number", "account"}),
    "value": frozenset({"amount", "number"}),
    "secret": frozenset({"number"}),
}
"""In which forms a bare number may have been said, by its role: "June 13" names no file."""

TEXTS = frozenset({"phrase", "template"})
ANCHORS = frozenset({"target", "value"})
NAMES = frozenset({"name", "quoted", "email", "account"})
SECRETS = frozenset({"quoted", "token", "number"})


@dataclass(frozen=True, slots=True)
class Authority:
    """What a process may do and name: its grants without those that were denied.

    `counts`: uses by class and scope; `named`: values by their canonical form; `texts`: phrases and
    templates; `sheets`: whether a call was said yes to whole.
    """

    grants: tuple[Grant, ...] = ()
    denied: frozenset[str] = frozenset()
    counts: Mapping[tuple[str, str], int] = field(default_factory=dict)
    named: Mapping[str, list[Grant]] = field(default_factory=dict)
    texts: tuple[Grant, ...] = ()
    sheets: bool = False

    @classmethod
    def of(cls, grants: Iterable[Grant], denied: Iterable[str] = ()) -> "Authority":
        """Arrange grants so that all that is asked of them is found at once."""
        no = frozenset(denied)
        kept = tuple(g for g in grants if not no or g.name not in no)
        named: dict[str, list[Grant]] = {}
        counts: dict[tuple[str, str], int] = {}
        for grant in kept:
            if grant.kind == "act":
                key = (grant.what, grant.scope)
                counts[key] = counts.get(key, 0) + (1 << 30 if grant.uses is None else grant.uses)
            elif grant.kind == "value" and grant.form not in TEXTS:
                named.setdefault(grant.what, []).append(grant)
        texts = tuple(g for g in kept if g.kind == "value" and g.form in TEXTS)
        return cls(kept, no, counts, named, texts, any(scope for _, scope in counts))

    def uses(self, act: str, scope: str = "") -> int:
        """How many calls of a class were asked for; with a scope, of those that reach just that."""
        return self.counts.get((act, scope), 0)

    @property
    def follows(self) -> bool:
        """Whether the user handed a decision to what a source says."""
        return any(g.kind == "follow" for g in self.grants)

    def names(self, value: Json, role: Role, *scopes: str) -> bool:
        """Whether the user said this very value, in a form that fits its role.

        `scopes`: of which an endorsement on a card holds here.
        """
        what = values.canon(value)
        for grant in self.named.get(what, ()):
            if grant.scope:
                if grant.scope in scopes:
                    return True
            elif fits(grant, what, role):
                return True
        if role == "secret" or values.is_number(what):
            return False
        words = values.words_of(what)
        return any(
            run(words, g.what)
            if g.form == "phrase"
            else role == "label" and values.matches(what, g.what)
            for g in self.texts
        )

    def designates(self, name: str) -> bool:
        """Whether the user said a record's name, or how it begins: "Ann" may be Ann Bell.

        Not of an address: anybody may have one that begins so.
        """
        if self.names(name, "target"):
            return True
        if values.links(name):
            return False
        parts = split(name)
        return any(
            f" {' '.join(parts)} ".startswith(f" {' '.join(split(g.what))} ")
            for g in self.grants
            if g.kind == "value" and g.form in NAMES
        )

    def known(self) -> list[str]:
        """The values that the user named, as they said them."""
        return [g.said or g.what for g in self.grants if g.kind == "value" and g.form != "phrase"]


def split(name: str) -> list[str]:
    """The parts of a name, whatever stands between them."""
    return re.findall(r"[^\W_]+", values.canon(name))


def anchor(parts: Iterable[tuple[str, str, Json]]) -> str:
    """What a call reaches and sets, as one word: its targets and values by path, role, value."""
    kept = sorted((path, values.canon(v)) for path, role, v in parts if role in ANCHORS)
    return hashlib.sha256(json.dumps(kept).encode()).hexdigest()[:16]


def scoped(what: str, role: str, place: str) -> str:
    """Where a yes on a card holds: in this role; of a bare number, in this place only."""
    return place if values.is_number(what) or role == "readers" else role


def fits(grant: Grant, what: str, role: Role) -> bool:
    """Whether a value that was said in some form may play a role."""
    if role == "secret":
        return grant.form in SECRETS
    if not values.is_number(what):
        return True
    return grant.form in FITS.get(role, FITS["target"])


def run(words: Sequence[str], text: str) -> bool:
    """Whether two or more words stand one after another in a text of words."""
    return len(words) > 1 and f" {' '.join(words)} " in f" {text} "


def narrowed(grants: Iterable[Grant]) -> tuple[Grant, ...]:
    """What a child is given: the same, as its parent's; nothing is added."""
    return tuple(
        Grant(g.kind, g.what, g.form, g.uses, g.scope, "parent", g.said)
        for g in dict.fromkeys(grants)
    )
