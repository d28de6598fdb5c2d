"""Memory: rows of text with labels, found again by words and by meaning, forgotten for good."""
