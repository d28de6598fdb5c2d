"""Secrets: kept by the machine, sent by its way out, seen by no process."""
