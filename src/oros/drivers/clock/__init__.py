"""Time and chance: of the wall, or virtual."""
