"""Retrieval from memory: is what answers a question among what is found, and at what cost."""
