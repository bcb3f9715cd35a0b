"""The duty board: what needs somebody now, live."""
