"""Recordings through the model of speech: how fast, in what memory, how well."""
