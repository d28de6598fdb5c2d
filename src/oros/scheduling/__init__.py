"""Whose turn it is at a model: levels, ageing, preemption. Pure."""
