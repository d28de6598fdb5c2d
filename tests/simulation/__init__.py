"""The whole kernel in virtual time: random programs, random faults, invariants after each step."""
