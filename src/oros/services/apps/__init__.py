"""Programs: what a process can be told to be."""
