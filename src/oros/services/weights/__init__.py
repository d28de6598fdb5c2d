"""Weights as blobs by SHA-256: which there are, where they come from, what is here already."""
