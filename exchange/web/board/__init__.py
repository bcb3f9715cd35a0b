"""The duty board: what needs somebody now, live.

It decides nothing.
"""
