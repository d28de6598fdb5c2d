"""What stands in a model's window: pages, evicted in large steps, never lost. Pure."""
