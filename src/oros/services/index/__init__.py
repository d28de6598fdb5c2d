"""Folders of documents: what is in them as text, and found again by file and place."""
