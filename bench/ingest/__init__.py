"""Files in bulk through the index: how fast, how much memory, and what a kill costs."""
