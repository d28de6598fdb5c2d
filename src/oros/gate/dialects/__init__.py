"""The dialects of the doors: requests in, answers out. Pure; the server is elsewhere."""
