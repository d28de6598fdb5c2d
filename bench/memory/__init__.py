"""The store of memory under load: filtered search, updates, room, kills; beside three peers."""
