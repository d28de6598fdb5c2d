"""Benchmarks beside named peers: each is a command that prints a table of ratios from one run."""
