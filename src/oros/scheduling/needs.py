"""What a program needs of a model, and whether a model has it. Pure."""

from oros.abi.manifest import Program
from oros.abi.ports import ModelInfo

CANS = {
    "sight": "image",
    "hearing": "audio",
    "tools": "tools",
    "schema": "schema",
    "here": "here",
}
"""What programs may need, and what a model says that it `cans` which has it."""


def cans_of(program: Program) -> frozenset[str]:
    """What a model must be able to do for a program."""
    return frozenset(CANS[n] for n in program.needs if n in CANS)


def lacks(info: ModelInfo, program: Program) -> list[str]:
    """What a model has not that a program needs, in words; nothing if it suits."""
    found = [name for name in program.needs if CANS.get(name) not in info.cans]
    if info.window < program.window:
        found.append(f"a window of {program.window} tokens")
    if program.price is not None:
        dearest = None if info.price is None else max(info.price[:2])
        if dearest is None or dearest > program.price:
            found.append(f"a known price of {program.price} micro-dollars or less")
    return found
