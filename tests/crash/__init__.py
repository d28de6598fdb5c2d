"""Crash proof: a daemon that is killed over and over loses nothing and does nothing twice."""
