"""Drivers for what a sandboxed program may reach of the network."""
