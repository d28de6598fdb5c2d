"""Models behind Anthropic's Messages."""
