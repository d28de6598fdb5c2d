"""How rows are ranked: by two views of their words and one of their meaning, fused. Pure.

Measured on conversations: the turn before, searched along with a turn, is worth more than a model;
a steep fusion (k = 5) keeps what one view is sure of, where the usual k = 60 levels it; and what
answers a question often stands one or two rows from what repeats its words.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

K = 5.0
"""The constant of reciprocal rank fusion."""
BOTH, OWN, MEANING = 1.0, 0.7, 1.0
"""Weights of the views: words of the row and the one before, its own words, its meaning."""
LENT = (0.3, 0.2)
"""The parts of a hit's score that it lends to the rows beside it, and to those one further."""
LENDERS = 40
"""Only the best lend: what the others could lend changes nothing."""
NEAR = 0.6
"""Of the nearest row's cosine, what another must have to count as near at all."""
DEPTH = 100
"""Rows that each view gives."""
MOST_TERMS = 64
PATIENCE = 10
"""Rows too big for what is left of a budget, after which no smaller one is looked for."""

_STOP = """a about after again all also am an and any are as at be because been before being but by
can could did do does doing during each for from further had has have having he her here hers him
himself his how i if in into is it its itself just like me more most my myself no nor not of off on
once only or other our out over own same she should so some such than that the their theirs them
then there these they this those through to too under until up very was we were what when where
which while who whom why will with would you your yours s t ll ve re d m"""
STOP = frozenset(_STOP.split())


def terms(query: str) -> list[str]:
    """The words of a query that say something; all of them if none does."""
    found = list(dict.fromkeys(re.findall(r"\w+", query.lower())))
    return ([w for w in found if w not in STOP] or found)[:MOST_TERMS]


def match(words: Iterable[str], column: str = "") -> str:
    """An expression of FTS5 for any of the words; "" for none. Nothing in them is syntax."""
    either = " OR ".join(f'"{w}"' for w in (w.replace('"', "") for w in words) if w)
    return f"{column}: ({either})" if column and either else either


def near_enough(found: Iterable[tuple[int, float]]) -> list[int]:
    """Of rows with their cosines, those worth a rank, nearest first: others are noise."""
    ranked = sorted(found, key=lambda x: (-x[1], x[0]))[:DEPTH]
    return [row for row, cosine in ranked if cosine > 0 and cosine >= NEAR * ranked[0][1]]


def fuse(views: Iterable[tuple[float, Sequence[int]]], k: float = K) -> dict[int, float]:
    """Reciprocal rank fusion of weighted rankings of ids."""
    scores: dict[int, float] = {}
    for weight, ranking in views:
        for rank, row in enumerate(ranking, 1):
            scores[row] = scores.get(row, 0.0) + weight / (k + rank)
    return scores


def best(scores: Mapping[int, float]) -> list[int]:
    """The rows that lend."""
    return sorted(scores, key=lambda row: (-scores[row], row))[:LENDERS]


def lend(
    scores: Mapping[int, float], beside: Mapping[int, Iterable[tuple[int, int]]]
) -> list[tuple[int, float]]:
    """The best lend a part of their scores to the rows near them; all rows, best first.

    `beside`: for each row, others with how far they are (1 or 2).
    """
    total = dict(scores)
    for row, near in beside.items():
        for other, far in near:
            total[other] = total.get(other, 0.0) + LENT[far - 1] * scores[row]
    return sorted(total.items(), key=lambda x: (-x[1], x[0]))


T = TypeVar("T")


def fill(
    sized: Iterable[tuple[T, int]], budget: int, limit: int | None = None
) -> Iterator[tuple[T, int]]:
    """Of things with their tokens, best first, those that fit a budget; too big ones are passed."""
    left, count, passed = budget, 0, 0
    for thing, size in sized:
        if size <= left:
            left -= size
            count += 1
            yield thing, size
        else:
            passed += 1
        if count == limit or passed >= PATIENCE:
            return
