"""The second look: the model is shown the job and what came of it, and says whether that is it.

Measured on 24 results of real jobs (1.5B, one word): 7 of 11 wrong ones were refused and 3 of 13
right ones, in about a second. Asked what is wrong, in words, the same model found nothing, ever.
"""

from collections.abc import Sequence

from oros.abi.message import Json
from oros.services.shapes.survey import name_of

OUTPUT = 700
HEAD = 240
FILES = 4
WORDS = 3
"""Tokens of a verdict."""


def question(goal: str, out: str, changed: Sequence[str], entries: Sequence[Json]) -> str:
    """What the model is asked about a result."""
    return (
        f"A job on files: {goal}\n\nA program was run for it. {result(out, changed, entries)}\n\n"
        "Does this result fully answer the job, in the form that it asks for? "
        "Answer with one word, yes or no."
    )


def result(out: str, changed: Sequence[str], entries: Sequence[Json]) -> str:
    """What a program printed, and how the files begin that it made."""
    told = [f"It printed:\n{out.strip()[:OUTPUT] or '(nothing)'}"]
    heads = {name_of(e): str(e.get("head") or "") for e in entries}
    for name in changed[:FILES]:
        begins = "\n".join(heads.get(name, "").splitlines()[:4])[:HEAD]
        told.append(f"It wrote {name}, which begins:\n{begins}" if begins else f"It wrote {name}.")
    if len(changed) > FILES:
        told.append(f"and {len(changed) - FILES} more files.")
    return "\n".join(told)


def refused(verdict: str) -> bool:
    """Whether the model said no; anything else lets a result pass."""
    return verdict.strip().lower().startswith("no")
