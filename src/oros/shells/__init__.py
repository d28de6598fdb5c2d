"""Faces: each a client of the gate and nothing more."""
