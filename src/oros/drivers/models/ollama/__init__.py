"""Models of an Ollama server, by its own API."""
