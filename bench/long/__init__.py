"""A long conversation through a small window: what is still known at its end."""
