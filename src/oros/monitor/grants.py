"""The grants of a process as the monitor uses them: which values they name, what is left. Pure."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

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


class Said(NamedTuple):
    """A value that a user's words name: its form, its canonical form, and as it was said."""

    form: str
    what: str
    said: str


@dataclass(frozen=True, slots=True)
class Authority:
    """What a process may do and name: its grants without those that were denied.

    `own`: grants one by one; `said`: the values that its user's words name; `words`: these words,
    each alone; `counts`: uses by class and scope; `named`: form and scope by canonical value;
    `texts`: phrases and templates; `sheets`: whether a call was said yes to whole; `follows`:
    whether the user handed a decision to what a source says.
    """

    own: tuple[Grant, ...] = ()
    said: tuple[Said, ...] = ()
    words: Mapping[str, None] = field(default_factory=dict)
    denied: frozenset[str] = frozenset()
    counts: Mapping[tuple[str, str], int] = field(default_factory=dict)
    named: Mapping[str, list[tuple[str, str]]] = field(default_factory=dict)
    texts: tuple[tuple[str, str], ...] = ()
    sheets: bool = False
    follows: bool = False

    @classmethod
    def of(
        cls,
        grants: Iterable[Grant],
        denied: Iterable[str] = (),
        said: Iterable[Said] = (),
        words: Iterable[str] = (),
    ) -> "Authority":
        """Arrange grants so that all that is asked of them is found at once."""
        no = frozenset(denied)
        own = tuple(g for g in grants if not no or g.name not in no)
        found = tuple(v for v in said if not no or f"value:{v.what}" not in no)
        alone = dict.fromkeys(w for w in words if not no or f"value:{w}" not in no)
        counts: dict[tuple[str, str], int] = {}
        named: dict[str, list[tuple[str, str]]] = {}
        texts: list[tuple[str, str]] = []
        for form, what, _ in found:
            if form in TEXTS:
                texts.append((form, what))
            else:
                named.setdefault(what, []).append((form, ""))
        for grant in own:
            if grant.kind == "act":
                key = (grant.what, grant.scope)
                counts[key] = counts.get(key, 0) + (1 << 30 if grant.uses is None else grant.uses)
            elif grant.kind == "value" and grant.form in TEXTS:
                texts.append((grant.form, grant.what))
            elif grant.kind == "value":
                named.setdefault(grant.what, []).append((grant.form, grant.scope))
        sheets = any(scope for _, scope in counts)
        follows = any(g.kind == "follow" for g in own)
        return cls(own, found, alone, no, counts, named, tuple(texts), sheets, follows)

    @property
    def grants(self) -> tuple[Grant, ...]:
        """All of them, one by one."""
        said = (Grant("value", v.what, v.form, said=v.said) for v in self.said)
        return (*self.own, *said, *(Grant("value", w, "word", said=w) for w in self.words))

    def uses(self, act: str, scope: str = "") -> int:
        """How many calls of a class were asked for; with a scope, of those that reach just that."""
        return self.counts.get((act, scope), 0)

    def names(self, value: Json, role: Role, *scopes: str) -> bool:
        """Whether the user said this very value, in a form that fits its role.

        `scopes`: of which an endorsement on a card holds here.
        """
        what = values.canon(value)
        for form, scope in self.named.get(what, ()):
            if scope in scopes if scope else fits(form, what, role):
                return True
        if role == "secret" or values.is_number(what):
            return False
        if what in self.words:
            return True
        words = values.words_of(what)
        return any(
            run(words, text) if form == "phrase" else role == "label" and values.matches(what, text)
            for form, text in self.texts
        )

    def designates(self, name: str) -> bool:
        """Whether the user said a record's name, or how it begins: "Ann" may be Ann Bell.

        Not of an address: anybody may have one that begins so.
        """
        if self.names(name, "target"):
            return True
        if values.links(name):
            return False
        parts = f" {' '.join(split(name))} "
        return any(
            parts.startswith(f" {' '.join(split(what))} ")
            for what, forms in self.named.items()
            if any(form in NAMES for form, _ in forms)
        )

    def known(self) -> list[str]:
        """The values that the user named, as they said them."""
        said = [v.said for v in self.said if v.form != "phrase"]
        own = (g for g in self.own if g.kind == "value" and g.form != "phrase")
        return [*said, *self.words, *(g.said or g.what for g in own)]


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


def fits(form: str, what: str, role: Role) -> bool:
    """Whether a value that was said in some form may play a role."""
    if role == "secret":
        return form in SECRETS
    return form in FITS.get(role, FITS["target"]) or not values.is_number(what)


def run(words: Sequence[str], text: str) -> bool:
    """Whether two or more words stand one after another in a text of words."""
    return len(words) > 1 and f" {' '.join(words)} " in f" {text} "


def narrowed(grants: Iterable[Grant]) -> tuple[Grant, ...]:
    """What a child is given: the same, as its parent's; nothing is added."""
    return tuple(
        Grant(g.kind, g.what, g.form, g.uses, g.scope, "parent", g.said)
        for g in dict.fromkeys(grants)
    )
