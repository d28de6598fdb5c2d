"""The model in the box, measured."""
