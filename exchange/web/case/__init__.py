"""A case and everything that can be done in it: its messages, answers, files, notes and people.

It decides nothing.
"""
