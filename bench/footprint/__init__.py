"""What the machine takes when little happens: start, memory, a listing, idle processes."""
