"""Keys that the machine signs with."""
