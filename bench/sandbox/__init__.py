"""What it costs to keep programs apart, measured."""
