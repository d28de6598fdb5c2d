"""The model in the box: llama.cpp in a worker process of its own."""
