"""Commands about the office."""
