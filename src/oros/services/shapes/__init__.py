"""The shapes of programs: what a model's answer means, and what comes next. Pure."""

from collections.abc import Mapping

from oros.kernel.shapes import Shape
from oros.services.shapes import code_first, door, facts, reader, steps

SHAPES: Mapping[str, Shape] = {
    "steps": Shape(steps.absorb, steps.decide),
    "code": Shape(code_first.absorb, code_first.decide),
    "facts": Shape(facts.absorb, facts.decide),
    "reader": Shape(reader.absorb, reader.decide),
    "door": Shape(door.absorb, door.decide),
}
"""All shapes, by the name that a program's manifest gives.

A journal replays only under the decisions that made it: once a version is released, a shape whose
decisions change gets a new name, and the old one stays.
"""
