"""What processes change in folders, as layers: shown, committed, undone, done again."""
