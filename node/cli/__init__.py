"""The operator's command: ``comity-node``."""
