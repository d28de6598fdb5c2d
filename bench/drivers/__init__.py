"""What a streamed token and a call cost in the drivers of models, beside the vendors' own SDKs."""
