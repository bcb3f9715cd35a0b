"""Commands that set a desk up and keep its keys."""
