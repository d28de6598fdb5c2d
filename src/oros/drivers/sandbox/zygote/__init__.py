"""Warm interpreters: forked from a process that has imported all, then confined."""
