"""Long-lived servers over kernel calls."""
