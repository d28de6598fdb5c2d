"""Structured concurrency: scopes that can be cut, timers over a clock."""
