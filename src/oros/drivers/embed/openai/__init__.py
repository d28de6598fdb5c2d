"""Any server that speaks the embeddings call of OpenAI."""
