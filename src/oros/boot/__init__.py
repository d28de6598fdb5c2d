"""Builds the machine from its parts: the only place that knows everybody."""
