"""Worlds that tests play in: federations, nodes, desks and forged things, made in one place."""
