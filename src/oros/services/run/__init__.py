"""The device that performs `run`."""
