"""Names of models: aliases, lists to fall back along, and which model suits a program. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from oros.abi.errors import Invalid, Unsupported
from oros.abi.manifest import Program
from oros.abi.ports import Model
from oros.scheduling import needs
from oros.scheduling.moves import HERE


@dataclass(frozen=True, slots=True)
class Names:
    """What names mean. `aliases`: a name for one or more; `fallbacks`: by the name of a model."""

    default: str
    aliases: Mapping[str, Sequence[str]] = field(default_factory=dict)
    fallbacks: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def chain(self, name: str) -> list[str]:
        """The models that a name means, the first to be used and the others to fall back on.

        An alias for several is the whole list; an alias for one, or a model, has the fallbacks of
        that model. Those of a model further down the list don't count: the list is what was said.
        """
        listed = self.means(name or self.default)
        if len(listed) == 1:
            for further in self.fallbacks.get(listed[0], ()):
                listed += self.means(further)
        return list(dict.fromkeys(listed))

    def means(self, name: str) -> list[str]:
        """The models that a name stands for, without what they fall back on."""
        return self._spread(name, frozenset())

    def _spread(self, name: str, within: frozenset[str]) -> list[str]:
        """An alias as what it stands for; inside of itself a name is a model's."""
        if name not in self.aliases or name in within:
            return [name]
        inner = within | {name}
        return [x for one in self.aliases[name] for x in self._spread(one, inner)]

    def onward(self, asked: str, now: str, full: Callable[[str], str]) -> list[str]:
        """What is left of a list behind the model in use. `full` makes a name the model's own.

        A model that is not on the list has its own.
        """
        for name in (asked, now):
            listed = [full(x) for x in self.chain(name)]
            if not now:
                return listed[1:]
            if now in listed:
                return listed[listed.index(now) + 1 :]
        return []

    def check(self, known: Iterable[str], where: str) -> None:
        """Refuse names that mean nothing, and aliases without an end. Raises: Invalid."""
        there = {*known}
        said = [(f"aliases.{a}", n) for a, names in self.aliases.items() for n in names]
        said += [(f"models.{m}.fallbacks", n) for m, names in self.fallbacks.items() for n in names]
        for alias, names in self.aliases.items():
            if not names:
                raise Invalid(f"{where}: aliases.{alias} names no model")
        for place, name in said:
            for one in self.means(name):
                if one not in there:
                    hint = f"models: {' '.join([*there, *self.aliases])}"
                    raise Invalid(f"{where}: {place}: there is no model {one!r}", hint)


def suited(model: Model, program: Program, named: str, others: Iterable[Model]) -> Model:
    """The model that a program gets: this one if it suits, else the first of others that does.

    A model that the person named is not changed for another, and one whose input stays on this
    machine only for one that `others` names or whose input stays here too.
    Raises: Unsupported, with what is lacking.
    """
    missing = needs.lacks(model.info, program)
    if not missing:
        return model
    words = f"{program.name} needs {', '.join(missing)}, and {model.info.name} has not"
    fitting = [o for o in others if not needs.lacks(o.info, program)]
    if named:
        there = " ".join(dict.fromkeys(o.info.name for o in fitting)) or "none here"
        raise Unsupported(words, f"models that have: {there}")
    if not fitting:
        raise Unsupported(words, "nor has another model here: oros models add")
    return fitting[0]


def stays(model: Model) -> bool:
    """Whether what a model reads stays on this machine."""
    return HERE in model.info.cans
