"""What a runtime costs beside the model: one agent job on several runtimes, one mock server."""
