"""Who waits for whom: one model with few slots, many processes, a person at the keyboard."""
