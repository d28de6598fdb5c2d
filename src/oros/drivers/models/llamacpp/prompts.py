"""Prompts as tokens: a part that was answered before goes on from the very tokens of that answer.

A text can be cut into tokens in several ways; only those that were computed are in the cache.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from oros.drivers.models.llamacpp import template
from oros.drivers.models.llamacpp.engine import Engine

KNOWN = 64
"""Askers whose last answer is known by its tokens."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """The tokens of a request; `base` of them come before the part that the answer goes on from."""

    tokens: list[int]
    base: int


class Prompts:
    """Makes prompts for one model."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._chatml = template.is_chatml(engine.template())
        self._answers: OrderedDict[str, tuple[list[int], list[int]]] = OrderedDict()

    def of(self, turns: template.Turns, partial: str | None, owner: str) -> Prompt:
        """The tokens of a conversation. Raises: Refused (a template that is not known)."""
        base = self._base(turns)
        if not partial:
            return Prompt(base, len(base))
        tokens = self._answered(base, partial.encode(), owner)
        if tokens is None:
            text = template.broken(partial) if self._chatml else partial
            tokens = self._engine.tokens(text)
        return Prompt(base + tokens, len(base))

    def _base(self, turns: template.Turns) -> list[int]:
        engine = self._engine
        if self._chatml:
            return engine.tokens(template.chatml(turns), first=True, marks=True)
        rendered = engine.templated(template.marked(turns))
        found: list[int] = []
        for text, own in template.pieces(rendered, turns):
            found += engine.tokens(text, first=not found, marks=own)
        return found

    def _answered(self, base: Sequence[int], partial: bytes, owner: str) -> list[int] | None:
        """The tokens that this part of an answer was made of; None if that is not known."""
        begun, tokens = self._answers.get(owner, ([], []))
        if begun != base:
            return None
        spelled = 0
        for count, token in enumerate(tokens, 1):
            piece = self._engine.piece(token)
            if not partial.startswith(piece, spelled):
                return None
            spelled += len(piece)
            if spelled == len(partial):
                return tokens[:count]
        return None

    def answered(self, owner: str, tokens: Sequence[int], base: int) -> None:
        """Remember of what tokens an asker's answer was made."""
        self._answers.pop(owner, None)
        self._answers[owner] = (list(tokens[:base]), list(tokens[base:]))
        while len(self._answers) > KNOWN:
            self._answers.popitem(last=False)
