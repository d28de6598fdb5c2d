"""Fakes that tell the truth: scripted and recorded models, virtual time, a store in memory."""
